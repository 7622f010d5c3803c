"""Wrong answers of lesson NUMBER. Each docstring is what a student reads: what is wrong, not what is right."""

import torch

from autograde.graders.candidates import misconception
