"""Whatever is handed in, a clean notebook comes out: the released cells in their order, the student's code in them."""

import html
import json

import nbformat
import pytest
from nbconvert.exporters import HTMLExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from autograde.gradebook.repair import read_submission


def marked(cell, grade_id, *, grade=False, solution=False, points=None):
    nbgrader = {
        "grade": grade,
        "grade_id": grade_id,
        "locked": not solution,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }
    cell.metadata["nbgrader"] = nbgrader | ({"points": points, "checksum": "x"} if grade else {})
    cell.id = grade_id.replace("_", "-")
    return cell


@pytest.fixture
def release():
    cells = [
        marked(new_code_cell("from seglab import check"), "setup"),
        marked(new_markdown_cell("Write f."), "about_f"),
        marked(new_code_cell("def f(x):\n    raise NotImplementedError"), "f", solution=True),
        marked(new_code_cell("check(f)"), "check_f", grade=True, points=2),
        marked(new_code_cell("def g(x):\n    raise NotImplementedError"), "g", solution=True),
        marked(new_code_cell("check(g)"), "check_g", grade=True, points=3),
    ]
    return new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})


@pytest.fixture
def submit(release, tmp_path):
    """Change a copy of the release, hand it in, and get back what would be graded."""

    def hand_in(change=None, raw=None):
        content = json.loads(nbformat.writes(release))
        content["cells"][2]["source"] = "def f(x):\n    return x"
        if change:
            content = change(content) or content
        path = tmp_path / "lesson.ipynb"
        path.write_bytes(raw if raw is not None else json.dumps(content).encode())
        repaired = read_submission(path, release)
        nbformat.validate(repaired.notebook)
        return repaired

    return hand_in


def sources(repaired):
    return {c.metadata.nbgrader.grade_id: c.source for c in repaired.notebook.cells if "nbgrader" in c.metadata}


def order(repaired):
    return [
        c.metadata.get("nbgrader", {}).get("grade_id", "own")
        for c in repaired.notebook.cells
        if c.id != "notes-of-the-grader"
    ]


RELEASED = ["setup", "about_f", "f", "check_f", "g", "check_g"]


def test_an_ordinary_submission_is_unchanged_and_nothing_is_noted(submit):
    repaired = submit()
    assert repaired.notes == []
    assert order(repaired) == RELEASED
    assert sources(repaired)["f"] == "def f(x):\n    return x"


def test_outputs_tags_points_and_locked_sources_do_not_survive(submit):
    def change(content):
        for cell in content["cells"]:
            cell["metadata"]["tags"] = ["skip-execution"]
            if cell["cell_type"] == "code":
                cell["outputs"] = [
                    {
                        "output_type": "execute_result",
                        "data": {"text/plain": "2.0"},
                        "metadata": {},
                        "execution_count": 1,
                    }
                ]
        content["cells"][3]["metadata"]["nbgrader"]["points"] = 1000
        content["cells"][3]["source"] = "2.0"
        content["metadata"]["kernelspec"] = {"name": "evil", "display_name": "evil"}

    repaired = submit(change)
    for cell in repaired.notebook.cells:
        assert "tags" not in cell.metadata
        assert cell.get("outputs", []) == []
    check = repaired.notebook.cells[3]
    assert (check.source, check.metadata.nbgrader.points) == ("check(f)", 2)
    assert repaired.notebook.metadata.kernelspec.name == "python3"


def duplicate_answer(content):
    content["cells"].insert(3, json.loads(json.dumps(content["cells"][2])))


def duplicate_check(content):
    content["cells"].append(json.loads(json.dumps(content["cells"][3])))


def delete_check(content):
    del content["cells"][3]


def delete_answer_and_check(content):
    del content["cells"][4:6]


def strip_metadata(content):
    for cell in content["cells"]:
        cell["metadata"] = {}


def null_metadata(content):
    for cell in content["cells"]:
        cell["metadata"]["nbgrader"] = None


def schema(version):
    def change(content):
        content["cells"][3]["metadata"]["nbgrader"]["schema_version"] = version

    return change


def rename_id(content):
    content["cells"][2]["metadata"]["nbgrader"]["grade_id"] = "something else!"


def unlock(content):
    content["cells"][3]["metadata"]["nbgrader"] |= {"grade": False, "solution": True, "locked": False}


def checks_first(content):
    content["cells"] = content["cells"][3:4] + content["cells"][:3] + content["cells"][4:]


def other_type(content):
    content["cells"][3]["cell_type"] = "markdown"
    content["cells"][2]["cell_type"] = "raw"


