"""The reference of lesson NUMBER against independent oracles and published numbers."""

import autograde.reference.TOPIC as reference


def test_TODO_LESSON():
    raise AssertionError(f"TODO(LESSON): an oracle for every function of {reference.__name__}")
