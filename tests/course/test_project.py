"""The house itself: dependencies, imports, licences, the Makefile, and that nothing of one machine is in it."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def tracked(*patterns) -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


def test_conda_users_get_the_same_dependencies():
    lines = (ROOT / "environment.yml").read_text().splitlines()
    listed = [line.strip().removeprefix("- ") for line in lines if line.startswith("      - ")]
    assert [one for one in listed if not one.startswith("-")] == PROJECT["dependencies"]
    assert f"  - python{PROJECT['requires-python']}" in lines


def test_every_dependency_is_pinned_in_the_constraints():
    pinned = {
        re.split("==", line)[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().split("\n")
        if "==" in line
    }
    extras = PROJECT["optional-dependencies"]
    for requirement in [*PROJECT["dependencies"], *extras["instructor"], *extras["dev"]]:
        name = re.split(r"[\[<>=]", requirement)[0].lower()
        assert name in pinned or name == PROJECT["name"], f"{name} has no exact version"


def imported_modules(path: Path) -> set[str]:
    """Full names of what a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def imports(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported_modules(path)}


# The rooms of the house: each imports from those below it and from itself. Rooms in one line do not know each other.
FLOORS = [
    ["seglab.data", "seglab.bridge"],
    ["seglab.figures", "seglab.training", "seglab.networks", "seglab.layers", "seglab.timing", "seglab.course"],
    ["seglab.weights"],
    ["seglab.results"],
    ["seglab.checking", "seglab.drawings"],
    ["seglab", "seglab.__main__"],  # the face that notebooks see, and the command line
    ["autograde.reference"],
    ["autograde.graders"],
    ["autograde.lessons"],
    ["autograde.grading"],
    ["autograde.gradebook"],
    ["autograde.authoring"],
    ["autograde", "autograde.__main__"],
    ["benchmarks"],
]
ROOMS = [room for floor in FLOORS for room in floor]
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}


def room_of(module: str) -> str | None:
    """The room that a module is in: the longest name that it begins with. None for somebody else's module."""
    return max((room for room in ROOMS if f"{module}.".startswith(f"{room}.")), key=len, default=None)


def arrows() -> set[tuple[str, str, str]]:
    """(file, room it is in, other room it imports from) of the whole code."""
    found = set()
    for name in ("seglab", "autograde", "benchmarks"):
        for path in ROOT.glob(f"{name}/**/*.py"):
            if "templates" not in path.parts:
                room = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
                for other in {room_of(module) for module in imported_modules(path)} - {None, room}:
                    found.add((str(path.relative_to(ROOT)), room, other))
    return found


def test_every_module_is_in_a_room():
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.glob("*/*.py")]
    ours = [name for name in modules if name.split(".")[0] in ("seglab", "autograde") and "__init__" not in name]
    assert ours and not [name for name in ours if room_of(name) in ("seglab", "autograde")]


def test_imports_run_one_way():
    """A room imports only from rooms below it; `from seglab import check` is the face of the checks, for notebooks."""
    packages = {"seglab", "autograde"}  # `from seglab.data import scenes` names the package, too, and no module of it
    up = [
        f"{path} imports from {other}"
        for path, room, other in sorted(arrows())
        if other not in packages and FLOOR_OF[other] >= FLOOR_OF[room]
    ]
    assert not up


def test_the_students_side_never_imports_the_instructors():
    sources = [*ROOT.glob("seglab/**/*.py"), *ROOT.glob("lectures/*.py"), *ROOT.glob("solutions/*.py")]
    assert sources
    for path in sources:
        assert not imports(path) & {"autograde", "benchmarks"}, path


def test_the_students_side_imports_only_what_a_student_installs():
    allowed = {re.split(r"[\[<>=]", one)[0] for one in PROJECT["dependencies"]} | {"PIL", "IPython", "comm", "seglab"}
    # These come with jupyterlab and ipykernel, and are needed to read, run and draw in a notebook.
    allowed |= {"nbformat", "jupyter_client", "matplotlib_inline", "traitlets", "jinja2", "markupsafe"}
    for path in [*ROOT.glob("seglab/**/*.py"), *ROOT.glob("lectures/*.py"), *ROOT.glob("solutions/*.py")]:
        foreign = imports(path) - allowed - set(sys.stdlib_module_names)
        assert not foreign, f"{path.relative_to(ROOT)} imports {sorted(foreign)}"


def test_make_help_tells_of_every_target_and_is_the_default():
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"lab", "test", "status", "reset", "notebooks", "audit", "demo", "release", "bench", "help"} <= set(targets)
    for target in targets:
        assert f"make {target}" in done.stdout


def test_the_readme_names_commands_that_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in [*ROOT.glob("*.md"), ROOT / "autograde" / "authoring" / "student_bundle" / "README.md"]:
        named = set(re.findall(r"`?make ([a-z]+)", document.read_text()))
        assert named <= targets | {"sure", "it", "a", "the"}, document


def test_links_in_the_documents_lead_somewhere():
    for document in ROOT.glob("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)", document.read_text()):
            assert target.startswith("http") or (document.parent / target).exists(), f"{document.name}: {target}"


def test_nothing_of_one_machine_is_in_the_repository():
    # Put together from pieces, so that this file does not name what it looks for.
    hosts = [
        "pypi" + ".org",
        "files.python" + "hosted",
        "registry." + "npmjs",
        "deb." + "debian",
        "download." + "pytorch",
    ]
    homes = [f"{folder}/" for folder in (Path.home(), ROOT) if len(folder.parts) > 1]
    for path in tracked():
        if path.suffix in (".png", ".jpg", ".npz") or path.name == "constraints.txt":
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for word in [*hosts, *homes]:
            assert word not in text, f"{path.relative_to(ROOT)} names {word}"


def test_no_tracked_file_is_large():
    for path in tracked():
        assert path.stat().st_size <= 2 * 2**20, path


def test_ruff_finds_nothing():
    for arguments in (["check"], ["format", "--check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *arguments, "."], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_public_functions_say_what_they_do():
    for path in [*ROOT.glob("seglab/*.py"), *ROOT.glob("autograde/*.py"), *ROOT.glob("autograde/reference/*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), f"{path.name} has no docstring"
        for node in tree.body:
            if (
                isinstance(node, (ast.FunctionDef, ast.ClassDef))
                and not node.name.startswith("_")
                and node.name != "main"
            ):
                assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"


def test_the_package_installs_all_of_itself():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for name in ("seglab", "autograde")
        for path in ROOT.glob(f"{name}/**/*.py")
    }
    holds_modules = {name for name in found if (ROOT / name.replace(".", os.sep) / "__init__.py").exists()}
    assert holds_modules <= set(packages)
