"""What is done to pairs of trained networks, done to fresh ones on a few images of noise: what refuses, refuses now. So
does the style of a report of which nothing is drawn yet."""

import numpy as np
import torch
from torch import Tensor, nn

from hidden_structure.connectivity.repair import has_batch_norm, repairer
from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.style import Style
from hidden_structure.linearity.layers import measure
from hidden_structure.networks.build import initialise
from hidden_structure.networks.features import LOGITS, PENULTIMATE, extract
from hidden_structure.networks.weights import load_state
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


def rehearse_reading(network: params.Network, made: nn.Module, again: nn.Module, image_shape: tuple[int, ...]) -> None:
    """Give a network the weights of another of its kind, as later stages read what an earlier one has trained.

    again: of another seed; its weights are overwritten. image_shape: (H, W, channels).

    Raises InputError if it does not compute what the other does, nor that itself a second time.
    """
    load_state(again, made.state_dict())
    first, other = (_outputs(own, image_shape) for own in (made, again))
    if not _alike(first, other):
        if not _alike(first, _outputs(made, image_shape)):
            raise InputError(
                f"network.name: {network.name} draws something at random at every pass, when it is measured, too: use "
                "nn.Dropout, or pass training=self.training"
            )
        raise InputError(
            f"network.name: {network.name} draws something at random that is not among its weights and would be lost "
            "when these are read again: make it a parameter, or a buffer by register_buffer, and persistent"
        )


def rehearse_style(style: Style) -> None:
    """Raises InputError as `plotting.style` does."""
    from hidden_structure.report import plotting  # imports matplotlib, which takes a second

    with plotting.style(style):
        pass


def _outputs(network: nn.Module, image_shape: tuple[int, ...]) -> dict[str, Tensor]:
    return extract(network, [_noise(image_shape)], [PENULTIMATE, LOGITS], IMAGES)


def _alike(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.allclose(a[layer], b[layer], rtol=1e-4, equal_nan=True) for layer in a)


def rehearse_matching(network: params.Network, image_shape: tuple[int, ...], classes: int, symmetry: Symmetry) -> None:
    """Read the activations of two networks whose symmetry this is.

    Raises InputError as `paired_moments` does.
    """
    a, b = (initialise(network, image_shape, classes, f"rehearsal {name}") for name in "ab")
    paired_moments(symmetry, a, b, [_noise(image_shape)])


def _noise(image_shape: tuple[int, ...]) -> Tensor:
    """float32 (IMAGES, channels, H, W)."""
    drawn = numpy_generator("rehearsal").standard_normal((IMAGES, *image_shape), dtype=np.float32)
    return torch.from_numpy(drawn).permute(0, 3, 1, 2)
