"""What the course's segmentation networks are made of, small enough to train on a laptop's CPU."""

from collections.abc import Sequence

from torch import nn

WIDTHS = (16, 32, 64, 96, 128)


def conv_bn_relu(
    in_channels: int, out_channels: int, kernel_size: int = 3, padding: int = 1, bias: bool = False
) -> nn.Sequential:
    """Convolution, batch normalization, ReLU; by default the size stays. Batch normalization takes a bias out again."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, bias=bias)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU())


def deconv_bn_relu(in_channels: int, out_channels: int, kernel_size: int = 3, padding: int = 1) -> nn.Sequential:
    """Transposed convolution with stride 1, batch normalization, ReLU; by default the size stays."""
    deconvolution = nn.ConvTranspose2d(in_channels, out_channels, kernel_size, padding=padding, bias=False)
    return nn.Sequential(deconvolution, nn.BatchNorm2d(out_channels), nn.ReLU())


def halving_encoder(widths: Sequence[int] = WIDTHS, in_channels: int = 3) -> nn.Sequential:
    """Stages in the manner of VGG, each halving height and width: the first gives (N, widths[0], H / 2, W / 2).

    One 3 x 3 convolution per stage where VGG-16 has two or three (Simonyan and Zisserman 2015, table 1), with batch
    normalization, which VGG did not have. Sizes are rounded down where they cannot be halved.
    """
    stages = nn.Sequential()
    for width in widths:
        stages.append(nn.Sequential(*conv_bn_relu(in_channels, width), nn.MaxPool2d(2)))
        in_channels = width
    return stages
