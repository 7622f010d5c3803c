"""The student's companion: data, figures, a training loop, visible checks, progress."""
