"""Networks described layer by layer, as the exercises that count and measure them want it: a list of dicts.

The words are those of torch.nn; kernels, strides, paddings and dilations are the same for rows and columns.
"""

from torch import nn

_MODULES = {"conv": nn.Conv2d, "pool": nn.MaxPool2d, "linear": nn.Linear}


def conv(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> dict:
    """The description of a convolution; `dilation` is in it only where it is not 1."""
    layer = {
        "kind": "conv",
        "in_channels": in_channels,
        "out_channels": out_channels,
        "kernel_size": kernel_size,
        "stride": stride,
        "padding": padding,
    }
    return layer if dilation == 1 else layer | {"dilation": dilation}


def pool(kernel_size: int = 2, stride: int | None = None, padding: int = 0) -> dict:
    """The description of a pooling, by default one that halves; `padding` is in it only where there is some."""
    layer = {"kind": "pool", "kernel_size": kernel_size, "stride": stride or kernel_size}
    return layer | {"padding": padding} if padding else layer


def linear(in_features: int, out_features: int) -> dict:
    """The description of a dense layer; it flattens whatever comes in."""
    return {"kind": "linear", "in_features": in_features, "out_features": out_features}


def network(layers: list[dict]) -> nn.Sequential:
    """The described network, with random weights: ReLU after each convolution and between dense layers, max-pooling.

    Raises ValueError for an unknown kind.
    """
    modules: list[nn.Module] = []
    before = ""
    for one in layers:
        words = dict(one)
        kind = words.pop("kind")
        if kind not in _MODULES:
            raise ValueError(f"there is no kind of layer {kind!r}; there are {', '.join(_MODULES)}")
        dense = kind == "linear"
        if dense:
            modules.append(nn.ReLU() if before == "linear" else nn.Flatten())
        modules.append(_MODULES[kind](**words))
        if kind == "conv":
            modules.append(nn.ReLU())
        before = kind
    return nn.Sequential(*modules)
