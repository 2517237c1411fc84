"""What each method of matching makes of a known permutation: a network and itself, its units in another order."""

from dataclasses import replace

import torch
from torch import Tensor

from hidden_structure.connectivity.line import Split, along_line, barrier
from hidden_structure.connectivity.pairing import posed
from hidden_structure.connectivity.spawning import Pair
from hidden_structure.frame.params import Hardware, Permute
from hidden_structure.networks.weights import copy_of
from hidden_structure.permutation.matching import BATCH_SIZE, OBJECTIVES, Problem, match
from hidden_structure.permutation.permuting import Permutation, apply, identity, invert
from hidden_structure.permutation.planted import elsewhere, plant
from hidden_structure.seeding import torch_generator
from hidden_structure.training.batches import evaluation_batches
from hidden_structure.training.inputs import read

HALFWAY = [0.0, 0.5, 1.0]


def planted(pair: Pair, hardware: Hardware, settings: Permute) -> list[dict]:
    """Reorder the units of the pair's first network at random, and match it with itself by every method, as rows of
    results; it reads network and images itself.

    Raises InputError if a file is missing or damaged, or a loss is not finite.
    """
    inputs = read(hardware)
    found = found_again(
        posed(pair, (pair.a, pair.a), hardware, settings), (inputs.images["test"], inputs.targets("test"))
    )
    return [pair.cell.row | {"seed": pair.a[0]} | row for row in found]


def found_again(problem: Problem, test: Split) -> list[dict]:
    """Reorder the first network of the problem, which is left as it is, and match both by every method of permute.

    The straight-through estimator is left out: it trains, and starts where weight matching ends.

    test: what the loss is measured on.

    Returns a row for "none", the reordered network as it is, and one for each method, if there is any. units: how many
    then stand where none stood that computes the same. found: the share of these in whose places such units stand again
    once the method has matched them. before, after, known: its objective without a permutation, with its own, and with
    the one that undoes the order. barrier: in loss (nats), halfway, as merged.

    Raises InputError as `match` and `along_line` do.
    """
    network, methods = problem.networks[0], [method for method in problem.permute.methods if method in OBJECTIVES]
    if not methods:
        return []
    other, order = plant(problem.symmetry, network, torch_generator("planted", *problem.noise))
    permute = problem.permute.model_copy(update={"methods": methods})
    problem = replace(problem, networks=(network, other), permute=permute)
    moved, known = _elsewhere(problem, order), invert(problem.symmetry, order)
    row = {"units": int(moved.sum())}
    rows = [row | {"method": "none", "found": 0.0, "barrier": _barrier(problem, identity(problem.symmetry), test)}]
    for method, matched in match(problem).items():
        back = moved & ~_elsewhere(problem, order, matched.permutation)
        reached = {"before": matched.before, "after": matched.after}
        reached |= {"known": OBJECTIVES[method](problem, known)}
        share = {"found": back.sum().item() / max(int(moved.sum()), 1)}
        rows.append(
            row | {"method": method} | share | reached | {"barrier": _barrier(problem, matched.permutation, test)}
        )
    return rows


def _elsewhere(problem: Problem, *permutations: Permutation) -> Tensor:
    """Of all units: bool (units,)."""
    batches = evaluation_batches(problem.images, BATCH_SIZE)
    found = elsewhere(problem.symmetry, problem.networks[0], batches, *permutations)
    return torch.cat([*found.values(), torch.zeros(0, dtype=torch.bool)])


def _barrier(problem: Problem, permutation: Permutation, test: Split) -> float:
    a, b = problem.states
    merged = copy_of(problem.networks[0])  # which is overwritten
    b = apply(problem.symmetry, permutation, b)
    return barrier(HALFWAY, along_line(merged, a, b, HALFWAY, {"test": test}, problem.precision)["test_loss"])
