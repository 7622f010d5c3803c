

@misconception("NAME", breaks="test_values", hint=1, source="TODO(NAME): who really answers so")
def NAME_misunderstood(x):
    """TODO(NAME): what is wrong, not what is right."""
    return x
