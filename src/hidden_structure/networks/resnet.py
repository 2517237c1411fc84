"""ResNet for small images (He et al. 2016, "Deep Residual Learning", section 4.2).

A 3x3 stem, three stages of n two-layer blocks with 1, 2 and 4 times `width` channels, each stage after the first
halving the image, global average pooling and a linear head: 6n + 2 layers.

Where the shape changes, the shortcut is a 1x1 convolution with its norm (the paper's option B). Its option A, zero
padding of the channels, has no weights but ties the channels of one stage to those of the next, so that the residual
streams of the stages could not be permuted independently.
"""

from torch import Tensor, nn

from hidden_structure.networks.layers import convolution, normalisation

DEPTHS = "8, 14, 20, 26, 32, ... (6n + 2)"


class Block(nn.Module):
    """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride), rounded up."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: str) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, 3, stride, norm)
        self.norm1 = normalisation(norm, outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = convolution(outputs, outputs, 3, 1, norm)
        self.norm2 = normalisation(norm, outputs)
        if stride == 1 and inputs == outputs:
            self.shortcut: nn.Module = nn.Identity()
        else:
            self.shortcut = nn.Sequential()
            self.shortcut.add_module("conv", convolution(inputs, outputs, 1, stride, norm))
            self.shortcut.add_module("norm", normalisation(norm, outputs))
        self.relu2 = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        branch = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(images)))))
        return self.relu2(branch + self.shortcut(images))


class ResNet(nn.Module):
    """(B, channels, H, W) -> (B, classes), for any H and W; norm is batch, layer, group or none.

    depth must be 6n + 2 with n >= 1. Without a norm every block would double the variance of its stream, so the
    second convolution of each of the L blocks starts 1 / sqrt(L) times as large (Hayou et al. 2021, "Stable ResNet").
    """

    def __init__(self, channels: int, classes: int, depth: int, width: int, norm: str) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv = convolution(channels, width, 3, 1, norm)
        self.norm = normalisation(norm, width)
        self.relu = nn.ReLU()
        self.stages = nn.Sequential()
        inputs = width
        for stage in range(3):
            outputs = width * 2**stage
            self.stages.append(nn.Sequential())
            for index in range(blocks):
                self.stages[stage].append(Block(inputs, outputs, 2 if stage > 0 and index == 0 else 1, norm))
                inputs = outputs
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(inputs, classes)
        if norm == "none":
            for stage in self.stages:
                for block in stage:
                    block.conv2.weight.data /= (3 * blocks) ** 0.5

    def forward(self, images: Tensor) -> Tensor:
        stem = self.relu(self.norm(self.conv(images)))
        return self.head(self.flatten(self.pool(self.stages(stem))))
