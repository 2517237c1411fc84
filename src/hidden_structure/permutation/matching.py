"""All methods of matching the units of two networks, side by side."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from hidden_structure.frame.params import Permute
from hidden_structure.permutation.activation_matching import match_activations
from hidden_structure.permutation.group import Symmetry
from hidden_structure.permutation.straight_through import match_straight_through
from hidden_structure.permutation.weight_matching import Matched, match_weights
from hidden_structure.seeding import Name, torch_generator
from hidden_structure.training.batches import Images, evaluation_batches

OBJECTIVES = {
    "weights": "sum of products of weights",
    "activations": "sum over units of mean products of activations",
    "correlations": "sum over units of correlations of activations",
    "ste": "minus the training loss half-way (nats), from weight matching on",
}
BATCH_SIZE = 500  # images at once when activations are read


def match(
    symmetry: Symmetry,
    networks: Sequence[nn.Module],
    images: Images,
    labels: Tensor,
    permute: Permute,
    precision: torch.dtype,
    *noise: Name,
) -> Mapping[str, Matched]:
    """The permutation of the second network by every method of permute.methods.

    Args:
        networks: two of one architecture, on the images' device.
        labels: int64 (N,), of the images; only the straight-through estimator uses them.
        noise: names the random draws.

    Raises InputError if a weight, an activation or a loss is not finite.
    """
    a, b = (dict(network.state_dict()) for network in networks)
    found: dict[str, Matched] = {}
    if {"weights", "ste"} & set(permute.methods):
        found["weights"] = match_weights(symmetry, a, b, torch_generator("weights", *noise), permute.restarts)
    for method in permute.methods:
        if method == "ste":
            start = found["weights"].permutation
            found[method] = match_straight_through(
                symmetry, networks[0], a, b, images, labels, permute.ste, start, precision, *noise
            )
        elif method != "weights":
            score = "products" if method == "activations" else "correlations"
            found[method] = match_activations(symmetry, *networks, evaluation_batches(images, BATCH_SIZE), score)
    return {method: found[method] for method in permute.methods}
