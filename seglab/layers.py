"""Networks described layer by layer, as the exercises that count and measure them want it: a list of dicts.

The words are those of torch.nn; kernels, strides, paddings and dilations are the same for rows and columns.

What a layer does to a chain's size (of the map) and jump (pixels of the input from one value to the next):

| layer | size | jump |
|---|---|---|
| `conv`, `pool` | how often the kernel fits into the padded map, `stride` places at a time | times `stride` |
| `transposed_conv` | that backwards: the size from which the same convolution would make this one | over `stride` |
| `upsample` | times `scale_factor` | over `scale_factor` |
| `linear` | none is left | |

Where a convolution makes the same size from several, `output_padding` says which of them comes back: 0 is the smallest.
A jump may become a fraction: two values to a pixel have a jump of 1/2.
"""

from torch import nn

_MODULES = {
    "conv": nn.Conv2d,
    "transposed_conv": nn.ConvTranspose2d,
    "pool": nn.MaxPool2d,
    "upsample": nn.Upsample,
    "linear": nn.Linear,
}


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


def transposed_conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    dilation: int = 1,
) -> dict:
    """The description of a transposed convolution: the keys of `conv`, and `output_padding` where it is not 0."""
    layer = conv(in_channels, out_channels, kernel_size, stride, padding, dilation) | {"kind": "transposed_conv"}
    return layer | {"output_padding": output_padding} if output_padding else layer


def pool(kernel_size: int = 2, stride: int | None = None, padding: int = 0) -> dict:
    """The description of a pooling, by default one that halves; `padding` is in it only where there is some."""
    layer = {"kind": "pool", "kernel_size": kernel_size, "stride": stride or kernel_size}
    return layer | {"padding": padding} if padding else layer


def upsample(scale_factor: int = 2, mode: str = "nearest") -> dict:
    """The description of an enlargement without weights; mode: 'nearest' or 'bilinear' (half-pixel, as torch's is)."""
    return {"kind": "upsample", "scale_factor": scale_factor, "mode": mode}


def linear(in_features: int, out_features: int) -> dict:
    """The description of a dense layer; it flattens whatever comes in."""
    return {"kind": "linear", "in_features": in_features, "out_features": out_features}


def network(layers: list[dict]) -> nn.Sequential:
    """The described network, with random weights: ReLU after convolutions, both kinds, and between dense layers.

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
        if kind in ("conv", "transposed_conv"):
            modules.append(nn.ReLU())
        before = kind
    return nn.Sequential(*modules)
