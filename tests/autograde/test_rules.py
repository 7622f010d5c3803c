"""What a statement does not allow, however it is spelled, and what only looks like it.

The grader reads cells, the check in the notebook looks at live functions, and both note what is called. Every spelling
is judged by both: they must agree.
"""

import inspect
from contextlib import suppress

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from autograde.gradebook.repair import _defines
from autograde.grading.rules import broken_rule, statements
from autograde.grading.sandbox import MIB
from autograde.grading.verdict import grade, local_functions
from autograde.grading.worker import grade_notebook
from autograde.lessons import all_lessons
from seglab.bridge.student import StudentError, local_student
from seglab.checking.rules import Rule, names_used

NAMES = ("interpolate", "log_softmax", "logsumexp", "logaddexp", "cross_entropy")
FORBIDDEN = dict.fromkeys(NAMES, "you are building it")
RULE = Rule(FORBIDDEN)
# What the lesson's own cell imports, which the grader need not see, and what a student's does.
LOCKED = "import numpy as np\nimport torch\nfrom torch import nn\nfrom torch.nn import functional as F"
OWN = "import functools, importlib, sys, threading, types"


def notebooks(text):
    """Name -> cells: a notebook begins with `## name`, its cells are parted by `---`, the answer is called f."""
    parts = [part.partition("\n") for part in text.split("## ")[1:]]
    return {name: [cell.strip("\n") for cell in cells.split("---\n")] for name, _, cells in parts}


# Behind each name, what the grader finds it by: the source of the cells, or what is called.
NOT_ALLOWED = notebooks("""
## plain: source, call
def f(x): return F.interpolate(x)
## whole path: source, call
def f(x): return torch.nn.functional.interpolate(x)
## import: source, call
from torch.nn.functional import interpolate
---
def f(x): return interpolate(x)
## import under an alias: source, call
from torch.nn.functional import interpolate as up
---
def f(x): return up(x)
## import of a module under an alias: source, call
import torch.nn.functional as tools
---
def f(x): return tools.interpolate(x)
## import inside: source, call
def f(x):
    from torch.nn.functional import interpolate as up
    return up(x)
## star import: source, call
from torch.nn.functional import *
---
def f(x): return interpolate(x)
## import_module: call
def f(x): return importlib.import_module('torch.nn.functional').interpolate(x)
## __import__: call
def f(x): return __import__('torch').nn.functional.interpolate(x)
## alias: source, call
up = F.interpolate
---
def f(x): return up(x)
## the function itself: source, call
f = F.interpolate
## alias of a module: source, call
def f(x):
    tools = F
    return tools.interpolate(x)
## alias in a tuple: call
up, down = F.interpolate, F.max_pool2d
---
def f(x): return up(x)
## local alias: source, call
def f(x):
    up = F.interpolate
    return up(x)
## default argument: source, call
def f(x, up=F.interpolate): return up(x)
## module as an argument: call
def g(tools, x): return tools.interpolate(x)
---
def f(x): return g(F, x)
## getattr: call
def f(x): return getattr(F, 'interpolate')(x)
## getattr of a sum: call
def f(x): return getattr(F, 'inter' + 'polate')(x)
## getattr of an f-string: call
half = 'inter'
---
def f(x): return getattr(F, f'{half}polate')(x)
## getattr of a variable: call
name = 'interpolate'
---
def f(x): return getattr(F, name)(x)
## exec: call
exec('def f(x): return F.interpolate(x)')
## partial: call
up = functools.partial(F.interpolate, scale_factor=2)
---
def f(x): return up(x)
## list: call
ways = [F.interpolate]
---
def f(x): return ways[0](x)
## stored: call
ways = {}
---
ways['up'] = F.interpolate
---
def f(x): return ways['up'](x)
## attribute of a class: call
class K: pass
---
K.g = F.interpolate
---
def f(x): return K.g(x)
## lambda: source, call
up = lambda x: F.interpolate(x)
---
def f(x): return up(x)
## decorator: source, call
def by(up): return lambda g: lambda x: up(x)
---
@by(F.interpolate)
def f(x): return x
## no_grad: source, call
@torch.no_grad()
def f(x): return F.interpolate(x)
## closure: call
def make():
    up = F.interpolate
    def g(x): return up(x)
    return g
---
f = make()
## helper: source, call
def help(x): return F.interpolate(x)
---
def f(x): return help(x)
## method: source, call
class Net:
    def go(self, x): return F.interpolate(x)
---
def f(x): return Net().go(x)
## base class: source, call
class A:
    up = staticmethod(F.interpolate)
class B(A): pass
---
def f(x): return B.up(x)
## derived: source, call
class Up(nn.Upsample): pass
---
def f(x): return Up(2)(x)
## set on self: call
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Upsample(2)
    def forward(self, x): return self.up(x)
---
net = Net()
---
def f(x): return net(x)
## F.upsample: source, call
def f(x): return F.upsample(x)
## module: source, call
def f(x): return nn.Upsample(scale_factor=2)(x)
## module made before: call
up = nn.Upsample(scale_factor=2)
---
def f(x): return up(x)
## torch._C: source, call
def f(x): return torch._C._nn.upsample_nearest2d(x, [2, 2])
## operator: call
def f(x): return torch.ops.aten.upsample_nearest2d(x, [2, 2])
## special: source, call
def f(x): return torch.special.log_softmax(x, 1)
## loss: source, call
def f(x, t): return nn.CrossEntropyLoss()(x, t)
## property: source, call
class Own:
    @property
    def up(self): return F.interpolate
---
def f(x): return Own().up(x)
## backwards: call
def f(x): return getattr(F, 'etalopretni'[::-1])(x)
## eval: call
up = eval('F.interpolate')
---
def f(x): return up(x)
## the course's own: call
from seglab.training import cross_entropy as loss
---
def f(x, t): return loss(x, t)
## method of a tensor: call
def f(x): return x.log_softmax(1)
## method of a result: call
def f(x): return (x - 1).logsumexp(1)
## method of the class: source, call
def f(x): return torch.Tensor.log_softmax(x, 1)
## method in a method: call
class Own:
    def log_softmax(self, x): return x.log_softmax(1)
---
def f(x): return Own().log_softmax(x)
## %%time: source, call
%%time
up = F.interpolate
---
def f(x): return up(x)
## function in %%time: source, call
%%time
def f(x): return F.interpolate(x)
## %time of a value: call
up = %time F.interpolate
---
def f(x): return up(x)
## magic beside it: source, call
x = !true
def f(x): return F.interpolate(x)
## a file: call
%%writefile helpers_of_a_test.py
import torch.nn.functional as G
def up(x): return G.interpolate(x)
---
import helpers_of_a_test as h
---
def f(x): return h.up(x)
## in a branch that no test takes: source
def f(x): return F.interpolate(x) if x is None else x
## in a thread: source
def f(x): threading.Thread(target=F.interpolate, args=(x,), kwargs={'scale_factor': 2}).start()
""")

