"""Naive one by one, naive in batches, shared features, dense: time ratios beside multiply-add ratios, from one run.

    python -m benchmarks.sliding_window [--runs N]

The ways are measured in turn, A B C D A B C D ..., so that a machine that changes its speed changes it for all of them.
Times are medians; what counts are the ratios, because the seconds are this machine's.
"""

import argparse

import torch
from torch import nn

from autograde.reference.convolutionalization import convolutionalize
from autograde.reference.sliding_window import (
    multiply_adds,
    shared_feature_scores,
    sliding_window_scores,
    window_starts,
)
from seglab.layers import conv, linear, network, pool
from seglab.timing import side_by_side, times_faster

SIZE, WINDOW, STRIDE, JUMP = 256, 64, 8, 4
CONVOLUTIONS = [conv(3, 6, 5), pool(), conv(6, 16, 5), pool()]
DENSE = [linear(16 * 13 * 13, 120), linear(120, 84), linear(84, 5)]
DENSE_AS_CONVOLUTIONS = [conv(16, 120, 13), conv(120, 84, 1), conv(84, 5, 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="how often each way is measured (default: %(default)s)")
    runs = parser.parse_args().runs
    torch.manual_seed(0)
    features, head, image = network(CONVOLUTIONS).eval(), network(DENSE).eval(), torch.rand(3, SIZE, SIZE)
    classifier = nn.Sequential(features, head)
    dense = nn.Sequential(features, convolutionalize(head, (16, 13, 13)))

    @torch.no_grad()
    def one_pass() -> torch.Tensor:
        every_jump = dense(image[None])[0]  # (5, 49, 49): four times as many places as were asked for
        return every_jump[:, :: STRIDE // JUMP, :: STRIDE // JUMP]  # (5, 25, 25)

    ways = {
        "naive, one by one": lambda: sliding_window_scores(classifier, image, WINDOW, STRIDE, 1),
        "naive, batches of 64": lambda: sliding_window_scores(classifier, image, WINDOW, STRIDE, 64),
        "shared features": lambda: shared_feature_scores(features, head, image, WINDOW, STRIDE, JUMP),
        "dense, one pass": one_pass,
    }
    windows = len(window_starts(SIZE, WINDOW, STRIDE)) ** 2
    naive = windows * multiply_adds(CONVOLUTIONS + DENSE, WINDOW, WINDOW)
    # What `shared_feature_scores` really runs: the whole picture, one window to learn the head's size, every head.
    convolutions = multiply_adds(CONVOLUTIONS, SIZE, SIZE) + multiply_adds(CONVOLUTIONS, WINDOW, WINDOW)
    shared = convolutions + windows * multiply_adds(DENSE, 13, 13)
    costs = dict(
        zip(ways, (naive, naive, shared, multiply_adds(CONVOLUTIONS + DENSE_AS_CONVOLUTIONS, SIZE, SIZE)), strict=True)
    )

    answers = [way() for way in ways.values()]
    if not all(torch.allclose(answers[0], other, atol=1e-4) for other in answers[1:]):
        raise SystemExit("the ways do not agree, so their times say nothing")

    seconds = side_by_side(ways, runs)
    slowest = next(iter(ways))
    faster = times_faster(seconds, base=slowest)
    print(
        f"{SIZE} x {SIZE} pixels, window {WINDOW}, stride {STRIDE}: {windows} windows; medians of {runs} rounds in turn"
    )
    print(f"{'':22}{'multiply-adds':>15}{'possible':>10}{'measured':>10}{'spread':>16}")
    for name in ways:
        ratios = sorted(a / b for a, b in zip(seconds[slowest], seconds[name], strict=True))
        spread = f"{ratios[0]:.1f} to {ratios[-1]:.1f}"
        print(f"{name:22}{costs[name]:15,}{naive / costs[name]:9.1f}x{faster[name]:9.1f}x{spread:>16}")


if __name__ == "__main__":
    main()
