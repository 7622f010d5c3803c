"""What a student receives, and the proof that nothing else is in it."""

import ast
import json
import re
import shutil
import tomllib
import zipfile
from pathlib import Path

import nbformat

from autograde.lessons import ROOT, Lesson

BUNDLE = "segmentation-course"

# What anybody writes, and what gives nothing away: a pooling in a list of layers, the first line of a constructor, a
# loop over a range, a call with nothing but names in it.
_EVERYBODY_WRITES = re.compile(
    r"super\(\)\.__init__\(\)|with torch\.\w+\(\):|nn\.\w+\([\w, .=]*\),?|for \w+ in range\(\w+\):"
    r"|if isinstance\([\w, .]+\):|\w+ = \w+|\w+ = nn\.\w+\(\)?|return nn\.Sequential\(\*\w+\)"
    r"|\w+\.\w+\([\w, .=\"]*\)"
)


def make_bundle(root: Path = ROOT, out: Path | None = None) -> Path:
    """Write the student's bundle: a folder and a zip of it below `out` (by default dist/). Returns the folder."""
    root, out = Path(root), Path(out or Path(root) / "dist")
    folder = out / BUNDLE
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("lectures", "exercises", "seglab"):
        shutil.copytree(
            root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "*.py~")
        )
    for name in ("environment.yml", "constraints.txt", "LICENSE", "LICENSE-LESSONS"):
        shutil.copy(root / name, folder / name)
    for path in (Path(__file__).parent / "student_bundle").iterdir():  # the student's own README and Makefile
        shutil.copy(path, folder / path.name)
    (folder / "pyproject.toml").write_text(student_pyproject(root), encoding="utf-8")
    with zipfile.ZipFile(out / f"{BUNDLE}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                stamp = zipfile.ZipInfo(f"{BUNDLE}/{path.relative_to(folder)}", (2026, 1, 1, 0, 0, 0))
                stamp.compress_type, stamp.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                archive.writestr(stamp, path.read_bytes())
    return folder


def student_pyproject(root: Path) -> str:
    """The project file without the instructor's and contributor's parts."""
    project = tomllib.loads((Path(root) / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = "".join(f"    {json.dumps(one)},\n" for one in project["dependencies"])
    return (
        '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n\n'
        f'[project]\nname = "{project["name"]}"\nversion = "{project["version"]}"\n'
        f'requires-python = "{project["requires-python"]}"\ndependencies = [\n{needs}]\n\n'
        '[tool.setuptools]\npackages = ["seglab"]\n\n'
        '[tool.setuptools.package-data]\nseglab = ["assets/**", "checks/*"]\n'
    )


def leaks(lessons: list[Lesson], folder: Path) -> list[str]:
    """Every telling line of hidden code that stands in a file of the bundle: `file:line: text (from ...)`."""
    secret: dict[str, str] = {}
    for lesson in lessons:
        for path in (lesson.reference_file, lesson.grader_file, lesson.misconception_file, lesson.alternative_file):
            for line in telling_lines(path.read_text(encoding="utf-8")):
                secret.setdefault(line, path.name)
        for cell in lesson.cells:
            if "solution" in cell.metadata:
                for region in re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", cell.source, re.DOTALL):
                    for line in telling_lines(region):
                        secret.setdefault(line, f"the solution of {lesson.name}")
    found = []
    for path in sorted(Path(folder).rglob("*")):
        if not path.is_file() or path.suffix in (".png", ".jpg", ".npz"):
            continue
        for number, line in enumerate(_text_lines(path), 1):
            source = secret.get(_squeeze(line))
            if source:
                found.append(f"{path.relative_to(folder)}:{number}: {line.strip()} (from {source})")
    return found


def telling_lines(source: str) -> list[str]:
    """The lines of a source that would give something away: code, not imports, signatures, docstrings or brackets."""
    skip = _docstring_lines(source)
    lines = []
    for number, line in enumerate(source.splitlines(), 1):
        text = line.split("  # ")[0].strip()
        boring = text.startswith(("#", "import ", "from ", "def ", "class ", "@", '"""', 'r"""', "with student.raises"))
        boring = boring or _EVERYBODY_WRITES.fullmatch(text)
        if number not in skip and not boring and len(_squeeze(text)) >= 16 and re.search(r"[=(\[]", text):
            lines.append(_squeeze(text))
    return lines


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
