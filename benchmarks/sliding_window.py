"""Naive one by one, naive in batches, shared features: time ratios beside multiply-add ratios, from one run.

    python benchmarks/sliding_window.py [--runs N]

The three are measured in turn, A B C A B C ..., so that a machine that changes its speed changes it for all of them.
Times are medians; what counts are the ratios, because the seconds are this machine's.
"""

import argparse
import statistics
import time

import torch
from torch import nn
from tqdm import tqdm

from autograde.reference.sliding_window import (
    multiply_adds,
    shared_feature_scores,
    sliding_window_scores,
    window_starts,
)

SIZE, WINDOW, STRIDE, JUMP = 256, 64, 8, 4
CONVOLUTIONS = [
    {"kind": "conv", "in_channels": 3, "out_channels": 6, "kernel_size": 5, "stride": 1, "padding": 0},
    {"kind": "pool", "kernel_size": 2, "stride": 2},
    {"kind": "conv", "in_channels": 6, "out_channels": 16, "kernel_size": 5, "stride": 1, "padding": 0},
    {"kind": "pool", "kernel_size": 2, "stride": 2},
]
DENSE = [
    {"kind": "linear", "in_features": 16 * 13 * 13, "out_features": 120},
    {"kind": "linear", "in_features": 120, "out_features": 84},
    {"kind": "linear", "in_features": 84, "out_features": 5},
]


def build(layers: list[dict]) -> nn.Sequential:
    """The network of a list of layer descriptions."""
    modules: list[nn.Module] = []
    for layer in layers:
        arguments = {name: value for name, value in layer.items() if name != "kind"}
        if layer["kind"] == "conv":
            modules += [nn.Conv2d(**arguments), nn.ReLU()]
        elif layer["kind"] == "pool":
            modules += [nn.MaxPool2d(**arguments)]
        else:
            modules += [nn.Flatten(), nn.Linear(**arguments)]
    return nn.Sequential(*modules).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="how often each way is measured (default: %(default)s)")
    runs = parser.parse_args().runs
    torch.manual_seed(0)
    features, head, image = build(CONVOLUTIONS), build(DENSE), torch.rand(3, SIZE, SIZE)
    classifier = nn.Sequential(features, head)

    ways = {
        "naive, one by one": lambda: sliding_window_scores(classifier, image, WINDOW, STRIDE, 1),
        "naive, batches of 64": lambda: sliding_window_scores(classifier, image, WINDOW, STRIDE, 64),
        "shared features": lambda: shared_feature_scores(features, head, image, WINDOW, STRIDE, JUMP),
    }
    windows = len(window_starts(SIZE, WINDOW, STRIDE)) ** 2
    naive = windows * multiply_adds(CONVOLUTIONS + DENSE, WINDOW, WINDOW)
    # What `shared_feature_scores` really runs: the whole picture, one window to learn the head's size, every head.
    convolutions = multiply_adds(CONVOLUTIONS, SIZE, SIZE) + multiply_adds(CONVOLUTIONS, WINDOW, WINDOW)
    shared = convolutions + windows * multiply_adds(DENSE, 13, 13)
    costs = dict(zip(ways, (naive, naive, shared), strict=True))

    answers = [way() for way in ways.values()]  # also the warm-up
    if not all(torch.allclose(answers[0], other, atol=1e-4) for other in answers[1:]):
        raise SystemExit("the three ways do not agree, so their times say nothing")

    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in tqdm(range(runs), desc="rounds"):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    median = {name: statistics.median(times) for name, times in seconds.items()}

    print(
        f"{SIZE} x {SIZE} pixels, window {WINDOW}, stride {STRIDE}: {windows} windows; medians of {runs} rounds in turn"
    )
    print(f"{'':22}{'multiply-adds':>15}{'possible':>10}{'measured':>10}{'spread':>16}")
    slowest, base = next(iter(ways)), costs["naive, one by one"]
    for name in ways:
        ratios = sorted(a / b for a, b in zip(seconds[slowest], seconds[name], strict=True))
        spread = f"{ratios[0]:.1f} to {ratios[-1]:.1f}"
        print(f"{name:22}{costs[name]:15,}{base / costs[name]:9.1f}x{median[slowest] / median[name]:9.1f}x{spread:>16}")


if __name__ == "__main__":
    main()
