"""`autograde new-lesson` and `autograde new-exercise`: every piece of one, to be filled in.

A template below `templates/` is named like the piece of `Lesson` that it becomes, and that says where it goes. What is
left to write says `TODO(name)`, and the audit fails for as long as one of them is there.
"""

import keyword
import re
from pathlib import Path

from autograde.lessons import ROOT, Lesson, all_lessons, plain

TEMPLATES = Path(__file__).parent / "templates"


def new_lesson(name: str, exercises: list[str], root: Path = ROOT) -> list[Path]:
    """Write the pieces of a lesson `NN_topic`, and of its first exercises; returns the files.

    Raises ValueError, before anything is written, for a name that will not do or is taken.
    """
    if not re.fullmatch(r"\d\d_[a-z][a-z0-9_]*", name) or keyword.iskeyword(name[3:]):
        raise ValueError(f"a lesson is named like 06_deconvnet, not {name!r}")
    lesson = Lesson(name, root)
    taken = [one.name for one in all_lessons(root) if one.number == lesson.number or one.topic == lesson.topic]
    if taken or lesson.lecture.exists():
        raise ValueError(f"{name}: number or topic is taken by {', '.join(taken) or lesson.lecture.name}")
    _check_exercises(exercises, root)
    written = _write("lesson", lesson, {})
    for exercise in exercises:
        new_exercise(name, exercise, root)
    return written


def new_exercise(lesson_name: str, exercise: str, root: Path = ROOT) -> list[Path]:
    """Append the pieces of an exercise to the files of a lesson; returns the files.

    Raises ValueError, before anything is written, if there is no such lesson, or the name will not do or is taken.
    """
    lesson = all_lessons(root, lesson_name)[0]
    _check_exercises([exercise], root)
    words = {
        "NAME": exercise,
        "CAMEL": "".join(part[:1].upper() + part[1:] for part in exercise.split("_")),
        "POSITION": str(len(lesson.exercises) + 1),
    }
    written = _write("exercise", lesson, words)
    source = lesson.source.read_text(encoding="utf-8")
    row = f"# | {words['POSITION']} `{exercise}` | TODO({exercise}) | 15 | ●● | 2 |\n"
    # In the table of the title cell: after its last row, which is the first place where a table line ends the table.
    source = re.sub(r"(\A.*?\n# \|---.*?\n)(?!# \|)", lambda found: found[1] + row, source, count=1, flags=re.DOTALL)
    lesson.source.write_text(source, encoding="utf-8")
    return written


def placeholders(path: Path, name: str) -> str:
    """Where in a file something is still to be written for a lesson or an exercise; nothing if all is."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    numbers = [str(number) for number, line in enumerate(lines, 1) if f"TODO({name})" in line]
    return f"{path.parent.name}/{path.name}, lines {', '.join(numbers)}" if numbers else ""


def _check_exercises(names, root):
    taken = {plain(exercise.name) for lesson in all_lessons(root) for exercise in lesson.exercises}
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
            raise ValueError(f"an exercise is named like a function or class, not {name!r}")
        if plain(name) in taken:
            raise ValueError(f"there is an exercise {name!r} already")
        taken.add(plain(name))


def _write(kind: str, lesson: Lesson, words: dict[str, str]) -> list[Path]:
    """Fill the templates of a kind and put each where it belongs; a file that is there is appended to."""
    words = words | {"LESSON": lesson.name, "TOPIC": lesson.topic, "NUMBER": lesson.number}
    pattern = re.compile("|".join(words))
    written = []
    for template in sorted((TEMPLATES / kind).iterdir()):
        if template.is_dir():  # __pycache__
            continue
        path = getattr(lesson, template.stem)
        text = pattern.sub(lambda found: words[found[0]], template.read_text(encoding="utf-8"))
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(before + ("\n" if before and not text.startswith("\n") else "") + text, encoding="utf-8")
        written.append(path)
    return written
