"""The weights that come with the course have the scores that stand beside them, and the tables say what was found."""

import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from benchmarks import protocol
from benchmarks.architectures import architectures, document
from benchmarks.weights import networks, weights_stem
from seglab import results, weights

KNOWN = networks()
QUICK = {one.weights.replace("_", " "): one for _, one in architectures() if one.weights}  # the same masks in one pass


@pytest.mark.parametrize("name", KNOWN)
def test_weights_have_the_scores_of_their_record(name):
    task, architecture = KNOWN[name]
    network = weights.load_weights(architecture.build(task), name)
    assert not network.training and all(p.dtype == torch.float32 for p in network.parameters())
    record = weights.records()[name]
    assert name in record["command"] and record["steps"] >= 600
    quick = QUICK.get(architecture.name, architecture)
    both = protocol.training_and_validation(quick, network, task, protocol.Budget())
    for scores, known in zip(both, (record["training"], record["validation"]), strict=True):
        assert scores.miou == pytest.approx(known["miou"], abs=0.01)
        assert scores.precision == pytest.approx(known["precision"], abs=0.01)
        assert scores.iou == pytest.approx(known["iou"], abs=0.01)
        assert scores.boundary == pytest.approx(known["boundary"], abs=0.02)


def test_weights_are_small_and_all_are_known():
    files = {path.stem: path for path in weights.WEIGHTS.glob("*.safetensors")}
    assert set(files) == set(KNOWN) == set(weights.records())
    for path in files.values():
        assert path.stat().st_size < 2**20
        assert {v.dtype for v in load_file(path).values() if v.is_floating_point()} == {torch.float16}


def test_wrong_weights_are_told():
    with pytest.raises(ValueError, match=r"no weights 'fcn_4s'; there are: .*fcn_8s_scenes"):
        weights.load_weights(nn.Linear(2, 2), "fcn_4s")
    with pytest.raises(ValueError, match=r"(?s)of another network: .*Missing key"):
        weights.load_weights(nn.Linear(2, 2), "fcn_8s_scenes")


def test_every_network_is_in_the_tables_as_far_as_a_lesson_has_come():
    names = [one.name for _, one in architectures()]
    assert [row["name"] for row in results.rows()] == names
    assert {row["lesson"] for row in results.rows("03")} == {"02", "03"}
    for row, (_, one) in zip(results.rows(), architectures(), strict=True):
        assert row["weights"] == weights_stem(one)
        assert row["parameters"] == sum(p.numel() for p in _built(one).parameters())
    for table in (results.quality_table(), results.quality_table(task="nuclei"), results.cost_table()):
        assert all(table.count(f"| {name} |") == 1 for name in names)
    assert "FCN" not in results.objects_table("03") and "sliding window" in results.objects_table("03")
    outlines = [line.split(" | ")[1] for line in results.outlines_table().splitlines()[2:]]
    assert set(outlines) == {row["name"] for row in results.rows() if row["weights"] or row["lesson"] >= "06"}


def _built(one):
    before = _built(one.before) if one.before else None
    return one.build(protocol.SCENES, before) if before else one.build(protocol.SCENES)


def test_three_seeds_lie_about_their_mean():
    known = results.results()
    assert known["seeds"] == 3
    for row in known["rows"]:
        for task in protocol.TASKS:
            for scores in (row[task.name]["training"], row[task.name]["validation"]):
                low, high = scores["range"]
                assert len(scores["runs"]) == 3 and low <= scores["miou"] <= high and min(scores["runs"]) == low
                assert sum(scores["iou"]) / len(scores["iou"]) == pytest.approx(scores["miou"], abs=1e-3)


def test_numbers_of_the_tables_are_those_of_the_files():
    row = results.rows()[0]
    line = next(line for line in results.quality_table().splitlines() if row["name"] in line)
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    low, high = row["scenes"]["validation"]["range"]
    assert cells[:4] == [
        row["lesson"],
        row["name"],
        f"{row['scenes']['training']['miou']:.2f}",
        f"{row['scenes']['validation']['miou']:.3f} ({low:.3f} to {high:.3f})",
    ]
    record = json.loads((weights.WEIGHTS / "records.json").read_text())[f"{row['weights']}_scenes"]
    assert cells[4:6] == [f"{record[split]['miou']:.2f}" for split in ("training", "validation")]
    assert cells[6] == f"{record['validation']['iou'][0]:.2f}"


def test_the_document_is_what_is_stored():
    path = protocol.__file__.replace("benchmarks/protocol.py", "docs/architectures.md")
    with open(path, encoding="utf-8") as file:
        assert file.read() == document()
