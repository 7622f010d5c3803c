

class TestCAMEL:
    """NAME: TODO(NAME): in a few words"""

    def test_small(self, student):
        """TODO(NAME): one small call, and what must come"""
        assert_same(student.NAME(torch.ones(1)), torch.zeros(1))
