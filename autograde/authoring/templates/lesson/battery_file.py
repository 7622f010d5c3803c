"""Answers to lesson NUMBER as students would write them, none of them a misconception: right_... ones must pass."""

import torch

from autograde.graders.candidates import alternative, wrong
