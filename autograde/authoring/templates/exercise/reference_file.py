

def NAME(x: Tensor) -> Tensor:
    """TODO(NAME): one sentence, shapes, the source."""
    raise NotImplementedError("TODO(NAME)")
