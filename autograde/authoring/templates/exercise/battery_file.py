

@alternative("NAME")
def right_NAME(x):
    raise NotImplementedError("TODO(NAME): right answers; then eight wrong ones with their causes")


@wrong("NAME", "NAME_misunderstood")
def NAME_and_negated(x):
    return -x
