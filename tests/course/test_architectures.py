"""The benchmark of networks: its commands work on a budget of seconds, with the same budget for all."""

import json
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from autograde.lessons import ROOT
from autograde.reference.segnet import boundary_f_score
from autograde.reference.sliding_window import sliding_window_scores
from benchmarks import architectures as bench
from benchmarks import protocol, weights
from benchmarks.protocol import NUCLEI, SCENES, TASKS, Budget
from seglab import results
from seglab import weights as stored
from seglab.training import History

LESSONS, ARCHITECTURES = zip(*bench.architectures(), strict=True)
NETWORKS = dict(weights.network_modules())
sliding, in_one_pass, fcn, segnet = (NETWORKS[number] for number in ("02", "03", "05", "07"))


def run(module, *arguments, folder=ROOT):
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_command_computes_a_row_for_every_network(tmp_path):
    small = ["--seeds", "2", "--pixels", "1", "--scenes", "8", "--val-scenes", "3"]
    run("benchmarks.architectures", "--out", str(tmp_path / "found.json"), *small)
    found = json.loads((tmp_path / "found.json").read_text())
    assert [row["name"] for row in found["rows"]] == [one.name for one in ARCHITECTURES]
    for row in found["rows"]:
        for task in TASKS:
            scores = row[task.name]["validation"]
            low, high = scores["range"]
            assert 0 <= low <= scores["miou"] <= high <= 1 and len(scores["iou"]) == len(task.classes)
    first, second = found["rows"][:2]
    assert (first["name"], second["name"]) == ("sliding window", "convolutionalized")
    assert (
        first["parameters"] == second["parameters"] and first["scenes"]["validation"] == second["scenes"]["validation"]
    )