def older_format(content):
    cells = [
        {
            "cell_type": "code",
            "input": c["source"],
            "language": "python",
            "metadata": c["metadata"],
            "outputs": [],
            "collapsed": False,
        }
        for c in content["cells"]
        if c["cell_type"] == "code"
    ]
    return {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": cells, "metadata": {}}]}


def newer_minor(content):
    content["nbformat_minor"] = 99
    content["cells"][0]["surprise"] = {"x": 1}


def odd_cells(content):
    content["cells"] += [
        None,
        3,
        {"cell_type": "code"},
        {"cell_type": "x", "source": "y"},
        {"cell_type": "code", "source": {"a": 1}},
    ]
    content["cells"].append({"cell_type": "code", "source": ["a = 1\n", 2, "b = 2"], "metadata": 5, "outputs": "none"})


def source_as_list_with_windows_newlines(content):
    content["cells"][2]["source"] = ["def f(x):\r\n", "    return x"]


MENDED = [
    duplicate_answer,
    duplicate_check,
    delete_check,
    delete_answer_and_check,
    strip_metadata,
    null_metadata,
    schema(99),
    schema(1),
    schema("x"),
    rename_id,
    unlock,
    checks_first,
    other_type,
    older_format,
    newer_minor,
    odd_cells,
    source_as_list_with_windows_newlines,
]


@pytest.mark.parametrize("change", MENDED, ids=lambda f: f.__name__)
def test_every_kind_of_damage_is_mended_and_the_answer_is_kept(submit, change):
    repaired = submit(change)
    assert [name for name in order(repaired) if name != "own"] == RELEASED
    found = sources(repaired)
    assert found["f"] == "def f(x):\n    return x"
    assert (found["check_f"], found["check_g"]) == ("check(f)", "check(g)")
    assert not repaired.unreadable


@pytest.mark.parametrize(
    "change", [delete_check, strip_metadata, rename_id, delete_answer_and_check], ids=lambda f: f.__name__
)
def test_what_was_mended_is_said_on_top_of_the_notebook(submit, change):
    repaired = submit(change)
    assert repaired.notes
    assert all(note in repaired.notebook.cells[0].source for note in repaired.notes)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"   ",
        b"not json",
        b"[]",
        b"{}",
        b'{"cells": 5, "nbformat": 4}',
        b"\xff\xfe\x00",
        b"[" * 10**5,
        b'{"nbformat": 2}',
        b"3",
    ],
    ids=lambda raw: repr(raw[:12]),
)
def test_what_cannot_be_read_becomes_the_blank_notebook_with_a_reason(submit, raw):
    repaired = submit(raw=raw)
    assert repaired.unreadable
    assert order(repaired) == RELEASED
    assert "NotImplementedError" in sources(repaired)["f"]
    assert "could not be read" in repaired.notebook.cells[0].source


def test_a_link_is_refused(release, tmp_path):
    secret = tmp_path / "secret.ipynb"
    secret.write_text(nbformat.writes(release))
    link = tmp_path / "lesson.ipynb"
    link.symlink_to(secret)
    assert read_submission(link, release).unreadable


def test_own_cells_stay_where_they_were(submit):
    def change(content):
        helper = {"cell_type": "code", "source": "helper = 1", "metadata": {}, "outputs": [], "execution_count": None}
        content["cells"].insert(0, helper | {"source": "first = 1"})
        content["cells"].insert(3, helper)

    repaired = submit(change)
    assert order(repaired) == ["own", "setup", "about_f", "own", "f", "check_f", "g", "check_g"]


def test_the_changed_copy_of_two_is_the_answer(submit):
    def change(content):
        copy = json.loads(json.dumps(content["cells"][2]))
        content["cells"][2]["source"] = "def f(x):\n    raise NotImplementedError"
        content["cells"].insert(3, copy)

    repaired = submit(change)
    assert sources(repaired)["f"] == "def f(x):\n    return x"


def test_two_changed_copies_both_run_in_their_order(submit):
    def change(content):
        copy = json.loads(json.dumps(content["cells"][2]))
        copy["source"] = "def f(x):\n    return 2 * x"
        content["cells"].insert(3, copy)

    repaired = submit(change)
    assert order(repaired) == ["setup", "about_f", "f", "own", "check_f", "g", "check_g"]


ACTIVE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](JavaScript:alert(1))",
    "[y](java&#115;cript:alert(1))",
    "![pixel](http://192.0.2.1/x.png)",
    "$\\href{JavaScript:alert(1)}{A}$",
    "a\n\n<iframe src=y></iframe>",
    "</pre><script>1</script>",
]


@pytest.mark.parametrize("text", ACTIVE)
def test_nothing_active_survives_in_text_that_others_open(submit, text):
    def change(content):
        content["cells"].append({"cell_type": "markdown", "source": text, "metadata": {}})

    page, _ = HTMLExporter().from_notebook_node(new_notebook(cells=[submit(change).notebook.cells[-1]]))
    body = page[page.index("<main") : page.index("</main>")].lower()
    assert "<pre>" in body
    assert not any(tag in body for tag in ("<script", "<img", "<iframe", "<a href"))
    inside = body[body.index("<pre>") : body.rindex("</pre>")]  # MathJax skips what stands in <pre>
    assert html.escape(text[-8:].lower()) in inside


def test_the_words_of_an_error_reach_nobody_who_opens_the_page(submit):
    repaired = submit(raw=b'{"nbformat":"<img src=x onerror=alert(1)>","cells":[]}')
    assert repaired.unreadable and "img" in repaired.problem
    assert "<img" not in nbformat.writes(repaired.notebook)


@pytest.mark.parametrize("source", ["a;" * 150_000, "x" * 10**6], ids=["statements", "long"])
def test_more_text_than_a_person_writes_is_refused(submit, source):
    def change(content):
        content["cells"][2]["source"] = source

    assert submit(change).unreadable


def test_more_cells_than_a_person_writes_are_refused(submit):
    def change(content):
        content["cells"] += [{"cell_type": "code", "source": "1", "metadata": {}}] * 2000

    assert submit(change).unreadable


def test_lone_surrogates_do_not_stop_the_writing(submit):
    def change(content):
        content["cells"][2]["source"] = "def f(x):\n    return '\ud800'"

    nbformat.writes(submit(change).notebook).encode("utf-8")
