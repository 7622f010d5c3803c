"""What a student receives: all of theirs and nothing of ours."""

import shutil
import subprocess
import sys
import zipfile

import pytest

from autograde.authoring.release import leaks, make_bundle, telling_lines
from autograde.lessons import ROOT, all_lessons


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(ROOT, tmp_path_factory.mktemp("dist"))


def test_the_bundle_holds_lessons_and_companion_only(bundle):
    assert {path.name for path in bundle.iterdir()} == {
        "lectures",
        "exercises",
        "seglab",
        "environment.yml",
        "constraints.txt",
        "pyproject.toml",
        "Makefile",
        "README.md",
        "LICENSE",
        "LICENSE-LESSONS",
    }
    names = {path.name for path in bundle.rglob("*")}
    assert not names & {
        "autograde",
        "solutions",
        "tests",
        "nbgrader_config.py",
        "graders",
        "misconceptions",
        "reference",
    }
    for lesson in all_lessons():
        assert (bundle / "exercises" / lesson.name / f"{lesson.name}.ipynb").exists()
        assert (bundle / "lectures" / f"{lesson.name}.ipynb").exists()
    assert "autograde" not in (bundle / "pyproject.toml").read_text()


def test_the_zip_holds_the_same_files(bundle):
    with zipfile.ZipFile(bundle.parent / f"{bundle.name}.zip") as archive:
        packed = {name.split("/", 1)[1] for name in archive.namelist()}
    assert packed == {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}


def test_no_line_of_hidden_code_leaks(bundle):
    assert leaks(all_lessons(), bundle) == []


@pytest.mark.parametrize(
    "where", ["seglab/data/scenes.py", "lectures/02_sliding_window.py", "exercises/02_sliding_window/note.md"]
)
@pytest.mark.parametrize("what", ["reference_file", "grader_file", "misconception_file", "alternative_file"])
def test_a_planted_line_is_found(bundle, tmp_path, where, what):
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    lesson = all_lessons(only="02")[0]
    line = telling_lines(getattr(lesson, what).read_text())[-1]
    with open(copy / where, "a", encoding="utf-8") as file:
        file.write(f"\n    {line}   # as if by accident\n")
    found = leaks([lesson], copy)
    assert len(found) >= 1 and found[0].startswith(where)


def test_a_planted_solution_line_is_found_in_a_notebook(bundle, tmp_path):
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    lesson = all_lessons(only="02")[0]
    shutil.copy(ROOT / "solutions" / lesson.name / f"{lesson.name}.ipynb", copy / "exercises" / lesson.name)
    assert any("the solution of" in leak or "sliding_window.py" in leak for leak in leaks([lesson], copy))


def test_answers_are_telling_and_what_anybody_writes_is_not():
    answers = [
        "return list(range(0, size - window + 1, stride))",
        "x = x.flip(3) * weight[:, None]",
        "total += kernel * kernel * area",
    ]
    idioms = ["super().__init__()", "with torch.no_grad():", "nn.MaxPool2d(2, stride=2),", "for _ in range(depth):"]
    idioms += ["in_channels = out_channels", "stages = nn.Sequential()", "optimizer.zero_grad()", "loss.backward(grad)"]
    for line in answers:
        assert telling_lines(line), line
    for line in idioms:
        assert not telling_lines(line), line


def test_the_companion_works_where_the_instructors_does_not_exist(bundle, tmp_path):
    """In the bundle's own folder, with nothing else on the path: check, data and status."""
    code = (
        "import sys; sys.path = [p for p in sys.path if not p.endswith('main')]; sys.path.insert(0, '.')\n"
        "import importlib.util\n"
        "import seglab, seglab.checking.show, seglab.checking.progress, seglab.figures\n"
        "from seglab.data.scenes import load_scenes\n"
        "assert load_scenes('val', size=64, count=2, seed=0).images.shape == (2, 3, 64, 64)\n"
        "assert 'segmentation-course' in seglab.__file__, seglab.__file__\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=bundle, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
