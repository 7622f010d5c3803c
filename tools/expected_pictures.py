"""Draws the expected pictures of the exercises: python tools/expected_pictures.py [NN_topic]

A solution's script marks the cells that draw with `picture="name"`. They are run here with the reference's functions,
and what they show is written to solutions/NN_topic/expected_name.png, the one place where a picture is kept; whatever
is released gets its copy from there. Run it after changing such a cell, and look.
"""

import io
import sys

from PIL import Image

from autograde.lessons import ROOT, all_lessons
from seglab.figures import to_png

MOST_COLOURS = 4000  # of a drawing; with more it is a photo, and a palette keeps it below 150 kB


def draw(lesson) -> list:
    """Run the setup and the picture cells of a lesson; returns the paths that were written."""
    written = []
    names = {exercise.name for exercise in lesson.exercises}
    namespace = {name: getattr(lesson.reference, name) for name in names}
    setup = next(cell for cell in lesson.cells if cell.cell_type == "code")
    exec(setup.source, namespace)
    for cell in lesson.cells:
        if "picture" in cell.metadata:
            path = lesson.solution_folder / f"expected_{cell.metadata['picture']}.png"
            path.unlink(missing_ok=True)
            namespace["show"] = lambda figure, alt, path=path: save(figure, path)
            exec(cell.source, namespace)
            if not path.exists():  # the cells of a notebook print what went wrong instead of raising it
                raise RuntimeError(f"the cell picture={cell.metadata['picture']!r} of {lesson.name} showed no figure")
            written.append(path)
    return written


def save(figure, path) -> None:
    picture = Image.open(io.BytesIO(to_png(figure, dpi=80))).convert("RGB")
    path.parent.mkdir(parents=True, exist_ok=True)
    if picture.getcolors(MOST_COLOURS) is None:
        picture = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)


if __name__ == "__main__":
    for lesson in all_lessons(only=sys.argv[1] if len(sys.argv) > 1 else None):
        for path in draw(lesson):
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB")
