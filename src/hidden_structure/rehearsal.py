"""What is done to pairs of trained networks, done to fresh ones on a few images of noise: what refuses, refuses now."""

import numpy as np
import torch

from hidden_structure.connectivity.repair import has_batch_norm, repairer
from hidden_structure.frame import params
from hidden_structure.linearity.layers import measure
from hidden_structure.networks.build import initialise
from hidden_structure.permutation.activation_matching import paired_moments
from hidden_structure.permutation.group import Symmetry
from hidden_structure.seeding import numpy_generator
from hidden_structure.training.batches import on_device

IMAGES = 4
READ = ("activations", "correlations", "joint")  # methods of matching that read activations


def rehearse(network: params.Network, image_shape: tuple[int, ...], classes: int, rescaled: bool) -> None:
    """Follow the layers of two networks half-way along their line, with REPAIR.

    image_shape: (H, W, channels). rescaled: whether networks without BatchNorm are repaired as well.

    Raises InputError as `layers.measure` and `repair.repairer` do.
    """
    a, b = (initialise(network, image_shape, classes, f"rehearsal {name}") for name in "ab")
    pixels = numpy_generator("rehearsal").integers(0, 256, (IMAGES, *image_shape), dtype=np.uint8)
    channels, cpu = image_shape[2], torch.device("cpu")
    images = on_device(pixels, np.full(channels, 0.5), np.full(channels, 0.25), cpu)
    states = [{name: tensor.clone() for name, tensor in own.state_dict().items()} for own in (a, b)]
    repair = repairer(a, *states, images, torch.float32) if rescaled or has_batch_norm(a) else None
    measure(a, *states, [0.5], (images, torch.zeros(IMAGES, dtype=torch.int64)), repair)


def rehearse_matching(network: params.Network, image_shape: tuple[int, ...], classes: int, symmetry: Symmetry) -> None:
    """Read the activations of two networks whose symmetry this is.

    Raises InputError as `paired_moments` does.
    """
    a, b = (initialise(network, image_shape, classes, f"rehearsal {name}") for name in "ab")
    noise = torch.from_numpy(numpy_generator("rehearsal").standard_normal((IMAGES, *image_shape), dtype=np.float32))
    paired_moments(symmetry, a, b, [noise.permute(0, 3, 1, 2)])
