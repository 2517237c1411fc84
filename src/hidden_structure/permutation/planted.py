"""A permutation that is known: a network to be matched with itself, its units in another order.

Any order of the symmetry group leaves the function as it is, so there is an answer, and whatever barrier the reordered
network has to the first is the order's alone. What a matching does not find here, it need not find between networks of
which nobody knows the answer.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from hidden_structure.networks.features import evaluation_mode
from hidden_structure.networks.weights import copy_of, load_state
from hidden_structure.permutation.activation_matching import Reader
from hidden_structure.permutation.families import places, stand
from hidden_structure.permutation.group import Symmetry
from hidden_structure.permutation.permuting import Permutation, apply, compose, draw

RESOLUTION = 1e-5  # of a layer's largest activation: above the rounding of float32 sums that are taken in another order


def plant(symmetry: Symmetry, network: nn.Module, generator: torch.Generator) -> tuple[nn.Module, Permutation]:
    """A copy of the network with its units in an order drawn from the symmetry group, and that order."""
    planted, other = draw(symmetry, generator), copy_of(network)
    load_state(other, apply(symmetry, planted, network.state_dict()))
    return other, planted


@torch.no_grad()
def elsewhere(
    symmetry: Symmetry, network: nn.Module, batches: Iterable[Tensor], *permutations: Permutation
) -> dict[str, Tensor]:
    """In which places stands no unit that computes what the one there did, once the network is permuted by one
    permutation after the other.

    Units that compute the same on all images, as those do that never fire or whose weights are equal, no matching of
    what they compute can tell apart. Units inside others, as in heads, count by themselves; their heads do not count.

    Args:
        batches: images (b, channels, H, W) on the network's device.
        permutations: one or more.

    Returns bool (entries,) for every group without children, of all parents one after the other.
    """
    came = permutations[0]
    for permutation in permutations[1:]:
        came = compose(symmetry, came, permutation)
    stood = stand(symmetry, came)
    moved = {name: units != torch.arange(len(units)) for name, units in stood.items()}
    if not any(units.any() for units in moved.values()):
        return moved
    return {name: moved[name] & ~same for name, same in _alike(symmetry, network, batches, stood).items()}


def _alike(
    symmetry: Symmetry, network: nn.Module, batches: Iterable[Tensor], stood: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Which units compute what those that came to their places compute; of a group that nothing reads none."""
    found = {reading: places(symmetry, (reading.layout,)) for reading in symmetry.readings}
    alike = {name: torch.zeros(len(units), dtype=torch.bool) for name, units in stood.items()}
    alike |= {name: ~alike[name] for own in found.values() for name, _ in own if name in alike}
    with evaluation_mode(network):
        reader = Reader(network, symmetry)
        for images in batches:
            for reading, activations in reader.read(images, found).items():
                for name, place in found[reading]:
                    if name in alike:
                        units = place.units(activations.movedim(-1, 0).flatten(1)).cpu()
                        apart = (units - units[stood[name]]).abs().amax(1)
                        alike[name] &= apart <= RESOLUTION * units.abs().max()
    return alike
