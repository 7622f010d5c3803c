"""Makes a clean notebook of whatever was handed in: the released notebook with the student's own code put into it.

Nothing of the submission's metadata survives: no tags, no points, no schema versions. Cells are matched by nbgrader's
id and, where that is gone, by the function they define. What had to be mended is noted, in words for the student.
"""

import ast
import html
import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from autograde.grading.rules import statements

MAX_BYTES = 50 * 2**20  # of the file, outputs included
MAX_SOURCE = 200_000  # characters of one cell: parsing a few megabytes of code takes gigabytes
MAX_SOURCES = 2_000_000  # of all cells
MAX_CELLS = 1_000


@dataclass
class Repaired:
    """A notebook that can be graded. `notes` are sentences for the student; `unreadable` if nothing could be used.

    `problem` says why, in the words of whatever failed: for the instructor only, since a file can choose these words.
    """

    notebook: nbformat.NotebookNode
    notes: list[str] = field(default_factory=list)
    unreadable: bool = False
    problem: str = ""


@dataclass
class _Cell:
    kind: str
    source: str
    grade_id: str | None


def read_submission(path: Path, release: nbformat.NotebookNode) -> Repaired:
    """Read and repair a submitted notebook; one that cannot be read becomes the released one, with a note."""
    try:
        repaired = repair(_read_cells(Path(path)), release)
    except Exception as error:  # whatever a file can do to a parser
        repaired = repair([], release)
        repaired.notes = ["The file could not be read as a notebook, so there was nothing to grade."]
        repaired.unreadable, repaired.problem = True, f"{type(error).__name__}: {error}"[:300]
    _announce(repaired)
    return repaired


def _read_cells(path: Path) -> list[_Cell]:
    if path.is_symlink() or not path.is_file():
        raise ValueError("it is a link or no ordinary file")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES // 2**20} MiB")
    text = path.read_text(encoding="utf-8-sig")
    if not text.strip():
        raise ValueError("it is empty")
    raw = json.loads(text)
    if not isinstance(raw, dict):
        raise ValueError("it is JSON, but no notebook")
    if raw.get("nbformat", 4) != 4:  # an older Jupyter's format; nbformat knows how to convert it
        raw = nbformat.reads(text, as_version=4)
    cells = [cell for item in raw["cells"] if (cell := _read_cell(item)) is not None]
    lengths = [len(cell.source) for cell in cells]
    if len(cells) > MAX_CELLS or max(lengths, default=0) > MAX_SOURCE or sum(lengths) > MAX_SOURCES:
        raise ValueError("it holds more cells or text than a person writes")
    return cells


def _read_cell(item) -> _Cell | None:
    if not isinstance(item, dict) or item.get("cell_type") not in ("code", "markdown", "raw"):
        return None
    source = item.get("source", "")
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    if not isinstance(source, str):
        return None
    metadata = item.get("metadata")
    nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    grade_id = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    source = source.encode("utf-8", "replace").decode().replace("\r\n", "\n")
    return _Cell(item["cell_type"], source, grade_id if isinstance(grade_id, str) else None)


def repair(cells: list[_Cell], release: nbformat.NotebookNode) -> Repaired:
    """The released cells in their order, with the student's answers, and their other cells where they put them."""
    notes: list[str] = []
    ours = {cell.metadata.nbgrader.grade_id: cell for cell in release.cells if "nbgrader" in cell.metadata}
    stubs = {name: cell for name, cell in ours.items() if cell.metadata.nbgrader.solution}
    found = {name: _find_answer(name, stub, cells, notes) for name, stub in stubs.items()}
    answers = {name: index for name, index in found.items() if index is not None}
    own, seen = _own_cells(cells, ours, stubs, answers, notes)
    for name, cell in ours.items():
        if cells and name not in seen and (cell.metadata.nbgrader.grade or name in stubs):
            notes.append(f"The cell `{name}` was missing; it was put back.")
    notebook = _put_together(release, {name: cells[index].source for name, index in answers.items()}, own)
    return Repaired(notebook, list(dict.fromkeys(notes)))


