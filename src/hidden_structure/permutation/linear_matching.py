"""Weight matching beyond permutations: the element of the larger group that brings B's weights closest to A's.

Both networks are first brought to one form that leaves no choice but rotations: scales of norms are folded, and every
group that may be mapped by any invertible matrix is balanced, so that the weights that make its units and those that
read them have the same Gram matrix over units. Of all weights with that function these have the least norm, and what
is left are orthogonal matrices. Then the sum over weights of <A, g(B)> is raised by coordinate ascent, as by
permutations: one family of groups at a time, by Procrustes' solution where matrices map and by an assignment where
units are permuted; heads are paired by what the best maps inside each pair reach, all at once. The symmetries are those
of Theus et al. 2025 (arXiv 2506.22712), balancing and the order of the ascent are our reading.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hidden_structure.frame.errors import InputError
from hidden_structure.networks.weights import as_state
from hidden_structure.permutation.families import Family, Place, assign, families, places
from hidden_structure.permutation.linear_maps import (
    Element,
    LinearMaps,
    apply,
    compose,
    fold,
    mapped,
    nearest,
    shapes,
    unmoved,
)
from hidden_structure.permutation.permuting import check_state, permute_tensor
from hidden_structure.permutation.weight_matching import match_weights

TOLERANCE = 1e-13  # of sum |A| |B|, in float64: gains below it are rounding
SINGULAR = 1e-10  # of the largest eigenvalue: a head with a smaller one has units that do nothing, and stays unbalanced
SWEEPS = 200  # at most, of an ascent that ends by itself long before

State = dict[str, Tensor]
Term = tuple[str, str, Place, bool]  # weight, group, where it lies there, and whether the weight reads the units


@dataclass(frozen=True)
class Aligned:
    """Both networks' states in the balanced form, B's mapped towards A's; by which element, and the objective before
    and after, of which `permuted` is what permutations alone reach."""

    a: State
    b: State
    element: Element
    before: float
    permuted: float
    after: float


def balanced(maps: LinearMaps, state: Mapping[str, Tensor]) -> State:
    """The state of the same function, its norms' scales folded and its invertible groups balanced; float64.

    Where M makes and R reads the units, X = A^T A solves X M M^T X = R R^T: it is the geometric mean of R R^T and the
    inverse of M M^T, and A its root. Raises InputError as `fold`.
    """
    real = {name: isinstance(tensor, Tensor) and tensor.is_floating_point() for name, tensor in state.items()}
    double = {name: tensor.double() if real[name] else tensor for name, tensor in state.items()}
    found = fold(maps, as_state(double, state))
    for group, kind, shape in shapes(maps):
        if kind != "invertible":
            continue
        grams = torch.zeros(2, *shape, shape[-1], dtype=torch.float64)
        for name, _, place, _ in _terms(maps, found, {group}):
            units = place.units(found[name].cpu()).reshape(*shape, -1)
            grams[int((name, place.axis, place.segment[0]) in maps.turned)] += units @ units.mT
        matrices = {group: _balancing(*grams)}
        found = as_state({name: mapped(maps, matrices, name, tensor) for name, tensor in found.items()}, state)
    return found


def _balancing(made: Tensor, read: Tensor) -> Tensor:
    """float64 (.., n, n): the symmetric matrix by which units are mapped so that both Gram matrices become one."""
    still = torch.eye(made.shape[-1], dtype=torch.float64)
    spectra = [torch.linalg.eigvalsh(gram) for gram in (made, read)]
    usable = torch.stack([values[..., 0] > SINGULAR * values[..., -1] for values in spectra]).all(0)[..., None, None]
    made, read = (torch.where(usable, gram, still) for gram in (made, read))
    root, inverse = _power(made, 0.5), _power(made, -0.5)
    return torch.where(usable, _power(inverse @ _power(root @ read @ root, 0.5) @ inverse, 0.5), still)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh((matrix + matrix.mT) / 2)
    return vectors @ (values.clamp_min(0) ** exponent)[..., None].mul(vectors.mT)


def _terms(maps: LinearMaps, state: Mapping[str, Tensor], groups: Collection[str]) -> list[Term]:
    """Where these groups lie in weights, the tensors of two or more dimensions."""
    symmetry = maps.symmetry
    return [
        (name, group, place, place.axis in symmetry.read[name])
        for name, layouts in symmetry.layouts.items()
        if state[name].dim() > 1
        for group, place in places(symmetry, layouts)
        if group in groups
    ]


def match_maps(
    maps: LinearMaps,
    a: Mapping[str, Tensor],
    b: Mapping[str, Tensor],
    generator: torch.Generator,
    restarts: int = 1,
) -> Aligned:
    """The better of two ascents: from the permutation of weight matching, and from layers aligned from the input on.

    Args:
        a, b: state dicts of two networks with these symmetries.
        generator, restarts: of weight matching (`match_weights`), which is run on the balanced networks.

    Raises InputError if the networks differ in their weights, a weight is complex or not finite, or a norm's scale is
    zero.
    """
    for state in (a, b):
        check_state(maps.symmetry, state)
        if found := [name for name in maps.symmetry.layouts if state[name].is_complex()]:
            raise InputError(f"{found[0]} is complex, and maps are of real units: match by permutations")
    a, b = balanced(maps, a), balanced(maps, b)
    permutation = match_weights(maps.symmetry, a, b, generator, restarts).permutation
    start = Element(permutation, unmoved(maps).matrices)
    names = [name for name in maps.symmetry.layouts if a[name].dim() > 1]
    before, permuted = (_objective(a, apply(maps, of, b), names) for of in (unmoved(maps), start))
    found = [_climbed(maps, a, b, names, start, False), _climbed(maps, a, b, names, unmoved(maps), True)]
    after, element = max(found, key=lambda pair: pair[0])
    return Aligned(a, apply(maps, element, b), element, before, permuted, after)


def _objective(a: Mapping[str, Tensor], b: Mapping[str, Tensor], names: list[str]) -> float:
    return sum((a[name] * b[name]).sum().item() for name in names)


def _climbed(
    maps: LinearMaps, a: State, b: State, names: list[str], element: Element, from_input: bool
) -> tuple[float, Element]:
    """The objective, and the element, where no family gains alone.

    from_input: whether layers are first aligned each by the weights that make its units, whatever that does to others.
    """
    b = apply(maps, element, b)
    tolerance = TOLERANCE * sum((a[name].norm() * b[name].norm()).item() for name in names)
    own = {family: _terms(maps, a, family.members) for family in families(maps.symmetry)}
    for sweep in range(SWEEPS):
        gained = False
        for family, terms in own.items():
            first = from_input and sweep == 0
            voting = [term for term in terms if not term[3]] if first else terms
            scores = _scores(a, b, voting)
            if not scores:
                continue
            step = _best(maps, family, scores)
            touched = list(dict.fromkeys(name for name, *_ in terms))
            moved = b | {name: _moved(maps, step, name, b[name]) for name in touched}
            if first or _objective(a, moved, touched) - _objective(a, b, touched) > tolerance:
                b, element, gained = moved, compose(maps, element, step), True
        if not gained:
            break
    return _objective(a, b, names), element


def _moved(maps: LinearMaps, step: Element, name: str, tensor: Tensor) -> Tensor:
    return mapped(maps, step.matrices, name, permute_tensor(maps.symmetry, step.permutation, name, tensor))


def _scores(a: State, b: State, terms: list[Term]) -> dict[str, Tensor]:
    scores: dict[str, Tensor] = {}
    for name, group, place, _ in terms:
        own = place.units(a[name]) @ place.units(b[name]).T
        scores[group] = scores[group] + own if group in scores else own
    return scores


def _best(maps: LinearMaps, family: Family, scores: dict[str, Tensor]) -> Element:
    """The permutations and matrices of one family's groups that maximise its scores."""
    if family.root in maps.kinds:
        return Element({}, {family.root: nearest(scores[family.root], _rotated(maps, family.root))})
    parents, inside = family.parents, {}
    between = scores[family.root].numpy().copy() if family.root in scores else np.zeros((parents, parents))
    for child in family.children:
        if child in scores:
            size = maps.symmetry.groups[child].size
            blocks = scores[child].reshape(parents, size, parents, size).transpose(1, 2)
            inside[child] = _inside(maps, child, blocks)
            between = between + (inside[child] * blocks).sum((-2, -1)).numpy()
    order = np.arange(parents) if family.root is None else assign(between)
    permutation = {} if family.root is None else {family.root: torch.from_numpy(order)}
    matrices = {}
    for child, found in inside.items():
        chosen = found[np.arange(parents), order]
        if child in maps.kinds:
            matrices[child] = chosen
        else:
            permutation[child] = chosen.argmax(-1)
    return Element(permutation, matrices)


def _inside(maps: LinearMaps, child: str, blocks: Tensor) -> Tensor:
    """Of every two parents the best matrix between the units inside them: orthogonal, or a permutation's."""
    if child in maps.kinds:
        return nearest(blocks, _rotated(maps, child))
    found = torch.zeros_like(blocks)
    for index in np.ndindex(*blocks.shape[:2]):
        found[index][torch.arange(blocks.shape[-1]), torch.from_numpy(assign(blocks[index].numpy()))] = 1.0
    return found


def _rotated(maps: LinearMaps, group: str) -> str:
    """How a balanced group may still be mapped."""
    return "orthogonal" if maps.kinds[group] == "invertible" else maps.kinds[group]
