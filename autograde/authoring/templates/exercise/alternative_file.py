

@alternative("NAME")
def NAME_by_loop(x):
    raise NotImplementedError("TODO(NAME)")
