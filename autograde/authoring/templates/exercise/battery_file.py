

@alternative("NAME")
def right_NAME(x):
    raise NotImplementedError("TODO(NAME): a right answer; then eight wrong ones, each with its true causes")


@wrong("NAME", "NAME_misunderstood")
def NAME_and_negated(x):
    return -x
