"""Means of the weights of several independent networks, their units matched or not, beside their ensembles."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hidden_structure.connectivity.line import Split, State, is_interpolated
from hidden_structure.connectivity.pairing import symmetry_of
from hidden_structure.connectivity.repair import repair_mean
from hidden_structure.connectivity.repair_images import repair_images
from hidden_structure.connectivity.spawning import TRUNK, Cell, cells, runs
from hidden_structure.frame import artifacts, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Average, Hardware, Study
from hidden_structure.networks.features import evaluation_mode
from hidden_structure.networks.weights import as_state, copy_of, load_state
from hidden_structure.permutation.families import stand
from hidden_structure.permutation.group import Symmetry
from hidden_structure.permutation.many import match_together
from hidden_structure.permutation.permuting import Permutation, apply, compose, identity, invert
from hidden_structure.permutation.symmetry import derive
from hidden_structure.permutation.weight_matching import match_weights, objective
from hidden_structure.seeding import torch_generator
from hidden_structure.training.batches import Images, check_images, evaluation_batches
from hidden_structure.training.device import autocast, place
from hidden_structure.training.inputs import Inputs, read

BATCH_SIZE = 500
Pairwise = dict[tuple[int, int], Permutation]  # (to, of): permutes network `of` towards network `to`


@dataclass(frozen=True)
class Group:
    """Independent networks of one cell, by their seeds; groups of one size share no network."""

    cell: Cell
    seeds: tuple[int, ...]

    @property
    def id(self) -> str:
        return f"{self.cell.name}, networks {' '.join(map(str, self.seeds))}"


def groups(study: Study) -> list[Group]:
    """For each width and count of `average` as many groups as share no network, from the first seeds on."""
    found, every = [], [run for run in runs(study) if run.name == TRUNK]
    for width in study.average.widths:
        cell = next(cell for cell in cells(study) if cell.width == width)  # the first is of the study's own decay
        seeds = [run.seed for run in every if run.cell == cell]
        for count in study.average.counts:
            starts = range(0, len(seeds) - count + 1, count)
            found += [Group(cell, tuple(seeds[start : start + count])) for start in starts]
    return found


@torch.no_grad()
def mean_state(states: Sequence[State]) -> State:
    """The mean of every floating-point or complex tensor, added up in float64; of others, which must be alike but for
    counters, the first's.

    Raises InputError as `is_interpolated`.
    """
    found = {}
    for name, first in states[0].items():
        tensors = [state[name] for state in states]
        if is_interpolated(name, *tensors):
            exact = torch.promote_types(first.dtype, torch.float64)
            found[name] = torch.stack([tensor.to(exact) for tensor in tensors]).mean(0).to(first.dtype)
        else:
            found[name] = first.clone()
    return as_state(found, states[0])


def merge(
    networks: Sequence[nn.Module],
    images: Images,
    generator: torch.Generator,
    restarts: int = 1,
    precision: torch.dtype = torch.float32,
) -> nn.Module:
    """One network: the mean of several of one architecture, matched all together, with REPAIR. Those stay as they are.

    Args:
        images: training images, on the networks' device: of two the symmetry is derived, of all come the statistics.
        generator, restarts: as of `match_together`.

    Raises InputError as `derive`, `match_together`, `mean_state` and `repair_mean` do.
    """
    if not networks:
        raise InputError("there are no networks to merge: give two or more")
    check_images(images)
    symmetry = derive(networks[0], images.normalise(images.pixels[:2]))
    states = [network.state_dict() for network in networks]
    found = match_together(symmetry, states, generator, restarts)
    moved = [apply(symmetry, *both) for both in zip(found.permutations, states, strict=True)]
    merged = copy_of(networks[0])
    repair_mean(merged, mean_state(moved), moved, images, precision)
    return merged


def match_pairs(symmetry: Symmetry, states: Sequence[State], restarts: int, *noise: int) -> Pairwise:
    """Every two networks matched by their weights, once: what takes one to the other is undone on the way back."""
    found: Pairwise = {}
    for i, j in itertools.combinations(range(len(states)), 2):
        generator = torch_generator("average", "pair", *noise, i, j)
        found[i, j] = match_weights(symmetry, states[i], states[j], generator, restarts).permutation
        found[j, i] = invert(symmetry, found[i, j])
    return found


def lost_in_cycles(symmetry: Symmetry, pairwise: Pairwise, count: int) -> float | None:
    """The share of units that come back elsewhere when they go round three networks by the matchings of every two;
    None of two networks. Units inside others, as in heads, move with these, and count in their place."""
    lost = units = 0
    for i, j, k in itertools.combinations(range(count), 3):
        around = compose(symmetry, compose(symmetry, pairwise[k, i], pairwise[j, k]), pairwise[i, j])
        for came in stand(symmetry, around).values():
            lost += (came != torch.arange(len(came))).sum().item()
            units += len(came)
    return lost / units if units else None


def measure(group: Group, hardware: Hardware, settings: Average, samples: int | None) -> dict:
    """A row of results: the networks of the group, their ensembles, and their means by every matching.

    samples: training images that repaired statistics come from; None: all.

    Raises InputError if a file is missing or damaged, or a loss is not finite.
    """
    inputs = read(hardware)
    network = place(inputs.build(group.cell.network), inputs.device)
    states = [artifacts.read_state(paths.spawned(group.cell.name, seed, TRUNK), network) for seed in group.seeds]
    test = inputs.images["test"], inputs.targets("test")
    singles = [_log_probabilities(network, state, test, inputs) for state in states]
    row = group.cell.row | {
        "seeds": list(group.seeds),
        "networks": [_scores(own, test[1], group.id) for own in singles],
    }
    row["ensembles"] = {
        "probabilities": _scores(torch.stack(singles).logsumexp(0) - math.log(len(singles)), test[1], group.id),
        "logits": _scores(torch.stack(singles).mean(0).log_softmax(1), test[1], group.id),
    }
    symmetry = symmetry_of(group.cell.network, inputs)
    pairwise = match_pairs(symmetry, states, settings.restarts, *group.seeds)
    images = repair_images(group.cell.train, inputs.images["train"], samples)
    row["lost_in_cycles"], row["means"] = lost_in_cycles(symmetry, pairwise, len(states)), []
    for how, permutations in _matchings(symmetry, states, pairwise, settings, group):
        moved = [apply(symmetry, own, state) for own, state in zip(permutations, states, strict=True)]
        mean = mean_state(moved)
        how |= {"objective": _products(symmetry, moved)}
        for repaired in (False, True):
            if repaired:
                repair_mean(network, mean, moved, images, inputs.precision)
            found = _log_probabilities(network, None if repaired else mean, test, inputs)
            row["means"].append(how | {"repaired": repaired} | _scores(found, test[1], f"{group.id}, their mean"))
    return row


def _matchings(
    symmetry: Symmetry, states: Sequence[State], pairwise: Pairwise, settings: Average, group: Group
) -> Iterator[tuple[dict, Sequence[Permutation]]]:
    """What a row says of each way of matching, and a permutation of each network."""
    count, stay = len(states), identity(symmetry)
    yield {"matching": "none", "reference": None}, [stay] * count
    for to in range(count):
        own = [stay if of == to else pairwise[to, of] for of in range(count)]
        yield {"matching": "pairwise", "reference": group.seeds[to]}, own
    generator = torch_generator("average", "together", *group.seeds)
    found = match_together(symmetry, states, generator, settings.restarts)
    yield {"matching": "together", "reference": None}, found.permutations


def _products(symmetry: Symmetry, states: Sequence[State]) -> float:
    """The sum over pairs of the products of their weights, which matching together maximises."""
    stay = identity(symmetry)
    return sum(objective(symmetry, a, b, stay) for a, b in itertools.combinations(states, 2))


@torch.no_grad()
def _log_probabilities(network: nn.Module, state: State | None, split: Split, inputs: Inputs) -> Tensor:
    """float64 (N, classes); state: None: the network as it is."""
    if state is not None:
        load_state(network, state)
    logits = []
    with evaluation_mode(network):
        for images in evaluation_batches(split[0], BATCH_SIZE):
            with autocast(inputs.device, inputs.precision):
                logits.append(network(images).float())
    return torch.cat(logits).double().log_softmax(1)


def _scores(log_probabilities: Tensor, labels: Tensor, what: str) -> Mapping[str, float]:
    loss = -log_probabilities.gather(1, labels[:, None]).mean().item()
    if not math.isfinite(loss):
        raise InputError(f"{what}: the loss is {loss}: try hardware.precision: float32")
    return {"test_loss": loss, "test_accuracy": (log_probabilities.argmax(1) == labels).double().mean().item()}
