# %% [markdown] locked="about_NAME"
# ## POSITION · `NAME`
#
# *About 15 minutes · difficulty 2 of 3 · 2 points · slide "TODO(NAME)"*
#
# TODO(NAME): what to write, and why; what the slide says, quoted or redrawn.
#
# ```python
# NAME(x: Tensor) -> Tensor
# ```
#
# | argument | shape | dtype | meaning |
# |---|---|---|---|
# | `x` | TODO(NAME) | float | |
# | **returns** | TODO(NAME) | as `x` | |
#
# * TODO(NAME): what is not obvious, and what is not allowed.


# %% solution="NAME"
def NAME(x: Tensor) -> Tensor:
    """TODO(NAME): one sentence.

    >>> NAME(torch.ones(1))
    TODO(NAME)
    """
    if x.dim() != 1:  # TODO(NAME): the checks of the arguments are given, in one to three lines
        raise ValueError(f"x has shape {tuple(x.shape)}, not (n,)")
    ### BEGIN SOLUTION
    raise NotImplementedError("TODO(NAME)")
    ### END SOLUTION


# %% [markdown] locked="help_NAME"
# <details><summary>Hint 1: a nudge</summary>
#
# TODO(NAME)
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# TODO(NAME)
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# TODO(NAME)
#
# </details>
# <details><summary>TODO(NAME): "what a student sees", "or reads"</summary>
#
# * *A symptom*: TODO(NAME): where to look.
#
# </details>

# %% check="NAME" points=2
check(NAME)
