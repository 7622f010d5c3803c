"""Hidden graders of lesson NUMBER. Random inputs come from `rng`; what is right is computed here, in another way."""

import pytest
import torch

from autograde.graders.kit import draw, random_tensor
from seglab.checking.compare import Mismatch, assert_same
