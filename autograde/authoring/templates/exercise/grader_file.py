

class TestCAMEL:
    """NAME: TODO(NAME): what a student may read"""

    def test_values(self, student, rng):
        """TODO(NAME): the criterion, in words that a student may read"""
        x = random_tensor(rng, draw(rng, 2, 5))
        assert_same(student.NAME(x), x)
