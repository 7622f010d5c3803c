# %% [markdown]
# # NUMBER · TODO(LESSON): title: exercises
#
# TODO(LESSON): one sentence about what the exercises add up to.
#
# | exercise | what it gives you | minutes | difficulty | points |
# |---|---|---|---|---|
#
# **Red is where you start.** Every function below is a stub that raises `NotImplementedError`, so no check can pass.
# At first a check only says that the function is not written; later it shows a table, red where something is wrong.
# Nothing is broken: write the function, run its cell, run the check under it, and repeat.

# %%
import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from seglab import check, once_written
from seglab.figures import show, show_images
