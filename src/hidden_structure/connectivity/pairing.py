"""The pairs of the connectivity study as its stages need them: which are measured, and their networks, to be aligned or
aligned."""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from itertools import chain

import numpy as np
import torch
from torch import nn

from hidden_structure.connectivity.line import State
from hidden_structure.connectivity.spawning import Pair, pairs
from hidden_structure.frame import artifacts, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Hardware, Network, Permute, Study
from hidden_structure.frame.workplace import fingerprint
from hidden_structure.networks.weights import load_state
from hidden_structure.permutation.group import Symmetry
from hidden_structure.permutation.matching import Problem
from hidden_structure.permutation.permuting import apply, identity
from hidden_structure.permutation.symmetry import derive
from hidden_structure.seeding import torch_generator
from hidden_structure.training.batches import evaluation_batches
from hidden_structure.training.device import place
from hidden_structure.training.inputs import Inputs, read


def aligned_pairs(study: Study) -> list[tuple[Pair, str]]:
    """Every pair with every method of aligning it; spawned ones are taken as they are ("none")."""
    methods = {True: ("none", *study.permute.methods), False: ("none",)}
    return [(pair, method) for pair in pairs(study) for method in methods[pair.k is None]]


def named(pair: Pair, method: str) -> str:
    """What the task is called that measures the pair, after its networks and permutation: so it depends on no other
    pair, and is told from that of other networks of the same names.

    Raises InputError if a file is missing or damaged.
    """
    permutation = () if method == "none" else artifacts.read_arrays(paths.permutation(pair.id, method)).values()
    return f"the pair {pair.id}, permuted by {method} ({digest(pair, (pair.a, pair.b), permutation)})"


def digest(pair: Pair, ends: Iterable[tuple[int, str]], further: Iterable[np.ndarray] = ()) -> str:
    """8 hexadecimal digits of the weights of the networks at these ends of the pair, and of what is given besides.

    Raises InputError if a file is missing or damaged.
    """
    files = [paths.spawned(pair.cell.name, *end) for end in ends]
    return fingerprint({}, (), chain(artifacts.arrays_of(files), further))[:8]


def posed(pair: Pair, ends: tuple[tuple[int, str], ...], hardware: Hardware, settings: Permute) -> Problem:
    """How to match the networks at these two ends of the pair, on the device.

    Raises InputError if a file is missing, damaged or of another network.
    """
    inputs = read(hardware)
    train, networks = inputs.images["train"], [inputs.build(pair.cell.network).to(inputs.device) for _ in ends]
    chosen = torch.randperm(len(train.pixels), generator=torch_generator("permute"))[: settings.samples]
    images, labels = replace(train, pixels=train.pixels[chosen]), inputs.targets("train")[chosen]
    for network, end in zip(networks, ends, strict=True):
        load_state(network, artifacts.read_state(paths.spawned(pair.cell.name, *end), network))
    symmetry = derive(networks[0], next(evaluation_batches(images, 2)))
    return Problem(symmetry, networks, images, labels, settings, inputs.precision, tuple(seed for seed, _ in ends))


def aligned(pair: Pair, method: str, inputs: Inputs) -> tuple[nn.Module, State, State]:
    """A network of the pair's architecture, on the device, and the states of both, on the CPU: the second permuted
    towards the first by that method, unless it is none.

    Raises InputError if a file is missing, damaged or of another network.
    """
    network = place(inputs.build(pair.cell.network), inputs.device)
    a, b = (artifacts.read_state(paths.spawned(pair.cell.name, *end), network) for end in (pair.a, pair.b))
    if method == "none":
        return network, a, b
    symmetry = symmetry_of(pair.cell.network, inputs)
    file = paths.permutation(pair.id, method)
    held = {name: ("i", entries.dim()) for name, entries in identity(symmetry).items()}
    found = artifacts.read_arrays(file, held)
    try:
        return network, a, apply(symmetry, {name: torch.from_numpy(array) for name, array in found.items()}, b)
    except InputError as error:
        raise artifacts.unfit(str(error), file) from error


def symmetry_of(network: Network, inputs: Inputs) -> Symmetry:
    """Raises InputError as `derive`."""
    return _symmetry(inputs, network.model_dump_json())


@lru_cache(maxsize=4)
def _symmetry(inputs: Inputs, description: str) -> Symmetry:
    """Of the network's architecture, as JSON: the same for all its pairs, of which one process measures many."""
    network = place(inputs.build(Network.model_validate_json(description)), inputs.device)
    images = inputs.images["train"]
    return derive(network, images.normalise(images.pixels[:2]))
