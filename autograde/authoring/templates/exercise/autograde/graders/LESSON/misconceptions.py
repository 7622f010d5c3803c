

@misconception("NAME", breaks="test_values", hint=1)
def NAME_misunderstood(x):
    """TODO(NAME): what is wrong, not what is right."""
    return x
