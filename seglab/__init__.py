"""The student's companion: data, figures, a training loop, visible checks, progress.

`from seglab import check, once_written` is all that a notebook needs of the checks.
"""


def __getattr__(name):
    # On demand: the kernel that grades needs the bridge alone.
    if name in ("check", "once_written"):
        from seglab.checking import show

        return getattr(show, name)
    raise AttributeError(f"module 'seglab' has no attribute {name!r}")
