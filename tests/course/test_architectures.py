"""The table of architectures: its command works on a budget of seconds, and what is committed has every row."""

import os
import re
import subprocess
import sys

import pytest
import torch

from autograde.lessons import ROOT, all_lessons, load
from benchmarks import architectures as bench
from benchmarks import protocol

LESSONS, ARCHITECTURES = zip(*bench.architectures(), strict=True)
sliding, in_one_pass, fcn = (
    load(lesson.network_file) for lesson in all_lessons() if lesson.number in ("02", "03", "05")
)


def rows(text):
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| \d\d ", line)]
    return {cells[1]: cells for cells in lines}


def test_the_command_computes_a_row_for_every_network(tmp_path):
    out = tmp_path / "table.md"
    small = ["--seeds", "2", "--pixels", "1", "--scenes", "8", "--val-scenes", "3"]
    command = [sys.executable, "-m", "benchmarks.architectures", "--out", str(out), *small]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    computed = rows(out.read_text())
    assert list(computed) == [one.name for one in ARCHITECTURES]
    for cells in computed.values():
        low, mean, high = (float(re.findall(r"[\d.]+", cells[5])[i]) for i in (1, 0, 2))
        assert 0 <= low <= mean <= high <= 1
    assert computed["sliding window"][2] == computed["convolutionalized"][2], "the same network"
    assert computed["sliding window"][5:] == computed["convolutionalized"][5:], "and the same answer"


def test_the_committed_table_has_every_row_of_three_seeds():
    text = (ROOT / "docs" / "architectures.md").read_text()
    assert list(rows(text)) == [one.name for one in ARCHITECTURES]
    assert "means over 3 seeds" in " ".join(text.split())
    for one in ARCHITECTURES:  # what needs no training is as committed
        if one.name.startswith("FCN"):
            parameters = sum(p.numel() for p in fcn.fcn(int(one.name[4:-1])).parameters())
            assert rows(text)[one.name][2] == f"{parameters:,}"


def test_every_lesson_with_a_network_is_in_the_table():
    files = {path.name[:2] for path in (ROOT / "benchmarks" / "networks").glob("*.py")}
    assert files == set(LESSONS) and len({one.name for one in ARCHITECTURES}) == len(ARCHITECTURES) >= 5


def test_both_ways_of_sliding_give_the_same_mask():
    torch.manual_seed(0)
    classifier, _ = sliding.train_on_crops(0, protocol.Budget(pixels=1, scenes=2))
    picture = torch.rand(3, protocol.SIZE, protocol.SIZE)
    assert torch.equal(sliding.slide(classifier, picture), in_one_pass.slide_in_one_pass(classifier, picture))


def test_the_budget_is_a_number_of_pixels_for_crops_and_scenes_alike(monkeypatch):
    seen = {}

    def count(model, images, target, *, steps, batch_size, **_):
        seen[images.shape[-1]] = steps * batch_size * images.shape[-1] ** 2
        return protocol.History()

    monkeypatch.setattr(sliding, "fit", count)
    monkeypatch.setattr(protocol, "fit", count)
    budget = protocol.Budget(pixels=3 * protocol.BATCH_PIXELS, scenes=2)
    sliding.train_on_crops(0, budget)
    protocol.train_with_masks(lambda: fcn.fcn(32), 0, budget)
    assert seen == {32: budget.pixels, 128: budget.pixels}


def test_all_background_is_what_it_says():
    val = bench.load_scenes("val", size=protocol.SIZE, count=3, seed=0)
    share = (val.masks == 0).double().mean().item()
    present = len(torch.unique(val.masks))
    assert bench.all_background(val) == pytest.approx(share / present)
