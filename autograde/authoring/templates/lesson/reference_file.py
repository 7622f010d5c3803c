"""TODO(LESSON): what the functions are about (lesson NUMBER).

TODO(LESSON): shapes and units, once for all of them; the source (slide, paper and section).
"""

import torch
from torch import Tensor
