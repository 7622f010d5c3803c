"""What every test shares: one thread per process (two run side by side), and nothing of the user's own settings."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

import pytest
import torch

from autograde.lessons import all_lessons

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def lessons():
    return all_lessons()


def pytest_collection_modifyitems(items):
    """The slowest first, whole lectures in a kernel: a worker that gets one last would keep the other one waiting."""
    items.sort(key=lambda item: "runs_from_top_to_bottom" not in item.nodeid)