def test_every_lesson_with_a_network_is_in_the_table():
    files = list((ROOT / "benchmarks" / "networks").glob("*.py"))
    assert {path.name[:2] for path in files} == set(LESSONS)
    assert all((ROOT / "autograde" / "reference" / path.name[3:]).exists() for path in files)  # named like its lesson
    assert len({one.name for one in ARCHITECTURES}) == len(ARCHITECTURES) >= 6


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_both_ways_of_sliding_give_the_same_mask(task):
    picture = torch.rand(task.channels, protocol.SIZE, protocol.SIZE, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    classifier = sliding.patch_classifier(task).eval()
    assert torch.equal(sliding.slide(classifier, picture), in_one_pass.slide_in_one_pass(classifier, picture))
    for one, stride in ((sliding.LECTURE[0], 8), (in_one_pass.LECTURE[0], 4)):
        classifier = one.build(task).eval()

        def score(framed, classifier=classifier, one=one, stride=stride):
            return sliding_window_scores(classifier, framed, one.window, stride, batch_size=64)

        assert torch.equal(one.predict(classifier, picture), sliding.in_a_frame(picture, one.window, stride, score))


def test_the_budget_is_a_number_of_pixels_for_crops_and_pictures_alike(monkeypatch):
    seen = {}

    def count(model, images, target, *, steps, batch_size, **_):
        seen[images.shape[-1]] = steps * batch_size * images.shape[-1] ** 2
        return History()

    monkeypatch.setattr(protocol, "fit", count)
    budget = Budget(pixels=3 * protocol.BATCH_PIXELS, scenes=2)
    for one in ARCHITECTURES[:4]:
        protocol.train(one, protocol.new_network(one, SCENES, 0, budget), SCENES, 0, budget)
    assert seen == {32: budget.pixels, 128: budget.pixels}


def test_a_network_that_starts_from_a_classifier_is_its_enlarged_map():
    budget = Budget(pixels=1, scenes=2)
    one = fcn.ARCHITECTURES[-1]
    network = protocol.new_network(one, NUCLEI, 0, budget).eval()
    classifier = protocol.new_network(one.before, NUCLEI, 0, budget)
    protocol.train(one.before, classifier, NUCLEI, 0, budget)
    x = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        scores = network.score_32(network.encoder(x))  # (2, 3, 2, 2)
        assert torch.allclose(scores.mean((2, 3)), classifier.eval()(x), atol=1e-5)


def test_shuffled_switches_stay_in_their_windows():
    x = torch.rand(2, 3, 7, 9)
    pooled, switches = F.max_pool2d(x, 2, return_indices=True)  # (2, 3, 3, 4)

    class Seen(torch.nn.Module):
        def forward(self, x, switches, size):
            return F.max_unpool2d(x, switches, 2, output_size=size)

    torch.manual_seed(0)
    moved = segnet.Shuffled(Seen())(pooled, switches, (7, 9))
    assert torch.equal(F.max_pool2d(moved, 2), pooled) and (moved > 0).sum() == pooled.numel()
    kept = (moved == F.max_unpool2d(pooled, switches, 2, output_size=(7, 9))) & (moved > 0)
    assert 0.1 < kept.sum() / pooled.numel() < 0.45  # a quarter by chance


def test_controls_begin_with_the_weights_of_segnet_and_have_no_other():
    made = []
    for one in segnet.ARCHITECTURES:
        torch.manual_seed(0)
        made.append([value for value in one.build(NUCLEI).state_dict().values()])
    for other in made[1:]:
        assert len(other) == len(made[0]) and all(map(torch.equal, made[0], other))
    assert [one.control for one in segnet.ARCHITECTURES] == [False, True, True]
    assert not any("shuffled" in name or "bilinear" in name for name in weights.networks())


@pytest.mark.parametrize("seeds", ["3", "1"])
def test_a_row_is_measured_again_and_the_others_stay(tmp_path, monkeypatch, seeds):
    """Where the others had another number of seeds, they would stand below a head that is not true of them."""
    scores = protocol.Scores(iou=(0.5,), precision=1.0, boundary=(1.0,))
    monkeypatch.setattr(bench, "measure", lambda *_: protocol.Result(7, 8, scores, scores))
    out = tmp_path / "found.json"
    monkeypatch.setattr(sys, "argv", ["compare", "--out", str(out), "--seeds", seeds, "--only", "FCN-32s"])
    bench.main()
    found, before = json.loads(out.read_text()), results.results()
    assert found["seeds"] == int(seeds)
    changed = [row["name"] for row in found["rows"] if row not in before["rows"]]
    assert changed == ["FCN-32s"]
    kept = {"3": [row["name"] for row in before["rows"]], "1": ["FCN-32s"]}
    assert [row["name"] for row in found["rows"]] == kept[seeds]


def test_outlines_are_judged_as_in_lesson_07():
    pictures = SCENES.validation(4)
    found = pictures.masks.roll(2, dims=2)
    oracle = [
        boundary_f_score(found, pictures.masks, 5, tolerance).nanmean().item() for tolerance in results.TOLERANCES
    ]
    assert protocol.judge(found, pictures, SCENES).boundary == pytest.approx(oracle)
    assert oracle == sorted(oracle) and oracle[0] < 0.9 < oracle[2]


def test_stored_weights_are_judged_again(tmp_path, monkeypatch):
    name, (task, one) = "fcn_32s_nuclei", weights.networks()["fcn_32s_nuclei"]
    record = stored.records()[name]
    monkeypatch.setattr(weights, "WEIGHTS", tmp_path)
    weights.judge_again(name, task, one, Budget())
    again = json.loads((tmp_path / "records.json").read_text())[name]
    assert again["steps"] == record["steps"] and again["watched"] == record["watched"]
    assert again["validation"]["miou"] == pytest.approx(record["validation"]["miou"], abs=0.01)
    assert len(again["validation"]["boundary"]) == len(results.TOLERANCES)


def test_scores_agree_with_torchmetrics():
    from torchmetrics.classification import MulticlassJaccardIndex

    pictures = SCENES.validation(3)
    masks = pictures.masks
    found = torch.where(torch.rand(masks.shape, generator=torch.Generator().manual_seed(0)) < 0.3, 1, masks)
    judged = protocol.judge(found, pictures, SCENES)
    oracle = MulticlassJaccardIndex(5, average="none")(found, masks)
    assert judged.iou == pytest.approx(oracle.tolist())
    painted = (found > 0).sum().item()
    assert judged.precision == pytest.approx(((found > 0) & (found == masks)).sum().item() / painted)
    nothing = protocol.judge(torch.zeros_like(masks), pictures, SCENES)
    share = (masks == 0).double().mean().item()
    assert nothing.miou == pytest.approx(share / len(masks.unique()))


def test_weights_are_trained_on_from_where_it_stopped(tmp_path, monkeypatch):
    """A run that is stopped after a cycle goes on with the next one, and ends with the weights of one that was not."""
    monkeypatch.setattr(weights, "FIRST_CYCLE", 2)
    monkeypatch.setattr(weights, "ENOUGH", -9.0)  # never trained out
    name, (task, one) = "fcn_32s_nuclei", weights.networks()["fcn_32s_nuclei"]
    budget, ends = Budget(scenes=2, val_scenes=2), {}
    for way, cycles in (("at once", [2]), ("stopped", [1, 2])):
        monkeypatch.setattr(weights, "WEIGHTS", tmp_path / way)
        monkeypatch.setattr(weights, "KEPT", tmp_path / way / "build")
        for number in cycles:
            weights.train_out(name, task, one, budget, number)
        record = json.loads((tmp_path / way / "records.json").read_text())[name]
        assert record["steps"] == 6 and not record["trained_out"]
        ends[way] = (tmp_path / way / f"{name}.safetensors").read_bytes()
    assert ends["at once"] == ends["stopped"]


def test_training_stops_when_it_no_longer_pays(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "FIRST_CYCLE", 1)
    monkeypatch.setattr(weights, "WEIGHTS", tmp_path)
    monkeypatch.setattr(weights, "KEPT", tmp_path / "build")
    monkeypatch.setattr(weights, "scores", lambda *_: protocol.Scores(iou=(0.5,), precision=1.0, boundary=(1.0,)))
    name = "sliding_window_nuclei"
    weights.train_out(name, *weights.networks()[name], Budget(scenes=2), cycles=4)
    record = json.loads((tmp_path / "records.json").read_text())[name]
    assert record["steps"] == 3 and record["trained_out"] and record["watched"] == [0.5, 0.5]
