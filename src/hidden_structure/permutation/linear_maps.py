"""Symmetries beyond permutations: orthogonal and invertible maps of units that nothing nonlinear reads one by one.

Theus et al. 2025, "Generalized Linear Mode Connectivity for Transformers" (arXiv 2506.22712): units that are only added
and multiplied by weights may be mapped by any invertible matrix, as queries and keys inside a head, or values; those
that norms read besides, as a residual stream, by an orthogonal one. Both hold of a network once the scales of its norms
are folded into the weights that read them. LayerNorm also subtracts the mean: a matrix that keeps the vector of ones
commutes with that, so the network stays as it is built. Nothing is lost by it, for what a LayerNorm takes away is not
there to be matched.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from hidden_structure.frame.errors import InputError
from hidden_structure.networks.weights import as_state
from hidden_structure.permutation import permuting
from hidden_structure.permutation.families import Place, places
from hidden_structure.permutation.group import Layout, Symmetry
from hidden_structure.permutation.permuting import Permutation

Kind = Literal["invertible", "orthogonal", "centred"]  # centred: orthogonal, and keeps the vector of ones
Turned = frozenset[tuple[str, int, int]]  # (tensor, axis, where the segment starts): there the inverse transpose acts
Matrices = dict[str, Tensor]


@dataclass(frozen=True)
class Scale:
    """What the scale of a norm folds into: shifts are divided by it, and readers multiplied along these axes."""

    shifts: frozenset[str]
    readers: frozenset[tuple[str, int]]


@dataclass(frozen=True)
class LinearMaps:
    """kinds: of the symmetry's groups that may be mapped, by which matrices. scales: by the name of the tensor.

    reasons: of every other group, the operation that leaves it at permutations.
    """

    symmetry: Symmetry
    kinds: dict[str, Kind]
    turned: Turned = frozenset()
    scales: dict[str, Scale] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Element:
    """A permutation of all groups, and then matrices (size, size) of some, or (rows, size, size): one for each entry of
    the group's parent."""

    permutation: Permutation
    matrices: Matrices