ALLOWED = notebooks("""
## drawing
def draw(x): return F.interpolate(x)
---
def f(x): return x
## compared with
def f(x): return x
---
x = torch.ones(1, 1, 2, 2)
f(x) == F.interpolate(x, scale_factor=2)[..., :2, :2]
## tried on an enlarged picture
def f(x): return x
---
big = F.interpolate(torch.ones(1, 1, 2, 2), scale_factor=2)
y = f(big)
z = y.log_softmax(1)
## text
def f(x):
    'like F.interpolate'
    return x  # interpolate
## text as a key
def f(x): return {'interpolate': x, 'log_softmax': 1}['interpolate']
## broken cell
F.interpolate(((
---
def f(x): return x
## own function
def log_softmax(x): return x - x.exp().sum(1).log()
---
def f(x): return log_softmax(x)
## own lambda
log_softmax = lambda x: x
---
def f(x): return log_softmax(x)
## own function after an import
from torch.nn.functional import cross_entropy
---
def cross_entropy(x): return -x
---
def f(x): return cross_entropy(x)
## import that is not used
from torch.nn.functional import cross_entropy
---
def f(x): return x
## other function of another cell
def f(x):
    logsumexp = x.exp().sum().log()
    return x - logsumexp
---
from torch import logsumexp
## variable
def f(x):
    log_softmax = x - x.exp().sum(1, keepdim=True).log()
    return -log_softmax
## loop variable
def f(x): return sum(interpolate for interpolate in x)
## parameter
def g(log_softmax, t): return log_softmax * t
---
def f(x, t): return g(x, log_softmax=t) if t is None else g(x, t)
## parameter that is called
def g(x, logsumexp): return logsumexp(x)
---
def f(x): return g(x, lambda y: y)
## global variable
interpolate = 2
---
def f(x): return x * interpolate
## method of its own
class Loss:
    def log_softmax(self, x): return x
    def go(self, x): return self.log_softmax(x)
---
def f(x): return Loss().go(x)
## class method
class Loss:
    @classmethod
    def logsumexp(cls, x): return x
    @classmethod
    def go(cls, x): return cls.logsumexp(x)
---
def f(x): return Loss.go(x)
## method of a module
class Loss(nn.Module):
    def logsumexp(self, x): return x
    def forward(self, x): return self.logsumexp(x)
---
net = Loss().eval()
---
def f(x): return net(x) + net.logsumexp(x)
## object as an argument
class A:
    def logsumexp(self, x): return x
---
def g(a, x): return a.logsumexp(x)
---
def f(x): return g(A(), x)
## attribute
class Own: pass
---
def f(x):
    own = Own()
    own.log_softmax = x
    return own.log_softmax
## own module
%%writefile own_of_a_test.py
def log_softmax(x): return x
---
import own_of_a_test
---
def f(x): return own_of_a_test.log_softmax(x)
## question about a type
def f(x): return isinstance(x, (nn.Upsample, nn.LogSoftmax))
## annotation
def f(x: nn.Upsample) -> nn.LogSoftmax:
    y: nn.Upsample = x
    return y
## other functions
def f(x): return F.binary_cross_entropy(F.softmax(x, 1), F.pad(x, (0, 0)).log())
## in %%time
%%time
def log_softmax(x): return x
def f(x): return log_softmax(x)
## dict of functions
def mine(x): return x
---
ways = {'interpolate': mine}
---
def f(x): return ways['interpolate'](x)
## layer of that name
class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.upsample = nn.Conv2d(1, 1, 1)
        self.interpolate = lambda y: y
    def forward(self, x): return self.interpolate(self.upsample(x))
---
def f(x): return Own()(x)
## a trial in a loop
def f(x): return x
---
for factor in (1, 2):
    x = torch.rand(1, 1, 4, 4)
    expected = F.interpolate(x, scale_factor=factor)
    print(f(x) - x.log_softmax(1))
## another library's
from scipy.special import logsumexp
---
def f(x): return np.logaddexp(logsumexp(x), 1)
## import that failed
try:
    from torch.somewhere import logsumexp
except ImportError:
    def logsumexp(x): return x
---
def f(x): return logsumexp(x)
## computed with it
wide = F.interpolate(torch.ones(1, 1, 2, 2), scale_factor=2).shape[-1]
---
def f(x): return x * wide
## a constant of its own
factors = {'interpolate': 2}
interpolate = factors['interpolate']
---
def f(x): return x * interpolate
## two lambdas in a line
up, same = (lambda x: F.interpolate(x)), (lambda x: x)
---
def f(x): return same(x)
""")


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("notebook")
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        yield shell
    InteractiveShell.clear_instance()


