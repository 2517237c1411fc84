"""A network that learns CIFAR-10 in minutes (Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv
2404.00498, section 3).

A 2x2 convolution whose fixed filters whiten the patches of training images, each filter with both signs; three groups
of two 3x3 convolutions with 1, 4 and 4 times `width` channels, each group halving the image; max pooling over what is
left; a linear head without bias. Its norms shift but do not scale.

The paper's activation is GELU. ReLU is the default here, for which layerwise linear feature connectivity is stated.
"""

import torch
from torch import Tensor, nn

from hidden_structure.networks.layers import normalisation

PATCH = 2  # pixels a side
SMALLEST = 9  # pixels a side of an image of which three poolings leave something
ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU}
EPSILON = 5e-4  # added to the second moments of patches, of pixels with variance 1
BATCH_NORM_MOMENTUM = 0.4  # share of the newest batch in the running statistics: training is short


class Group(nn.Sequential):
    """(B, inputs, H, W) -> (B, outputs, H // 2, W // 2)."""

    def __init__(self, inputs: int, outputs: int, norm: str, activation: str) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs, outputs)
        self.pool = nn.MaxPool2d(2)
        self.norm1 = _normalisation(norm, outputs)
        self.activation1 = ACTIVATIONS[activation]()
        self.conv2 = _convolution(outputs, outputs)
        self.norm2 = _normalisation(norm, outputs)
        self.activation2 = ACTIVATIONS[activation]()


class GlobalMaxPool(nn.Module):
    """(B, channels, H, W) -> (B, channels, 1, 1).

    As AdaptiveMaxPool2d(1), whose gradient is not deterministic on GPUs.
    """

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.max_pool2d(images, images.shape[2:])


class Scale(nn.Module):
    """Multiplies by a constant. The paper scales the logits; the head's inputs do the same, and so head and features
    stay what gives the logits."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.factor


class Speedrun(nn.Module):
    """(B, channels, H, W) -> (B, classes), for H and W of 9 or more; norm is batch, layer, group or none.

    Call `whiten` with training images before training; until then the first layer's filters are random.
    """

    def __init__(self, channels: int, classes: int, width: int, norm: str, activation: str = "relu") -> None:
        super().__init__()
        directions = channels * PATCH**2
        self.whitening = nn.Conv2d(channels, 2 * directions, PATCH)
        nn.init.zeros_(self.whitening.bias)
        self.whitening.weight.requires_grad_(False)
        self.activation = ACTIVATIONS[activation]()
        self.groups = nn.Sequential()
        inputs = 2 * directions
        for outputs in (width, 4 * width, 4 * width):
            self.groups.append(Group(inputs, outputs, norm, activation))
            inputs = outputs
        self.pool = GlobalMaxPool()
        self.flatten = nn.Flatten()
        self.scale = Scale(1 / 9)
        self.head = nn.Linear(inputs, classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        features = self.groups(self.activation(self.whitening(images)))
        return self.head(self.scale(self.flatten(self.pool(features))))

    @torch.no_grad()
    def whiten(self, images: Tensor) -> None:
        """Make the first layer's outputs have a mean square of 1 on these images, float32 (n, channels, H, W), and
        products that are 0 on average: variances and covariances, as far as patches have a mean of 0.

        Its filters are the eigenvectors of the patches' second moments over the roots of their eigenvalues, in falling
        order, and their negatives (section 3.2 of the paper).
        """
        channels = images.shape[1]
        patches = (
            nn.functional.unfold(images.double().cpu().contiguous(), PATCH)
            .transpose(1, 2)
            .reshape(-1, channels * PATCH**2)
        )
        moments, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
        # Eigenvectors have no sign of their own: the largest entry is made positive, on every machine.
        largest = directions.abs().argmax(0, keepdim=True)
        directions = directions * directions.gather(0, largest).sign()
        filters = (directions / (moments + EPSILON).sqrt()).T.flip(0).reshape(-1, channels, PATCH, PATCH)
        self.whitening.weight.copy_(torch.cat([filters, -filters]))


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """3x3; the first filters pass their own input channel on (Dirac), the others keep PyTorch's initialisation."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[: min(inputs, outputs)])
    return layer


def _normalisation(norm: str, channels: int) -> nn.Module:
    layer = normalisation(norm, channels)
    if isinstance(layer, nn.BatchNorm2d):
        layer.momentum = BATCH_NORM_MOMENTUM
    if hasattr(layer, "weight"):
        layer.weight.requires_grad_(False)
    return layer
