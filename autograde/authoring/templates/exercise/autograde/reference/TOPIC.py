

def NAME(x: Tensor) -> Tensor:
    """TODO(NAME): one sentence, shapes, errors raised, the source."""
    raise NotImplementedError("TODO(NAME)")
