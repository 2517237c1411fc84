"""What is measured of one aligned pair of the study: the line between its networks, or a plane through them."""

from dataclasses import replace

import torch

from hidden_structure.connectivity import line as connectivity
from hidden_structure.connectivity.line import Split
from hidden_structure.connectivity.pairing import aligned, repair_images
from hidden_structure.connectivity.repair import has_batch_norm, repairer
from hidden_structure.connectivity.spawning import Pair
from hidden_structure.frame.params import Hardware, Interpolate
from hidden_structure.seeding import torch_generator
from hidden_structure.training.inputs import Inputs, read

WALKS = ("line", "repaired line", "plane")


def walk(what: str, pair: Pair, method: str, hardware: Hardware, settings: Interpolate) -> dict | None:
    """One of WALKS, as a row of results; it reads networks, permutation and images itself.

    Raises InputError if a file is missing or damaged, or a loss is not finite.
    """
    inputs = read(hardware)
    if what == "plane":
        return _plane(pair, method, inputs, settings)
    return _line(pair, method, what == "repaired line", inputs, settings)


def _line(pair: Pair, method: str, repaired: bool, inputs: Inputs, settings: Interpolate) -> dict:
    network, a, b = aligned(pair, method, inputs)
    points = connectivity.alphas(settings.permuted_points if pair.k is None else settings.spawned_points)
    images = repair_images(pair.cell.train, inputs.images["train"], settings.repair_samples)
    repair = repairer(network, a, b, images, inputs.precision) if repaired else None
    splits = {"train": _first(settings.train_samples, inputs), "test": (inputs.images["test"], inputs.targets("test"))}
    found = connectivity.along_line(network, a, b, points, splits, inputs.precision, repair, fitted_on="train")
    return pair.row(method) | {"repaired": repaired} | found | connectivity.heights(found)


def _plane(pair: Pair, method: str, inputs: Inputs, settings: Interpolate) -> dict | None:
    """Through both networks and the second as that method permutes it; None where it leaves it as it is."""
    (network, a, b), (_, _, c) = aligned(pair, "none", inputs), aligned(pair, method, inputs)
    if all(torch.equal(tensor, c[name]) for name, tensor in b.items()):  # two networks span no plane
        return None
    images = repair_images(pair.cell.train, inputs.images["train"], settings.repair_samples)
    repair = repairer(network, a, b, images, inputs.precision) if has_batch_norm(network) else None
    found = connectivity.plane(a, b, c, [name for name, _ in network.named_parameters()], settings.plane_points)
    losses = connectivity.over_plane(network, found, _first(settings.train_samples, inputs), inputs.precision, repair)
    row = {"seeds": [pair.a[0], pair.b[0]], "method": method, "repaired": repair is not None}
    return row | {"networks": found.networks.tolist(), "x": found.x, "y": found.y, "train_loss": losses}


def _first(samples: int | None, inputs: Inputs) -> Split:
    """So many training images, the same for every pair, and their labels."""
    train = inputs.images["train"]
    order = torch.randperm(len(train.pixels), generator=torch_generator("interpolate"))
    chosen = order[:samples].to(inputs.device)
    return replace(train, pixels=train.pixels[chosen]), inputs.targets("train")[chosen]
