"""Visible checks of lesson NUMBER. `check(NAME)` in the notebook runs the class of that function's name."""

import torch

from seglab.checking.compare import Mismatch, assert_same
