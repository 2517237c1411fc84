"""What matching optimises at once: a group with those that depend on it, and where they lie in tensors.

A matching of units is found from scores: scores[i, j] says how well unit j of network B fits unit i of network A. For a
group with children (heads, and the units inside each) the scores of a child are of all its units in all heads, and the
best pairing of heads is the one whose best pairings inside score highest together, which is found exactly.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from hidden_structure.frame.errors import InputError
from hidden_structure.permutation.group import Layout, Symmetry

PASSES = 16  # over the prices of an assignment, before it is computed anew
Relative = dict[str, Tensor]  # a permutation of some groups, from where they are now


@dataclass(frozen=True)
class Family:
    """A group that depends on none, and its children; root is None for children of what is not permuted."""

    root: str | None
    children: tuple[str, ...]
    parents: int  # entries of the root, or of the fixed parent

    @property
    def members(self) -> tuple[str, ...]:
        return self.children if self.root is None else (self.root, *self.children)


def families(symmetry: Symmetry) -> list[Family]:
    """Every group is in one family. In order of execution, so that the first reads what is fixed."""
    children = defaultdict(list)
    for name, group in symmetry.groups.items():
        if group.parent is not None:
            children[group.parent].append(name)
    roots = [name for name, group in symmetry.groups.items() if group.parent is None]
    found = [Family(name, tuple(children[name]), symmetry.groups[name].size) for name in roots]
    return found + [
        Family(None, tuple(children[name]), size) for name, size in symmetry.frozen.items() if children[name]
    ]


@dataclass(frozen=True)
class Place:
    """Where a group lies in a tensor.

    axis: of the group; segment: (start, length) of the part of that axis it is in; shape: the factors of that part of
    the tensor; dims: which of them are the group's, its parent's first if it has one.
    """

    axis: int
    segment: tuple[int, int]
    shape: tuple[int, ...]
    dims: tuple[int, ...]

    @property
    def entries(self) -> int:
        return prod(self.shape[dim] for dim in self.dims)

    def units(self, tensor: Tensor) -> Tensor:
        """The tensor, or the activations with their units first, as a matrix (entries, everything else)."""
        start, length = self.segment
        part = tensor if tensor.shape[self.axis] == length else tensor.narrow(self.axis, start, length)
        part = part.reshape(*self.shape, -1).movedim(self.dims, tuple(range(len(self.dims))))
        return part.reshape(self.entries, -1)


def places(symmetry: Symmetry, layouts: tuple[Layout, ...]) -> list[tuple[str, Place]]:
    """Every group of a tensor and where it is; a parent only where it does not stand with one of its children."""
    found: list[tuple[str, Place]] = []
    for axis, layout in enumerate(layouts):
        start = 0
        for segment in layout:
            length = prod(factor.size for factor in segment)
            before = [factor for other in layouts[:axis] for factor in _factors(other)]
            after = [factor for other in layouts[axis + 1 :] for factor in _factors(other)]
            shape, names = zip(*[*before, *_factors((segment,)), *after], strict=True)
            first = len(before)
            for position in range(first, first + len(segment)):
                name = names[position]
                if name not in symmetry.groups:
                    continue
                parent = symmetry.groups[name].parent
                dims = (position,) if parent is None else (_nearest(names, parent, position), position)
                found.append((name, Place(axis, (start, length), shape, dims)))
            start += length
    used = {(place.axis, place.segment, place.dims[0]) for name, place in found if len(place.dims) == 2}
    return [
        (name, place)
        for name, place in found
        if (place.axis, place.segment, place.dims[0]) not in used or len(place.dims) == 2
    ]


def _factors(layout: Layout) -> list[tuple[int, str | None]]:
    if len(layout) > 1:
        return [(sum(prod(factor.size for factor in segment) for segment in layout), None)]
    return [(factor.size, factor.group) for factor in layout[0]]


def _nearest(names: tuple, name: str, position: int) -> int:
    found = [index for index, other in enumerate(names) if other == name]
    if not found:
        raise InputError(f"a group depends on {name}, which is in a concatenated axis: its matching is not supported")
    return min(found, key=lambda index: abs(index - position))


def assign(scores: np.ndarray) -> np.ndarray:
    """The permutation p that maximises sum_i scores[i, p[i]]. Raises InputError if a score is not finite."""
    _check_finite(scores)
    return linear_sum_assignment(scores, maximize=True)[1]


def _check_finite(scores: np.ndarray) -> None:
    if not np.isfinite(scores).all():
        raise InputError("units cannot be matched: a weight or an activation is not finite: did the training diverge?")


def assign_again(scores: np.ndarray, prices: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """`assign` where units have been matched to similar scores before, up to gains below the tolerance.

    Prices are dual variables of the columns: whatever they are, the duality gap bounds what any permutation gains over
    the identity. Each pass, one of the Bellman-Ford algorithm, lowers it if it can be lowered; at the tolerance nothing
    is worth moving. Otherwise SciPy solves the problem from these prices on: they change no optimum, but leave few
    rows that compete for a column.

    Args:
        scores: float32 (n, n).
        prices: float32 (n,), as returned for similar scores; 0 at first.

    Returns the permutation, and prices in the order of the columns once they are permuted.

    Raises InputError as `assign`.
    """
    _check_finite(scores)
    lost = scores.diagonal()[:, None] - scores  # where a row takes another column than its own
    costs = np.empty_like(lost)
    for _ in range(PASSES):
        np.add(lost, prices[:, None], out=costs)
        lowered = costs.min(0)
        gap, prices = (prices - lowered).sum(), lowered
        if gap <= tolerance:
            return np.arange(len(scores)), prices
    found = linear_sum_assignment(np.subtract(costs, prices, dtype=np.float64))[1]
    return found, prices[found]


def best(family: Family, scores: Mapping[str, Tensor], move_root: bool = True) -> Relative:
    """The permutation of a family's groups that maximises its scores.

    Args:
        scores: (entries, entries) of the root, and of each child over all (parent, entry); groups may be absent.
        move_root: whether the parents may be permuted too, or only the entries inside each.
    """
    parents = family.parents
    if not family.children:
        return {family.root: torch.from_numpy(assign(scores[family.root].numpy()))}
    between = np.zeros((parents, parents))
    if family.root in scores:
        between += scores[family.root].numpy()
    inside: dict[str, np.ndarray] = {}
    for child in (name for name in family.children if name in scores):
        size = len(scores[child]) // parents
        blocks = scores[child].numpy().reshape(parents, size, parents, size)
        pairs = np.tile(np.arange(size), (parents, parents, 1))
        for i in range(parents):
            for j in range(parents) if move_root else (i,):
                pairs[i, j] = assign(blocks[i, :, j])
                between[i, j] += blocks[i, np.arange(size), j, pairs[i, j]].sum()
        inside[child] = pairs
    moved: Relative = {}
    order = np.arange(parents)
    if family.root is not None and move_root:
        order = assign(between)
        moved[family.root] = torch.from_numpy(order)
    return moved | {child: torch.from_numpy(pairs[np.arange(parents), order]) for child, pairs in inside.items()}


def chosen(family: Family, name: str, entries: int, moved: Relative) -> Tensor:
    """Which of the group's entries, counted over all parents, comes to each place: int64 (entries,)."""
    order = moved.get(family.root or "", torch.arange(family.parents))
    if name == family.root:
        return order
    size = entries // family.parents
    inner = moved.get(name, torch.arange(size).repeat(family.parents, 1))
    return (order[:, None] * size + inner).flatten()


def stand(symmetry: Symmetry, permutation: Relative) -> dict[str, Tensor]:
    """Of every group without children which of its entries, counted over all parents, comes to each place."""
    return {
        name: chosen(family, name, permutation[name].numel(), permutation)
        for family in families(symmetry)
        for name in family.children or (family.root,)
    }


def gain(family: Family, scores: Mapping[str, Tensor], moved: Relative) -> float:
    """By how much a relative permutation raises the sum of the scores."""
    amount = 0.0
    for name, values in scores.items():
        there = values.gather(1, chosen(family, name, len(values), moved)[:, None])[:, 0]
        amount += (there - values.diagonal()).sum(dtype=torch.float64).item()
    return amount


def is_still(moved: Relative) -> bool:
    return all(torch.equal(entries, torch.arange(entries.shape[-1]).expand_as(entries)) for entries in moved.values())
