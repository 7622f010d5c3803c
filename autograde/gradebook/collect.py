"""Submissions out of the archives that Canvas and Moodle give to an instructor (`nbgrader zip_collect`)."""

import os
import re
import unicodedata
from pathlib import Path

from nbgrader.plugins.zipcollect import FileNameCollectorPlugin
from traitlets import List, Unicode

# What "download all submissions" calls a file or a folder:
CANVAS = r"(?P<name>[^_/]+)_(?:LATE_)?(?P<number>\d+)_\d+_(?P<file>.+)"  # doejane_LATE_12345_67890_02_topic-1.ipynb
MOODLE = r"(?P<name>[^/]+)_(?P<number>\d+)_assignsubmission_file_?(?P<file>.*)"  # Jane Doe_123_assignsubmission_file_


class ArchiveCollector(FileNameCollectorPlugin):
    """Tells from a path below `downloaded/ASSIGNMENT/extracted` whose notebook it is.

    The outermost part of the path that looks like a submission decides: what a student's own archive holds cannot claim
    to be somebody else's. Of several files of one student the last one counts, in the order of their names.
    """

    patterns = List(
        Unicode(),
        default_value=[MOODLE, CANVAS],
        help="Regular expressions for a file or folder of one submission, with groups `name`, `number` and `file`.",
    ).tag(config=True)

    def collect(self, submitted_file: str) -> dict | None:
        path = Path(submitted_file)
        if path.suffix not in self.valid_ext:
            self.log.warning("%s is no notebook; left where it is", path.name)
            return None
        owner = self._owner(path)
        if owner is None:
            self.log.warning("%s: whose is it? Nothing in its name looks like Canvas or Moodle", path)
            return None
        if any(self._owner(other) == owner and str(other) > str(path) for other in self._all(path)):
            self.log.warning("%s: %s handed in a later file; this one is left out", path.name, owner)
            return None
        # Named after the assignment: browsers and course systems put "-1" and "(2)" behind names.
        return {"student_id": self._student_id(path, owner), "file_id": self.parent.coursedir.assignment_id}

    def _root(self) -> Path:
        return Path(self.parent._format_collect_path(self.parent.extracted_directory))

    def _all(self, path: Path) -> list[Path]:
        return [
            Path(folder) / name
            for folder, _, names in os.walk(self._root())
            for name in names
            if Path(name).suffix in self.valid_ext
        ]

    def _owner(self, path: Path) -> tuple[str, str] | None:
        """(name, number) in the outermost part of the path that any pattern fits."""
        for part in path.relative_to(self._root()).parts:
            for pattern in self.patterns:
                if found := re.fullmatch(pattern, part):
                    return _plain(found["name"]), found["number"]
        return None

    def _student_id(self, path: Path, owner: tuple[str, str]) -> str:
        """The name alone, unless two people have it: Moodle's number is another one in every assignment."""
        name, number = owner
        namesakes = {other for other in map(self._owner, self._all(path)) if other and other[0] == name}
        return name if len(namesakes) == 1 else f"{name}_{number}"


def _plain(name: str) -> str:
    """`Zoë  Müller` as `zoe_muller`: a name for a folder on any machine."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^a-z0-9]+", "_", ascii_name.lower()).strip("_")
    return plain or "student_" + "".join(f"{ord(letter):x}" for letter in name)[:24]
