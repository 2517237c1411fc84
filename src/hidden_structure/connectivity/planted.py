"""What each method of matching makes of a known permutation: a network and itself, its units in another order."""

from dataclasses import replace

import torch
from torch import Tensor

from hidden_structure.connectivity.heights import barrier
from hidden_structure.connectivity.line import Split, along_line
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
    problem = posed(pair, (pair.a, pair.a), hardware, settings)
    found = found_again(problem, inputs.some("test", settings.samples, "permute"))
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
    if not moved.any():  # nothing can be put back
        return []
    row, end = {"units": int(moved.sum())}, _loss(problem, identity(problem.symmetry), 0.0, test)

    def height(permutation: Permutation) -> float:
        return barrier(HALFWAY, [end, _loss(problem, permutation, 0.5, test), end])  # both ends are one function

    rows = [row | {"method": "none", "found": 0.0, "barrier": height(identity(problem.symmetry))}]
    for method, matched in match(problem).items():
        back = moved & ~_elsewhere(problem, order, matched.permutation)
        reached = {"before": matched.before, "after": matched.after}
        reached |= {"known": OBJECTIVES[method](problem, known)}
        share = {"found": back.sum().item() / int(moved.sum())}
        rows.append(row | {"method": method} | share | reached | {"barrier": height(matched.permutation)})
    return rows


def _elsewhere(problem: Problem, *permutations: Permutation) -> Tensor:
    """Of all units: bool (units,)."""
    batches = evaluation_batches(problem.images, BATCH_SIZE)
    found = elsewhere(problem.symmetry, problem.networks[0], batches, *permutations)
    return torch.cat([*found.values(), torch.zeros(0, dtype=torch.bool)])


def _loss(problem: Problem, permutation: Permutation, alpha: float, test: Split) -> float:
    """Of the network at alpha on the line to the other, so permuted."""
    a, b = problem.states
    merged = copy_of(problem.networks[0])  # which is overwritten
    b = apply(problem.symmetry, permutation, b)
    return along_line(merged, a, b, [alpha], {"test": test}, problem.precision)["test_loss"][0]
