"""Right answers of lesson NUMBER, written differently: the hidden grader must accept each of them."""

import torch

from autograde.graders.candidates import alternative
