"""What training a network costs, in operations, whatever computes them."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import backends, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
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
    with evaluation_mode(network), _spelled_out(), FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, channels, height, width, device=device))
    return 3 * counter.get_total_flops()


@contextmanager
def _spelled_out() -> Iterator[None]:
    """Attention and recurrence as products of matrices inside the block, not as kernels that the counter knows
    nothing of."""
    fast = backends.mha.get_fastpath_enabled()
    backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's flags speak of Intel's GPUs where there are none
            flags = backends.mkldnn.flags(enabled=False), backends.cudnn.flags(enabled=False)
            with flags[0], flags[1], sdpa_kernel(SDPBackend.MATH):
                yield
    finally:
        backends.mha.set_fastpath_enabled(fast)