@pytest.fixture
def live(shell):
    """`live(cells)` runs the cells of a notebook and gives its function f."""

    before = set(shell.user_ns)

    def run(cells):
        with capture_output():
            for cell in [LOCKED, OWN, *cells]:
                shell.run_cell(cell)
        return shell.user_ns["f"]

    yield run
    for name in set(shell.user_ns) - before:
        del shell.user_ns[name]


def called(function):
    """The forbidden names that are noted while the function runs once, whatever comes of it."""
    student = local_student({"f": function})
    student.watch = True
    arguments = [torch.ones(1, 1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long)]
    needed = [one for one in inspect.signature(function).parameters.values() if one.default is one.empty]
    with suppress(StudentError), capture_output():
        student.f(*arguments[: len(needed)])
    return RULE.broken_by(student.used)


@pytest.mark.parametrize("name", NOT_ALLOWED)
@pytest.mark.filterwarnings("ignore")
def test_what_is_not_allowed_is_found_by_both(name, live):
    function = live(NOT_ALLOWED[name])
    told = [broken_rule("f", first + NOT_ALLOWED[name], FORBIDDEN) for first in ([OWN], [LOCKED, OWN])]
    assert told[0] == told[1] and ("not allowed here: you are building it" in told[0] or not told[0])
    found = called(function)
    assert [how for how, it in (("source", told[0]), ("call", found)) if it] == name.partition(": ")[2].split(", ")
    assert found or RULE.broken_by(names_used(function)), "the check in the notebook"


@pytest.mark.parametrize("name", ALLOWED)
def test_what_only_looks_like_it_is_allowed_by_both(name, live):
    function = live(ALLOWED[name])
    for first in ([OWN], [LOCKED, OWN]):
        assert broken_rule("f", first + ALLOWED[name], FORBIDDEN) == ""
    assert RULE.broken_by(names_used(function)) == called(function) == []


def test_the_alternatives_of_every_lesson_are_judged_as_marked_by_both():
    judged = 0
    for lesson in all_lessons():
        source = lesson.alternative_file.read_text(encoding="utf-8")
        for candidate in [one for one in lesson.alternatives if lesson.forbidden(one.exercise)]:
            forbidden = lesson.forbidden(candidate.exercise)
            by_source = bool(broken_rule(candidate.name, [source], forbidden))
            by_check = bool(Rule(forbidden).broken_by(names_used(candidate.function)))
            verdict = grade(lesson, candidate.exercise, local_functions({candidate.exercise: candidate.function}), 3)
            judged_as = (by_source, by_check, bool(verdict.refused))
            assert judged_as == (candidate.uses_forbidden,) * 3, candidate.name
            judged += 1
    assert judged > 10


