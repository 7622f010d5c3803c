

class TestCAMEL:
    """NAME: TODO(NAME): in a few words"""

    def test_small(self, student):
        """TODO(NAME): one small call, and what must come"""
        assert_same(student.NAME(torch.tensor([0.3, -1.7])), torch.zeros(2))  # fractions tell mistakes apart
