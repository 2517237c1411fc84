"""What the convolutional families share: convolutions, and the layer that normalises their outputs.

Convolutions are initialised from N(0, 2 / fan_out) (He et al. 2015, the choice of He et al. 2016 and of torchvision),
which keeps the variance of gradients through ReLUs. Linear layers keep PyTorch's default, U(-1, 1) / sqrt(fan_in).
Everything is drawn from torch's global generator: seed it with `seeding.global_seed`.
"""

from torch import nn


def convolution(inputs: int, outputs: int, size: int, stride: int, norm: str) -> nn.Conv2d:
    """A size x size convolution; it has a bias only where no norm, which has its own shift, follows."""
    layer = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=norm == "none")
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def normalisation(norm: str, channels: int) -> nn.Module:
    """The layer for images of that many channels; norm is batch, layer, group or none.

    layer: over channels and pixels together (one group), so that every permutation of the channels commutes with it.
    group: as many groups, up to 8, as divide the channels (Wu & He 2018); only permutations that keep the groups
    together commute with it.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "layer":
        return nn.GroupNorm(1, channels)
    if norm == "group":
        return nn.GroupNorm(max(groups for groups in range(1, 9) if channels % groups == 0), channels)
    return nn.Identity()
