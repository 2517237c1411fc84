"""VGG for small images (Simonyan & Zisserman 2015, configurations A, B, D and E).

Five stages of 3x3 convolutions with 1, 2, 4, 8 and 8 times `width` channels, each ending in 2x2 max pooling, then
global average pooling and one linear layer instead of the paper's three, as is usual on CIFAR. A pooling is left out
once the image is less than 2 pixels high or wide, so any size of input works.
"""

from torch import Tensor, nn

from hidden_structure.networks.layers import convolution, normalisation

CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # a stage


class VGG(nn.Module):
    """(B, channels, H, W) -> (B, classes); depth is one of CONVOLUTIONS, norm batch, layer, group or none.

    size: the smaller of H and W, which decides how many poolings fit.
    """

    def __init__(self, channels: int, size: int, classes: int, depth: int, width: int, norm: str) -> None:
        super().__init__()
        self.stages = nn.Sequential()
        inputs = channels
        for stage, convolutions in enumerate(CONVOLUTIONS[depth]):
            layers = nn.Sequential()
            outputs = width * 2 ** min(stage, 3)
            for index in range(1, convolutions + 1):
                layers.add_module(f"conv{index}", convolution(inputs, outputs, 3, 1, norm))
                if norm != "none":
                    layers.add_module(f"norm{index}", normalisation(norm, outputs))
                layers.add_module(f"relu{index}", nn.ReLU())
                inputs = outputs
            if size >= 2:
                layers.add_module("pool", nn.MaxPool2d(2))
                size //= 2
            self.stages.append(layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(inputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.flatten(self.pool(self.stages(images))))
