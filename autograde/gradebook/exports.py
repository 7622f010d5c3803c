"""What leaves nbgrader's gradebook: grades as a table for the office, rounded and quoted."""

import csv

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.plugins import ExportPlugin

DIGITS = 2  # of a score: shares of points are no round numbers, and 14.653599999999999 is nobody's grade

COLUMNS = [
    "assignment",
    "duedate",
    "timestamp",
    "student_id",
    "last_name",
    "first_name",
    "email",
    "raw_score",
    "late_submission_penalty",
    "score",
    "max_score",
]


class GradeSheet(ExportPlugin):
    """nbgrader's own columns, one row for every student of the roster and every assignment.

    Two things are different from nbgrader's: scores are rounded, and a comma in a name does not move the columns.
    """

    def export(self, gradebook: Gradebook) -> None:
        path = self.to or "grades.csv"
        self.log.info("Exporting grades to %s", path)
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            for assignment in gradebook.assignments:
                for student in gradebook.students:
                    if self._asked_for(assignment.name, self.assignment) and self._asked_for(student.id, self.student):
                        writer.writerow(self._row(gradebook, assignment, student))

    @staticmethod
    def _asked_for(name, chosen) -> bool:
        return not chosen or name in map(str, chosen)

    @staticmethod
    def _row(gradebook, assignment, student) -> dict:
        try:
            submission = gradebook.find_submission(assignment.name, student.id)
            timestamp, raw, penalty = submission.timestamp, submission.score, submission.late_submission_penalty or 0.0
        except MissingEntry:
            timestamp, raw, penalty = None, 0.0, 0.0
        row = {
            "assignment": assignment.name,
            "duedate": assignment.duedate,
            "timestamp": timestamp,
            "student_id": student.id,
            "last_name": student.last_name,
            "first_name": student.first_name,
            "email": student.email,
            "raw_score": rounded(raw),
            "late_submission_penalty": rounded(penalty),
            "score": rounded(max(0.0, raw - penalty)),
            "max_score": rounded(assignment.max_score),
        }
        return {name: "" if value is None else value for name, value in row.items()}


def rounded(score: float) -> float:
    """A score as it is shown and handed on."""
    return round(float(score), DIGITS)
