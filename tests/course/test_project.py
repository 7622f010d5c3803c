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


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_the_students_side_never_imports_the_instructors():
    sources = [*ROOT.glob("seglab/**/*.py"), *ROOT.glob("lectures/*.py"), *ROOT.glob("solutions/*.py")]
    assert sources
    for path in sources:
        assert "autograde" not in imports(path), path


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
    assert {"lab", "test", "status", "notebooks", "audit", "demo", "release", "bench", "help"} <= set(targets)
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
