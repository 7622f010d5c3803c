"""The instructor's companion: hidden graders, reference, sandbox, nbgrader plug-in. It never reaches a student."""
