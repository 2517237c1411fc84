"""The pairs of the connectivity study as its stages need them: which are measured, and their networks, aligned."""

from contextlib import AbstractContextManager
from dataclasses import replace

import torch

from hidden_structure.connectivity.line import State
from hidden_structure.connectivity.spawning import Pair, cells, pairs
from hidden_structure.frame import artifacts, paths
from hidden_structure.frame.errors import InputError, about
from hidden_structure.frame.params import Study
from hidden_structure.permutation.permuting import apply, identity
from hidden_structure.permutation.symmetry import derive
from hidden_structure.seeding import torch_generator
from hidden_structure.training.batches import Images, augmented
from hidden_structure.training.device import place
from hidden_structure.training.inputs import Inputs


def aligned_pairs(study: Study) -> list[tuple[Pair, str]]:
    """Every pair with every method of aligning it; spawned ones are taken as they are."""
    methods = {True: ("none", *study.permute.methods), False: ("none",)}
    return [(pair, method) for pair in pairs(study) for method in methods[pair.k is None]]


def repair_images(study: Study, train: Images, samples: int | None) -> Images:
    """The training images that repaired statistics come from: augmented as in training, black borders included."""
    chosen = torch.randperm(len(train.pixels), generator=torch_generator("interpolate"))
    recipe, chosen = study.spawn.train, chosen[:samples].to(train.pixels.device)
    return augmented(replace(train, pixels=train.pixels[chosen]), torch_generator("repair"), recipe.crop, recipe.flip)


class Reader:
    """Networks of the study's cells, and the states of its pairs."""

    def __init__(self, study: Study, inputs: Inputs) -> None:
        networks = {cell.name: inputs.build(cell.network) for cell in cells(study)}
        self.networks = {name: place(network, inputs.device) for name, network in networks.items()}
        few = inputs.images["train"]
        self.symmetries = {}
        if study.permute.methods:
            few = few.normalise(few.pixels[:2])
            self.symmetries = {name: derive(network, few) for name, network in self.networks.items()}

    def states(self, pair: Pair, method: str) -> tuple[State, State]:
        """The states of both networks, the second permuted towards the first by that method, unless it is none."""
        network = self.networks[pair.cell.name]
        a, b = (artifacts.read_state(paths.spawned(pair.cell.name, *end), network) for end in (pair.a, pair.b))
        if method == "none":
            return a, b
        symmetry = self.symmetries[pair.cell.name]
        file = paths.permutation(pair.id, method)
        held = {name: ("i", entries.dim()) for name, entries in identity(symmetry).items()}
        found = artifacts.read_arrays(file, held)
        try:
            return a, apply(symmetry, {name: torch.from_numpy(array) for name, array in found.items()}, b)
        except InputError as error:
            raise artifacts.unfit(str(error), file) from error


def named(pair: Pair, method: str) -> AbstractContextManager[None]:
    """`about` the pair: an InputError inside the block says of which one it is."""
    return about(f"the pair {pair.id}, permuted by {method}")