def fold(maps: LinearMaps, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of the same function whose norms have the scale one; new tensors where something changes.

    Raises InputError if a scale is zero, for then its shift cannot be kept.
    """
    found = dict(state)
    for name, scale in maps.scales.items():
        values = state[name]
        if scale.shifts and not values.all():
            raise InputError(f"{name} holds a scale of 0: its norm cannot be folded, so match by permutations")
        for reader, axis in scale.readers:
            shape = [-1 if dim == axis else 1 for dim in range(found[reader].dim())]
            found[reader] = found[reader] * values.reshape(shape)
        for shift in scale.shifts:
            found[shift] = found[shift] / values
        found[name] = torch.ones_like(values)
    return as_state(found, state)


def apply(maps: LinearMaps, element: Element, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of a folded network after the element acted on it: of the same function."""
    permuted = permuting.apply(maps.symmetry, element.permutation, state)
    return as_state({name: mapped(maps, element.matrices, name, tensor) for name, tensor in permuted.items()}, state)


def mapped(maps: LinearMaps, matrices: Matrices, name: str, tensor: Tensor) -> Tensor:
    """One tensor of the state dict; scales, which are one, stay."""
    if name in maps.scales:
        return tensor
    return transformed(maps.symmetry, matrices, maps.turned, name, maps.symmetry.layouts.get(name, ()), tensor)


def transformed(
    symmetry: Symmetry, matrices: Matrices, turned: Turned, name: str, layouts: tuple[Layout, ...], tensor: Tensor
) -> Tensor:
    """A tensor whose axes have these layouts, each group's units mapped by its matrix."""
    for group, place in places(symmetry, layouts):
        if group in matrices:
            matrix = matrices[group]
            if (name, place.axis, place.segment[0]) in turned:
                matrix = torch.linalg.inv(matrix).mT
            tensor = _act(matrix.to(tensor), place, tensor)
    return tensor


def _act(matrix: Tensor, place: Place, tensor: Tensor) -> Tensor:
    start, length = place.segment
    part = tensor.narrow(place.axis, start, length)
    blocks = part.reshape(place.shape).movedim(place.dims, tuple(range(len(place.dims))))
    units = blocks.flatten(len(place.dims)) if blocks.dim() > len(place.dims) else blocks.unsqueeze(-1)
    moved = (matrix @ units).reshape(blocks.shape).movedim(tuple(range(len(place.dims))), place.dims)
    rest = tensor.shape[place.axis] - start - length
    sides = tensor.narrow(place.axis, 0, start), tensor.narrow(place.axis, start + length, rest)
    return torch.cat([sides[0], moved.reshape(part.shape), sides[1]], dim=place.axis)


def shapes(maps: LinearMaps) -> Iterator[tuple[str, Kind, tuple[int, ...]]]:
    """Every group that is mapped, how, and the shape of its units: (size,) or (rows, size)."""
    for name, kind in maps.kinds.items():
        rows = permuting.rows(maps.symmetry, name)
        yield (
            name,
            kind,
            (maps.symmetry.groups[name].size,) if rows is None else (rows, maps.symmetry.groups[name].size),
        )


def unmoved(maps: LinearMaps) -> Element:
    """The element that leaves all as it is."""
    matrices = {name: torch.eye(shape[-1], dtype=torch.float64) for name, _, shape in shapes(maps)}
    full = {name: matrices[name].expand(*shape, shape[-1]).clone() for name, _, shape in shapes(maps)}
    return Element(permuting.identity(maps.symmetry), full)


def draw(maps: LinearMaps, generator: torch.Generator) -> Element:
    """A random element: uniform permutations and orthogonal matrices; invertible ones of a condition of 4 at most.

    Groups that are mapped are not permuted besides.
    """
    permutation = permuting.draw(maps.symmetry, generator) | {
        name: still for name, still in permuting.identity(maps.symmetry).items() if name in maps.kinds
    }
    matrices = {}
    for name, kind, shape in shapes(maps):
        normal = torch.randn(2, *shape, shape[-1], generator=generator, dtype=torch.float64)
        if kind == "centred":
            matrices[name] = nearest(normal[0], kind)
        else:
            left, right = (nearest(part, "orthogonal") for part in normal)
            stretch = torch.rand(*shape, 1, generator=generator, dtype=torch.float64) * 1.5 + 0.5
            matrices[name] = left if kind == "orthogonal" else left @ (stretch * right)
    return Element(permutation, matrices)


def nearest(scores: Tensor, kind: Kind) -> Tensor:
    """The orthogonal matrix R (.., n, n), of that kind, that maximises tr(R^T scores): Schoenemann 1966.

    Raises InputError if a score is not finite.
    """
    if not scores.isfinite().all():
        raise InputError("units cannot be matched: a weight is not finite: did the training diverge?")
    size = scores.shape[-1]
    if kind != "centred" or size == 1:
        left, _, right = torch.linalg.svd(scores)
        return left @ right
    inside = _differences(size).to(scores)
    left, _, right = torch.linalg.svd(inside.T @ scores @ inside)
    return inside @ (left @ right) @ inside.T + 1 / size


def _differences(size: int) -> Tensor:
    """float64 (size, size - 1): an orthonormal basis of the vectors that sum to zero (Helmert's)."""
    basis = torch.ones(size, size - 1, dtype=torch.float64).triu()
    counts = torch.arange(1, size, dtype=torch.float64)
    basis[1:].diagonal().copy_(-counts)
    return basis / (counts * (counts + 1)).sqrt()


def compose(maps: LinearMaps, first: Element, second: Element) -> Element:
    """What `first` and then `second` do, where second permutes no group that is mapped."""
    matrices = {}
    for name, matrix in first.matrices.items():
        parent = maps.symmetry.groups[name].parent
        if parent in second.permutation:  # what stands inside a parent's entry moves with it
            matrix = matrix[second.permutation[parent]]
        matrices[name] = second.matrices[name] @ matrix if name in second.matrices else matrix
    return Element(permuting.compose(maps.symmetry, first.permutation, second.permutation), matrices)
