"""Tables of a class: everybody of the roster, whatever they handed in."""

from dataclasses import dataclass, field
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry

from autograde.gradebook.exports import rounded
from autograde.grading.report import read_json, shown_name


@dataclass
class Row:
    """One student in one assignment: points by exercise (None: not graded), the penalty for being late, a remark."""

    student: str
    points: dict[str, float | None] = field(default_factory=dict)
    penalty: float = 0.0
    remark: str = ""
    report: dict = field(default_factory=dict, repr=False)

    @property
    def total(self) -> float:
        return max(0.0, sum(score or 0.0 for score in self.points.values()) - self.penalty)


def class_rows(course: Path, assignment: str) -> tuple[dict[str, float], list[Row]]:
    """What each exercise is worth, and a row for everybody: of the roster, with a folder, or with a report.

    Points are the gradebook's: what an instructor gave by hand counts, and so does a penalty.
    """
    course = Path(course)
    reports = {path.stem: read_json(path) for path in sorted((course / "reports" / assignment).glob("*.json"))}
    worth, rows = _from_gradebook(course, assignment)
    folders = {shown_name(path.parent.name): path for path in (course / "submitted").glob(f"*/{assignment}")}
    for name, one in reports.items():
        for exercise, (_, points) in one.get("earned", {}).items():
            worth.setdefault(exercise, points)
        rows.setdefault(one.get("student", name), Row(one.get("student", name)))
    for student in folders:
        rows.setdefault(student, Row(student))
    for student, row in rows.items():
        row.report = reports.get(student, {})
        for exercise, (score, _) in row.report.get("earned", {}).items():
            row.points.setdefault(exercise, score)
        row.remark = _remark(row.report, folders.get(student))
    return worth, [rows[name] for name in sorted(rows)]


def _from_gradebook(course: Path, assignment: str) -> tuple[dict[str, float], dict[str, Row]]:
    worth, rows = {}, {}
    if not (course / "gradebook.db").exists():
        return worth, rows
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        rows = {student.id: Row(student.id) for student in gradebook.students}
        try:
            notebooks = gradebook.find_assignment(assignment).notebooks
        except MissingEntry:
            return worth, {}
        worth = {_exercise(cell.name): cell.max_score for notebook in notebooks for cell in notebook.grade_cells}
        for submission in gradebook.assignment_submissions(assignment):
            row = rows[submission.student.id]
            row.penalty = submission.late_submission_penalty or 0.0
            for notebook in submission.notebooks:
                row.points |= {
                    _exercise(grade.name): grade.score
                    for grade in notebook.grades
                    if grade.auto_score is not None or grade.manual_score is not None
                }
    return worth, rows


def _exercise(cell: str) -> str:
    return cell.removeprefix("check_")


def _remark(report: dict, folder: Path | None) -> str:
    """Why there are no points, or may be too few; nothing for the usual."""
    if report.get("state") == "done":
        return ""
    if folder is None:
        return "nothing handed in"
    if not any(folder.glob("*.ipynb")):
        return "no notebook in the folder"
    return "; ".join([report.get("state", "not graded yet"), *report.get("notes", [])[:1]])


def class_table(course: Path, assignment: str) -> str:
    """Students by exercises; on top what each column is worth, below what was named and what was not graded."""
    worth, rows = class_rows(course, assignment)
    late = any(row.penalty for row in rows)
    heads = (
        [f"{name} /{points:g}" for name, points in worth.items()] + ["late"] * late + [f"sum /{sum(worth.values()):g}"]
    )
    width = max(map(len, ["student", *(row.student for row in rows)]))
    lines = ["  ".join(["student".ljust(width), *heads])]
    for row in rows:
        scores = [row.points.get(name) for name in worth]
        cells = ["-" if score is None else f"{rounded(score):g}" for score in scores]
        cells += [f"-{rounded(row.penalty):g}"] * late + [f"{rounded(row.total):g}"]
        texts = [cell.rjust(len(head)) for cell, head in zip(cells, heads, strict=True)]
        lines.append("  ".join([row.student.ljust(width), *texts]) + (f"  ({row.remark})" if row.remark else ""))
    levels = sorted({row.report["isolation"] for row in rows if "isolation" in row.report})
    lines.append(f"isolation: {', '.join(levels) or 'nothing was run'}")
    named = [
        f"  {row.student}: {one['exercise']}: {one['explanation']}"
        for row in rows
        for one in row.report.get("exercises", [])
        if one.get("misconception")
    ]
    return "\n".join(lines + (["named misconceptions:", *named] if named else []))
