"""Tables of a class."""

from pathlib import Path

from autograde.grading.report import read_json


def class_table(course: Path, assignment: str) -> str:
    """Students by exercises, from the reports; on top what each column is worth."""
    reports = [read_json(path) for path in sorted((Path(course) / "reports" / assignment).glob("*.json"))]
    worth: dict[str, float] = {}
    for one in reports:
        worth |= {name: points for name, (_, points) in one.get("earned", {}).items()}
    students = [one.get("student", "?") for one in reports]
    width = max(map(len, ["student", *students]))
    lines = ["  ".join(["student".ljust(width), *(f"{name} /{points:g}" for name, points in worth.items()), "sum"])]
    for one in reports:
        cells = []
        for name, points in worth.items():
            score = one.get("earned", {}).get(name, [None])[0]
            cells.append(("-" if score is None else f"{score:g}").rjust(len(f"{name} /{points:g}")))
        total = sum(score for score, _ in one.get("earned", {}).values())
        remark = "" if one.get("state") == "done" else f"  ({one.get('state')})"
        lines.append("  ".join([one.get("student", "?").ljust(width), *cells, f"{total:g}{remark}"]))
    levels = sorted({one["isolation"] for one in reports if "isolation" in one})
    lines.append(f"isolation: {', '.join(levels) or 'nothing was run'}")
    named = [
        f"  {one['student']}: {e['exercise']}: {e['explanation']}"
        for one in reports
        for e in one.get("exercises", [])
        if e.get("misconception")
    ]
    return "\n".join(lines + (["named misconceptions:", *named] if named else []))
