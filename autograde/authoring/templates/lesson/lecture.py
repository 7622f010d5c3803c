# %% [markdown]
# # NUMBER · TODO(LESSON): title
#
# TODO(LESSON): open with the failure that the lesson before left. You will see
#
# * TODO(LESSON): what the lecture shows by running it.
#
# Slides: TODO(LESSON).

# %%
from seglab.figures import show, show_images

# %% [markdown]
# ## TODO(LESSON): the idea at its smallest
#
# Show the idea with hard-coded numbers; the exercises ask for the general case. Every number of a slide is computed and
# asserted in a cell. Four figures or more, each with alternative text.

# %%
assert 25 == (256 - 64) // 8 + 1  # TODO(LESSON): a number of the slide
show(show_images([], []), alt="TODO(LESSON): what the figure shows, in a sentence")

# %% [markdown]
# ## Summary
#
# 1. TODO(LESSON): five lines.
#
# ## What to read
#
# * TODO(LESSON): paper and section.
#
# ## What the next lesson repairs
#
# TODO(LESSON): what still fails.
