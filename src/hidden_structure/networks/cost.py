"""What training a network costs, in operations, whatever computes them."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hidden_structure.networks.features import evaluation_mode


def training_flop(network: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Of training on one image: two for each multiplication forward, and twice as many backward.

    Multiplications of matrices, convolutions and attention, which take nearly all of the time; not norms, activations,
    the optimizer or augmentation.

    image_shape: (H, W, channels).
    """
    height, width, channels = image_shape
    device = next(network.parameters()).device
    with evaluation_mode(network), FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, channels, height, width, device=device))
    return 3 * counter.get_total_flops()
