"""Rules of a statement, read from the source: found through helpers, aliases and blocks, and only where they matter."""

import pytest

from autograde.grading.rules import broken_rule

FORBIDDEN = {"interpolate": "you are building it"}
BROKEN = {
    "plain": ["def f(x):\n    return F.interpolate(x)"],
    "import": ["from torch.nn.functional import interpolate as up", "def f(x):\n    return up(x)"],
    "helper": ["def help(x):\n    return F.interpolate(x)", "def f(x):\n    return help(x)"],
    "class": ["class Net:\n    def go(self, x):\n        return F.interpolate(x)", "def f(x):\n    return Net().go(x)"],
    "alias": ["g = F.interpolate", "f = g"],
    "block": ["if True:\n    def f(x):\n        return F.interpolate(x)"],
    "try": ["try:\n    def f(x):\n        return F.interpolate(x)\nfinally:\n    pass"],
    "attribute": ["class K: pass", "K.g = F.interpolate", "def f(x):\n    return K.g(x)"],
    "magic beside it": ["x = !true\ndef f(x):\n    return F.interpolate(x)"],
    "getattr": ["def f(x):\n    return getattr(F, 'interpolate')(x)"],
    "long sum": ["def f(x):\n    y = " + "+".join(["1"] * 500) + "\n    return F.interpolate(x)"],
}
FINE = {
    "drawing": ["def draw(x):\n    return F.interpolate(x)", "def f(x):\n    return x"],
    "a local of the same name": [
        "def draw(x):\n    y = F.interpolate(x)\n    return y",
        "def f(x):\n    y = x\n    return y",
    ],
    "text": ["def f(x):\n    'like F.interpolate'\n    return x  # interpolate"],
    "broken cell": ["F.interpolate(((", "def f(x):\n    return x"],
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_forbidden_name_is_found(name):
    assert "you are building it" in broken_rule("f", BROKEN[name], FORBIDDEN)


@pytest.mark.parametrize("name", FINE)
def test_what_the_function_does_not_use_is_allowed(name):
    assert broken_rule("f", FINE[name], FORBIDDEN) == ""
