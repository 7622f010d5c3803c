"""Networks that somebody else has trained out: weights that come with the course, and how they were made.

`make weights` makes them. They are stored as float16, which changes a score by less than its last printed digit.
"""

import json
from functools import cache

from safetensors.torch import load_file
from torch import nn

from seglab.data.photos import ASSETS

WEIGHTS = ASSETS / "weights"


@cache
def records() -> dict[str, dict]:
    """What is known of each network: command, seed and steps, and the scores as `benchmarks.protocol` counts them."""
    return json.loads((WEIGHTS / "records.json").read_text(encoding="utf-8"))


def load_weights(network: nn.Module, name: str) -> nn.Module:
    """Give a network the weights of this name, put it into evaluation mode, and return it.

    Raises:
        ValueError: there are no weights of this name, or they are of another network.
    """
    path = WEIGHTS / f"{name}.safetensors"
    if not path.exists():
        known = ", ".join(sorted(one.stem for one in WEIGHTS.glob("*.safetensors")))
        raise ValueError(f"there are no weights {name!r}; there are: {known}")
    stored = {key: value.float() if value.is_floating_point() else value for key, value in load_file(path).items()}
    try:
        network.load_state_dict(stored)
    except RuntimeError as error:
        raise ValueError(f"the weights {name!r} are of another network: {error}") from None
    return network.eval()
