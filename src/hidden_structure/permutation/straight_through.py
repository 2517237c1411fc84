"""The straight-through estimator: the permutation of network B that makes the loss half-way to network A small.

Ainsworth et al. 2023, section 3.3: gradients act on free weights that start at A's; in the forward pass they stand as
their projection, the permutation of B closest to them by weight matching. Where it says nothing we choose (O): Adam,
one sweep of coordinate ascent a step from the last permutation on, BatchNorm with the statistics of the batch (the
running ones of an average of two networks are no one's), and of all epochs' permutations the one with the least loss.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.progress import track
from hidden_structure.frame.sections import StraightThrough
from hidden_structure.networks.features import evaluation_mode
from hidden_structure.permutation.group import Symmetry
from hidden_structure.permutation.permuting import Permutation, permute_tensor
from hidden_structure.permutation.weight_matching import Ascent, Matched
from hidden_structure.seeding import Name, torch_generator
from hidden_structure.training.batches import (
    Images,
    check_labels,
    check_takes,
    evaluation_batches,
    told_apart,
    training_batches,
)
from hidden_structure.training.device import autocast
from hidden_structure.training.updates import adam


def match_straight_through(
    symmetry: Symmetry,
    network: nn.Module,
    a: Mapping[str, Tensor],
    b: Mapping[str, Tensor],
    images: Images,
    labels: Tensor,
    recipe: StraightThrough,
    start: Permutation,
    precision: torch.dtype,
    *noise: Name,
) -> Matched:
    """Descend from a start, and never end above its loss.

    Args:
        network: of the architecture of both, on its device; its weights are left as they are.
        a, b: state dicts on the network's device.
        labels: int64 (N,), of the images.
        noise: names the generator of the order of samples.

    The objective is minus the mean cross-entropy half-way (nats), with BatchNorm statistics of the batch.

    Raises InputError if the batch size does not fit the images, the network's precision is not theirs, a label is of no
    class, or the loss is not finite.
    """
    if recipe.batch_size > len(labels):
        raise InputError(f"permute.ste.batch_size: {recipe.batch_size} is more than the {len(labels)} images: lower it")
    check_takes(network, images)
    check_labels(labels, told_apart(network, images, precision))
    name_of = {parameter: name for name, parameter in network.named_parameters()}
    names = list(name_of.values())
    free = {name: a[name].detach().clone().requires_grad_() for name in names}
    every = network.named_parameters(remove_duplicate=False)  # a weight that layers share has several names
    freed = {name: free[name_of[parameter]] for name, parameter in every}
    buffers = dict(network.named_buffers())
    optimizer = adam([{"params": list(free.values())}], recipe.lr)
    ascent = Ascent(symmetry, a, b)
    ascent.move(start)

    def permuted() -> dict[str, Tensor]:
        return {name: permute_tensor(symmetry, ascent.permutation, name, b[name]) for name in names}

    def halfway_loss(weights: Mapping[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        halfway = {name: (a[name] + weights[name]) / 2 for name in names}
        with autocast(inputs.device, precision):
            logits = functional_call(
                network, (halfway, {name: value.clone() for name, value in buffers.items()}), inputs
            )
        return cross_entropy(logits.float(), targets)

    @torch.no_grad()
    def loss_now() -> float:
        weights, size = permuted(), 501 if len(labels) % 500 == 1 else 500  # no batch of one, which has no variance
        batches = zip(evaluation_batches(images, size), labels.split(size), strict=True)
        total = sum(halfway_loss(weights, *batch).item() * len(batch[1]) for batch in batches)
        return total / len(labels)

    with evaluation_mode(network):
        for module in network.modules():
            module.training = isinstance(module, _BatchNorm)
        found = [(loss_now(), ascent.permutation)]
        for epoch in track(range(recipe.epochs), "straight-through matching"):
            order, unused = torch_generator("ste", *noise, epoch), torch_generator("unused")
            for inputs, targets in training_batches(images, labels, recipe.batch_size, order, unused):
                ascent.aim_at(freed)
                ascent.sweep()
                projected = permuted()
                # the value of the projection, the gradient of the free weights
                straight = {name: free[name] + (projected[name] - free[name]).detach() for name in names}
                optimizer.zero_grad()
                halfway_loss(straight, inputs, targets).backward()
                optimizer.step()
            ascent.aim_at(freed)
            ascent.sweep()
            found.append((loss_now(), ascent.permutation))
    for loss, _ in found:
        if not math.isfinite(loss):
            raise InputError(f"the loss half-way is {loss}: leave ste out of permute.methods")
    loss, permutation = min(found, key=lambda pair: pair[0])
    return Matched(permutation, -found[0][0], -loss)
