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
