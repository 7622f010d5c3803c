"""Times that can be compared: the ways are measured in turn, in one run, on one machine."""

import statistics
import time
from collections.abc import Callable


def side_by_side(ways: dict[str, Callable[[], object]], runs: int = 3) -> dict[str, list[float]]:
    """Seconds of every way in every round: A B C A B C ..., so that a machine that slows down does so for all of them.

    Each way is called once before, unmeasured. Only ratios are worth reporting; the seconds are this machine's.
    """
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def times_faster(seconds: dict[str, list[float]], base: str) -> dict[str, float]:
    """How many times faster than `base` each way was, by the medians."""
    median = {name: statistics.median(times) for name, times in seconds.items()}
    return {name: median[base] / median[name] for name in median}
