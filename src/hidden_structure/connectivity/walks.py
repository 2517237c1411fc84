"""What is measured of one aligned pair of the study: the line between its networks, or a plane through them."""

from collections.abc import Mapping
from itertools import combinations

import torch
from torch import nn

from hidden_structure.connectivity import line as connectivity
from hidden_structure.connectivity.heights import heights
from hidden_structure.connectivity.line import Line, State
from hidden_structure.connectivity.pairing import aligned
from hidden_structure.connectivity.repair import has_batch_norm, repairer
from hidden_structure.connectivity.repair_images import repair_images
from hidden_structure.connectivity.spawning import Pair
from hidden_structure.frame.params import Hardware, Interpolate
from hidden_structure.training.inputs import Inputs, read

SPLITS = ("train", "test")
Known = Mapping[float, Mapping[str, float]]  # alpha -> what is found there


def walk(
    what: str, pair: Pair, method: str, hardware: Hardware, settings: Interpolate, known: Known | None = None
) -> dict | None:
    """A line, as a row of results, or a plane; it reads networks, permutation and images itself.

    what: "line", "repaired line" or "plane".
    known: of the line's ends, what `end` found.

    Raises InputError if a file is missing or damaged, or a loss is not finite.
    """
    inputs = read(hardware)
    if what == "plane":
        return _plane(pair, method, inputs, settings)
    repaired, networks = what == "repaired line", aligned(pair, method, inputs)
    points = connectivity.alphas(settings.permuted_points if pair.k is None else settings.spawned_points)
    found = _line(pair, networks, points, repaired, inputs, settings, known)
    return pair.row(method) | {"repaired": repaired} | found | heights(found)


def end(what: str, pair: Pair, side: int, hardware: Hardware, settings: Interpolate) -> dict[str, float]:
    """What a line or repaired line of any of its pairs finds at one of its networks, the pair's first (0) or second
    (1), whose units may be in any order.

    Raises InputError as `walk` does.
    """
    inputs = read(hardware)
    network, *both = aligned(pair, "none", inputs)
    found = _line(pair, (network, both[side], both[side]), [0.0], what == "repaired line", inputs, settings)
    return {name: values[0] for name, values in found.items() if name != "alphas"}


def _line(
    pair: Pair,
    networks: tuple[nn.Module, State, State],
    points: list[float],
    repaired: bool,
    inputs: Inputs,
    settings: Interpolate,
    known: Known | None = None,
) -> Line:
    network, a, b = networks
    repair = None
    if repaired:
        images = repair_images(pair.cell.train, inputs.images["train"], settings.repair_samples)
        repair = repairer(network, a, b, images, inputs.precision)
    splits = {split: inputs.some(split, getattr(settings, f"{split}_samples"), "interpolate") for split in SPLITS}
    return connectivity.along_line(*networks, points, splits, inputs.precision, repair, fitted_on="train", known=known)


def _plane(pair: Pair, method: str, inputs: Inputs, settings: Interpolate) -> dict | None:
    """Through both networks and the second as that method permutes it; None if two of these three are one."""
    (network, a, b), (_, _, c) = aligned(pair, "none", inputs), aligned(pair, method, inputs)
    parameters = [name for name, _ in network.named_parameters()]
    for one, other in combinations((a, b, c), 2):
        if all(torch.equal(one[name], other[name]) for name in parameters):  # two networks span no plane
            return None
    images = repair_images(pair.cell.train, inputs.images["train"], settings.repair_samples)
    repair = repairer(network, a, b, images, inputs.precision) if has_batch_norm(network) else None
    found = connectivity.plane(a, b, c, parameters, settings.plane_points)
    split = inputs.some("train", settings.train_samples, "interpolate")
    losses = connectivity.over_plane(network, found, split, inputs.precision, repair)
    row = {"seeds": [pair.a[0], pair.b[0]], "method": method, "repaired": repair is not None}
    return row | {"networks": found.networks.tolist(), "x": found.x, "y": found.y, "train_loss": losses}
