"""What a student receives: all of theirs and nothing of ours."""

import filecmp
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest

from autograde.authoring.release import leaks, make_bundle, telling_lines
from autograde.lessons import ROOT, all_lessons
from seglab.course import lay, reset


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
    lessons = {
        path.relative_to(bundle).as_posix()
        for name in ("lectures", "exercises")
        for path in (bundle / name).rglob("*.*")
    }
    wanted = set()
    for lesson in all_lessons():
        wanted |= {f"lectures/{lesson.name}.ipynb", f"exercises/{lesson.name}/{lesson.name}.ipynb"}
        wanted |= {f"exercises/{lesson.name}/{picture.name}" for picture in lesson.pictures}
    assert lessons == wanted and any(name.endswith(".png") for name in wanted)


def test_the_bundles_project_file_installs_the_companion_whole_and_nothing_of_ours(bundle):
    text = (bundle / "pyproject.toml").read_text()
    assert "autograde" not in text
    tools = tomllib.loads(text)["tool"]["setuptools"]
    for path in (bundle / "seglab").rglob("__init__.py"):
        assert ".".join(path.parent.relative_to(bundle).parts) in tools["packages"]
    packed = {path for pattern in tools["package-data"]["seglab"] for path in (bundle / "seglab").glob(pattern)}
    data = {path for path in (bundle / "seglab").rglob("*") if path.is_file() and path.suffix != ".py"}
    assert data <= packed | {one for path in packed if path.is_dir() for one in path.rglob("*")}


def test_a_released_bundle_is_laid_as_the_students_own_course(bundle, tmp_path):
    assert lay(bundle, tmp_path / "course") == 0
    for name in ("lectures", "exercises"):
        assert not filecmp.dircmp(bundle / name, tmp_path / "course" / name).left_only
    lesson = all_lessons()[0]
    assert reset(lesson.exercises[0].name, bundle, tmp_path / "course") == 0


def test_the_zip_holds_the_same_files(bundle):
    with zipfile.ZipFile(bundle.parent / f"{bundle.name}.zip") as archive:
        packed = {name.split("/", 1)[1] for name in archive.namelist()}
    assert packed == {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}


def test_no_line_of_hidden_code_leaks(bundle):
    assert leaks(all_lessons(), bundle) == []


@pytest.mark.parametrize("where", ["seglab/data/scenes.py", "lectures/note.py", "exercises/02_sliding_window/note.md"])
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
        "nn.MaxPool2d(2, stride=2 * jump),",
        "optimizer.step(loss + penalty)",
        "in_channels = out_channels + 1",
        "height, width = width, height",
        "return kept.get(name).flatten()",
        "for layer in reversed(network.modules()):",
        "for row in range(size - window):",
        "if isinstance(layer, nn.Conv2d) and layer.stride == 2:",
    ]
    idioms = ["super().__init__()", "with torch.no_grad():", "nn.MaxPool2d(2, stride=2),", "for _ in range(depth):"]
    idioms += ["if isinstance(layer, nn.Conv2d):", "return nn.Sequential(*layers)", "encoder = nn.Sequential("]
    idioms += ["channels, height, width = shape", "kept = student.keep(network)", 'return kept.get("grad")']
    idioms += ["for layer in network.modules():", "network(windows).backward(grad)"]
    idioms += ["in_channels = out_channels", "stages = nn.Sequential()", "optimizer.zero_grad()", "loss.backward(grad)"]
    for line in answers:
        assert telling_lines(line), line
    for line in idioms:
        assert not telling_lines(line), line


def test_the_companion_works_where_the_instructors_does_not_exist(bundle, tmp_path):
    """In the bundle's own folder, with nothing else on the path: check, data and status."""
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "import seglab, seglab.checking.show, seglab.checking.progress, seglab.course, seglab.figures\n"
        "from seglab.data.scenes import load_scenes\n"
        "assert load_scenes('val', size=64, count=2, seed=0).images.shape == (2, 3, 64, 64)\n"
        "assert 'segmentation-course' in seglab.__file__, seglab.__file__\n"
    )
    environment = os.environ | {"PYTHONPATH": str(bundle)}
    done = subprocess.run([sys.executable, "-c", code], cwd=bundle, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
