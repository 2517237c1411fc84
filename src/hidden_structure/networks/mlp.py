"""Multilayer perceptron: hidden layers of equal width with ReLU, and a linear head."""

from collections import OrderedDict

from torch import Tensor, nn


class MLP(nn.Module):
    """(B, channels, H, W) -> (B, classes).

    inputs: channels * H * W; norm: batch, layer or none, between each hidden layer and its ReLU.
    """

    def __init__(self, inputs: int, classes: int, depth: int, width: int, norm: str) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for index in range(1, depth + 1):
            layers[f"linear{index}"] = nn.Linear(inputs if index == 1 else width, width, bias=norm == "none")
            if norm != "none":
                layers[f"norm{index}"] = nn.BatchNorm1d(width) if norm == "batch" else nn.LayerNorm(width)
            layers[f"relu{index}"] = nn.ReLU()
        self.hidden = nn.Sequential(layers)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.hidden(self.flatten(images)))