def _own_cells(cells, ours, stubs, answers, notes) -> tuple[dict[str | None, list[_Cell]], set[str]]:
    """The student's own cells by the released cell before them (None: at the top), and which of ours are there.

    answers: grade id -> index of the cell that holds the answer. Copies of released cells are left out, with a note.
    """
    by_index = {index: name for name, index in answers.items()}
    locked = {cell.source.strip() for cell in ours.values() if cell.metadata.nbgrader.locked}
    own: dict[str | None, list[_Cell]] = {}
    behind, seen = None, set()
    for index, cell in enumerate(cells):
        name = by_index.get(index) or (cell.grade_id if cell.grade_id in ours else None)
        if index in by_index or (name and name not in stubs):
            if name in seen:
                notes.append(f"The cell `{name}` was there more than once; the copy was left out.")
            seen.add(name)
            behind = name
        elif name and cell.source == stubs[name].source:
            notes.append(f"A copy of the empty cell `{name}` was left out.")
        elif cell.source.strip() and cell.source.strip() not in locked:
            if name:
                notes.append(f"The cell `{name}` was there more than once; both were run, in their order.")
            own.setdefault(behind, []).append(cell)
    return own, seen


def _put_together(release, sources: dict[str, str], own: dict[str | None, list[_Cell]]) -> nbformat.NotebookNode:
    """The released notebook with these sources in its answer cells, and the student's own cells between."""
    number = itertools.count()
    result = [_extra(cell, next(number)) for cell in own.get(None, [])]
    for cell in release.cells:
        cell = nbformat.from_dict(json.loads(json.dumps(cell)))
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        cell.source = sources.get(name, cell.source)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        result.append(cell)
        if name:
            result += [_extra(one, next(number)) for one in own.get(name, [])]
    notebook = new_notebook(cells=result, metadata=json.loads(json.dumps(release.metadata)))
    notebook.nbformat_minor = release.nbformat_minor
    return notebook


def _find_answer(name, stub, cells, notes) -> int | None:
    """The index of the cell that holds the answer: by its id, the first that was changed; else by what it defines."""
    named = [index for index, cell in enumerate(cells) if cell.grade_id == name]
    changed = [index for index in named if cells[index].source.strip() != stub.source.strip()]
    if changed or named:
        index = (changed or named)[0]
        if cells[index].kind != "code":
            notes.append(f"The cell `{name}` was not a code cell any more; it was run as code.")
        return index
    for index, cell in enumerate(cells):
        if cell.kind == "code" and _defines(name, cell.source):
            notes.append(f"The cell that defines `{name}` had lost its mark; it was found by its name.")
            return index
    return None


def _defines(name, source) -> bool:
    try:
        body = statements(source)
    except SyntaxError:
        return False
    return any(isinstance(s, (ast.FunctionDef, ast.ClassDef)) and s.name == name for s in body)


def _extra(cell: _Cell, number: int):
    """A cell of the student's own.

    Their text is shown as it was typed: it is opened in the instructor's browser, and Markdown, HTML and formulas all
    have ways to run something there. One <pre> without an empty line is one block that none of them looks into.
    """
    if cell.kind == "code":
        return new_code_cell(cell.source, id=f"own-{number}")
    text = html.escape(cell.source[:20_000]).replace("$", "&#36;").replace("\\", "&#92;").replace("\n", "&#10;")
    return new_markdown_cell(f"<pre>{text}</pre>", id=f"own-{number}")


def _announce(repaired: Repaired):
    """Say on top of the notebook what was mended."""
    repaired.notebook.metadata["seglab"] = {"notes": repaired.notes, "unreadable": repaired.unreadable}
    if repaired.notes:
        lines = "\n".join(f"- {note}" for note in repaired.notes)
        text = f"**Before grading, this notebook was mended:**\n\n{lines}"
        repaired.notebook.cells.insert(0, new_markdown_cell(text, id="notes-of-the-grader"))