def test_the_solutions_of_every_lesson_keep_their_rules():
    for lesson in all_lessons():
        cells = [cell.source for cell in lesson.cells if cell.cell_type == "code"]
        for exercise in lesson.exercises:
            assert broken_rule(exercise.name, cells, lesson.forbidden(exercise.name)) == "", exercise.name


ANSWER = """
def upsample_nearest(x, factor):
    tools = [getattr(F, "inter" + "polate")]
    return tools[0](x.double(), scale_factor=factor, mode="nearest").to(x.dtype)
"""


def test_what_is_called_in_the_sandbox_earns_nothing_and_is_told():
    cells = [
        {"kind": "locked", "source": LOCKED},
        {"kind": "own", "source": ANSWER},
        {"kind": "check", "source": "", "exercise": "upsample_nearest", "points": 2},
    ]
    result = grade_notebook("05_fcn", cells, 0, {"memory": 2048 * MIB}, {})
    verdict = result["exercises"][0]
    assert all(criterion["passed"] for criterion in verdict["criteria"]) and result["scores"] == {"upsample_nearest": 0}
    assert verdict["refused"].startswith("`interpolate` is not allowed here")


def test_what_the_tests_own_functions_call_is_not_on_record():
    student = local_student({"f": lambda function, x: function(x) + x.exp()})
    student.watch = True
    student.f(lambda x: x.log_softmax(1), torch.ones(1, 2))
    assert "exp" in student.used and "log_softmax" not in student.used


def test_without_a_rule_nothing_is_noted():
    student = local_student({"f": lambda x: x.exp()})
    student.f(torch.ones(1))
    assert not student.used


# --- how cells are read -----------------------------------------------------------------------------------------------

SLOW = {
    "a sum": "y = " + "+".join(["1"] * 50_000),
    "signs": "y = " + "-" * 50_000 + "1",
    "attributes": "def f(x): return F" + ".a" * 5_000,
    "magics": "\n".join(f"%time f{i} = 1" for i in range(400)),
    "a magic in a long cell": "%time y = 1\n" + "x = [1, 2]\n" * 15_000,
    "a chain of names": "".join(f"y{i + 1} = y{i}\n" for i in range(3_000)) + "f = y3000",
    "star imports": "from torch import *\n" * 3_000,
    "each calls each": "".join(
        f"def f{i or ''}(x): return [{','.join(f'f{j}' for j in range(1, 99))}]\n" for i in range(99)
    ),
    "empty lines": "(" + "\n" * 200_000,
    "magics in magics": "%%time\n" * 100,
}


@pytest.mark.parametrize("name", SLOW)
def test_what_is_made_to_be_slow_is_left_out(name):
    assert broken_rule("f", [SLOW[name]], FORBIDDEN) == ""
    assert broken_rule("f", [SLOW[name], "def f(x): return F.interpolate(x)"], FORBIDDEN)


def test_cells_with_many_magics_are_read_as_far_as_there_is_time(monkeypatch):
    monkeypatch.setattr("autograde.grading.rules.MAX_READ", 30)
    cells = ["%time 1\nup = F.interpolate", "def f(x): return up(x)"]
    assert broken_rule("f", cells, FORBIDDEN) and broken_rule("f", ["%time 1"] * 4 + cells, FORBIDDEN)
    assert not broken_rule("f", ["%time 1"] * 40 + cells, FORBIDDEN)
    assert not broken_rule("f", ["%time 1\n# many words\nup = F.interpolate", cells[1]], FORBIDDEN)


@pytest.mark.parametrize(
    ("source", "python"),
    [
        ("x = (a\n     % b)", ["Assign"]),
        ("%time 1\nif a:\n    !ls\nb = 1", ["Expr", "If", "Assign"]),
        ("%%time\n%%capture\ndef f(): pass", ["FunctionDef"]),
        ("    x = 1", ["Assign"]),
        (">>> x = 1", ["Assign"]),
        ("%%writefile a.py\ndef f(): pass", []),
        ("f?", ["Expr"]),
    ],
)
def test_a_cell_is_read_as_ipython_runs_it(source, python):
    assert [type(one).__name__ for one in statements(source)] == python


@pytest.mark.parametrize("source", ["def f(:", "x = 1\0", "(" * 10_000, "-" * 50_000 + "1", "%%html\n<b>"])
def test_a_cell_that_cannot_be_read_is_refused(source):
    with pytest.raises(SyntaxError):
        statements(source)


@pytest.mark.parametrize("above", ["", "%%time\n", "%matplotlib inline\n", "x = !ls\n", "x?\n"])
def test_a_function_is_found_beside_any_magic(above):
    assert _defines("f", above + "def f(x):\n    return x") and not _defines("g", above + "def f(x):\n    return x")
