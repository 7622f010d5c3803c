"""What a student receives, and the proof that nothing else is in it."""

import ast
import json
import re
import shutil
import tomllib
import zipfile
from pathlib import Path

import nbformat

from autograde.lessons import ROOT, Lesson, all_lessons

BUNDLE = "segmentation-course"

# Lines that anybody writes and that give nothing away. NAME is any name; WORDS are names, numbers and keywords, in any
# number, with nothing computed in them.
_IDIOMS = """
    super().__init__()
    with torch.NAME():
    for NAME in range(NAME):
    for NAME in NAME.modules():
    if isinstance(WORDS):
    NAME = NAME
    NAME, NAME = NAME
    NAME, NAME, NAME = NAME
    NAME = student.keep(NAME)
    NAME = nn.NAME(
    NAME = nn.NAME()
    nn.NAME(WORDS)
    nn.NAME(WORDS),
    return nn.Sequential(*NAME)
    return NAME.get(WORDS)
    NAME.NAME(WORDS)
    NAME(NAME).backward(NAME)
"""
_EVERYBODY_WRITES = re.compile(
    "|".join(
        re.escape(idiom.strip()).replace("NAME", r"\w+").replace("WORDS", r"[\w, .=\"]*")
        for idiom in _IDIOMS.strip().splitlines()
    )
)
_NO_CODE = ("#", "import ", "from ", "def ", "class ", "@", '"""', 'r"""', "with student.raises")
_HOLDS_NO_TEXT = (".png", ".jpg", ".npz")


def make_bundle(root: Path = ROOT, out: Path | None = None) -> Path:
    """Write the student's bundle: a folder and a zip of it below `out` (by default dist/). Returns the folder."""
    root, out = Path(root), Path(out or Path(root) / "dist")
    folder = out / BUNDLE
    shutil.rmtree(folder, ignore_errors=True)
    for lesson in all_lessons(root):
        there = Lesson(lesson.name, folder)
        for path in (there.lecture_notebook, there.exercise_folder / f"{lesson.name}.ipynb"):
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / path.relative_to(folder), path)
        for picture in lesson.pictures:
            shutil.copy(picture, there.exercise_folder)
    shutil.copytree(root / "seglab", folder / "seglab", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for name in ("environment.yml", "constraints.txt", "LICENSE", "LICENSE-LESSONS"):
        shutil.copy(root / name, folder / name)
    for path in (Path(__file__).parent / "student_bundle").iterdir():  # the student's own README and Makefile
        shutil.copy(path, folder / path.name)
    (folder / "pyproject.toml").write_text(student_pyproject(root), encoding="utf-8")
    _zip(folder)
    return folder


def _zip(folder: Path) -> None:
    """The folder as an archive beside it: the same files give the same bytes."""
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}", (2026, 1, 1, 0, 0, 0))
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, path.read_bytes())


def student_pyproject(root: Path) -> str:
    """The project file without the instructor's and contributor's parts."""
    text = tomllib.loads((Path(root) / "pyproject.toml").read_text(encoding="utf-8"))
    project, tools = text["project"], text["tool"]["setuptools"]
    packages = [name for name in tools["packages"] if name.split(".")[0] == "seglab"]
    parts = {
        "[build-system]": {name: text["build-system"][name] for name in ("requires", "build-backend")},
        "[project]": {name: project[name] for name in ("name", "version", "requires-python", "dependencies")},
        "[tool.setuptools]": {"packages": packages},
        "[tool.setuptools.package-data]": {"seglab": tools["package-data"]["seglab"]},
    }
    return "\n".join(
        f"{title}\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
        for title, values in parts.items()
    )


def leaks(lessons: list[Lesson], folder: Path) -> list[str]:
    """Every telling line of hidden code that stands in a file of the bundle: `file:line: text (from ...)`."""
    secret: dict[str, str] = {}
    for lesson in lessons:
        sources = {path.name: path.read_text(encoding="utf-8") for path in lesson.hidden_files}
        sources[f"the solution of {lesson.name}"] = "\n".join(_solutions(lesson))
        for origin, source in sources.items():
            for line in telling_lines(source):
                secret.setdefault(line, origin)
    found = []
    for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
        if path.suffix not in _HOLDS_NO_TEXT:
            for number, line in enumerate(_text_lines(path), 1):
                if origin := secret.get(_squeeze(line)):
                    found.append(f"{path.relative_to(folder)}:{number}: {line.strip()} (from {origin})")
    return found


def _solutions(lesson: Lesson) -> list[str]:
    """What stands between the marks in the lesson's solution cells."""
    cells = [cell.source for cell in lesson.cells if "solution" in cell.metadata]
    return re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", "\n".join(cells), re.DOTALL)


def telling_lines(source: str) -> list[str]:
    """The lines of a source that would give something away: code, not imports, signatures, docstrings or brackets."""
    docstrings = _docstring_lines(source)
    lines = [
        line.split("  # ")[0].strip() for number, line in enumerate(source.splitlines(), 1) if number not in docstrings
    ]
    return [_squeeze(line) for line in lines if _is_telling(line)]


def _is_telling(line: str) -> bool:
    """Whether a line of code, without its comment, says more than what anybody would write."""
    if line.startswith(_NO_CODE) or _EVERYBODY_WRITES.fullmatch(line):
        return False
    return len(_squeeze(line)) >= 16 and re.search(r"[=(\[]", line) is not None


def _docstring_lines(source: str) -> set[int]:
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a solution's region is a piece of a function
        return set()
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def _squeeze(line: str) -> str:
    """A line without its spaces and trailing comment, so that another layout is still the same line."""
    return re.sub(r"\s+", "", line.split("  # ")[0])


def _text_lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".ipynb":
        return [line for cell in nbformat.reads(text, as_version=4).cells for line in cell.source.splitlines()]
    return text.splitlines()
