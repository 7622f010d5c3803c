"""What hidden graders and known answers share: random inputs, counted callbacks, weights of the run.

Random numbers come from `rng` (a numpy generator of the run's seed and the test's name), never from torch's global
state, so that the same seed gives the same grade wherever and however often it is run.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn


def draw(rng: np.random.Generator, low: int, high: int) -> int:
    """A random int, both ends included."""
    return int(rng.integers(low, high + 1))


def random_tensor(rng: np.random.Generator, *shape: int) -> Tensor:
    """Standard normal numbers, float32."""
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


def random_labels(rng: np.random.Generator, num_classes: int, *shape: int) -> Tensor:
    """Classes 0 to num_classes - 1, int64."""
    return torch.from_numpy(rng.integers(0, num_classes, shape))


def fill(rng: np.random.Generator, network: nn.Module) -> nn.Module:
    """Give a network weights and batch-norm statistics of the run: of moderate size, and no two alike.

    Changes the network in place, puts it into evaluation mode, and returns it.
    """
    for parameter in network.parameters():
        size = max(1, parameter[0].numel()) if parameter.ndim else 1
        parameter.data.copy_(random_tensor(rng, *parameter.shape) / size**0.5)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(random_tensor(rng, *buffer.shape))
        elif name.endswith("running_var"):
            buffer.copy_(0.5 + torch.from_numpy(rng.random(tuple(buffer.shape), dtype=np.float32)))
    return network.eval()


class Counter:
    """Makes a callback that notes the shapes of what it is called with."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        self.function = function
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, batch: Tensor) -> Tensor:
        self.shapes.append(tuple(batch.shape))
        return self.function(batch)
