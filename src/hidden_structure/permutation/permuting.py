"""Permutations of a network's groups: applied to weights, composed, inverted, drawn.

A permutation maps each group's name to an int64 tensor p of (size,), or (rows, size) where each entry of the group's
parent has its own. Entry i of what is permuted is entry p[i] of what was; inside entry h of the parent it is entry
p[h, i] of what stood inside the parent's entry.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from hidden_structure.frame.errors import InputError
from hidden_structure.networks.weights import as_state, check_is_state
from hidden_structure.permutation.group import Group, Layout, Segment, Symmetry, layout_length

Permutation = dict[str, Tensor]


def rows(symmetry: Symmetry, group: str) -> int | None:
    """How many permutations of its own the group has: one for each entry of its parent; None without a parent."""
    parent = symmetry.groups[group].parent
    if parent is None:
        return None
    return symmetry.frozen[parent] if parent in symmetry.frozen else symmetry.groups[parent].size


def identity(symmetry: Symmetry) -> Permutation:
    found = {}
    for name, group in symmetry.groups.items():
        count = rows(symmetry, name)
        entries = torch.arange(group.size)
        found[name] = entries if count is None else entries.repeat(count, 1)
    return found


def draw(symmetry: Symmetry, generator: torch.Generator) -> Permutation:
    """A uniformly random element of the symmetry group."""
    found = {}
    for name, group in symmetry.groups.items():
        drawn = [torch.randperm(group.size, generator=generator) for _ in range(rows(symmetry, name) or 1)]
        found[name] = drawn[0] if rows(symmetry, name) is None else torch.stack(drawn)
    return found


def compose(symmetry: Symmetry, first: Permutation, second: Permutation) -> Permutation:
    """The permutation that does what `first` and then `second` do; groups that `second` leaves out stay in place."""
    found = dict(first)
    for name in first:
        parent = symmetry.groups[name].parent
        if parent in second:  # what stands inside a parent's entry moves with it
            found[name] = found[name][second[parent]]
        if name in second:
            moved = found[name]
            found[name] = moved[second[name]] if moved.dim() == 1 else moved.gather(1, second[name])
    return found


def invert(symmetry: Symmetry, permutation: Permutation) -> Permutation:
    found = {}
    for name, group in symmetry.groups.items():
        inverse = permutation[name].argsort(-1)
        if group.parent in permutation:
            inverse = inverse[permutation[group.parent].argsort()]
        found[name] = inverse
    return found


def check(symmetry: Symmetry, permutation: Mapping[str, Tensor]) -> None:
    """Raises InputError if this is no permutation of the symmetry's groups."""
    if not isinstance(permutation, Mapping):
        raise InputError(f"a permutation is asked for, got {type(permutation).__name__}: give its permutation")
    if permutation.keys() != symmetry.groups.keys():
        odd = sorted(permutation.keys() ^ symmetry.groups.keys())
        raise InputError(f"the permutation is not of this network: its groups differ, in {', '.join(odd)[:120]}")
    for name, neutral in identity(symmetry).items():
        if permutation[name].shape != neutral.shape or not torch.equal(permutation[name].sort(-1).values, neutral):
            raise InputError(f"the permutation is not of this network: {name} is no permutation of {neutral.shape[-1]}")


def check_state(symmetry: Symmetry, state: Mapping[str, Tensor]) -> None:
    """Raises InputError if a tensor that has a permuted axis is missing or of another shape, or it is no state dict."""
    check_is_state(state, symmetry.layouts)
    missing = symmetry.layouts.keys() - state.keys()
    if missing:
        raise InputError(f"the state is not of the permutation's network: it lacks {', '.join(sorted(missing))[:120]}")
    for name, layouts in symmetry.layouts.items():
        if [layout_length(layout) for layout in layouts] != list(state[name].shape):
            shape = tuple(state[name].shape)
            raise InputError(f"the state is not of the permutation's network: {name} is of shape {shape}")


def apply(symmetry: Symmetry, permutation: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of the permuted network, which computes the same function; new tensors where it permutes.

    Raises InputError if the permutation is not of these groups, or the state not of this network.
    """
    check(symmetry, permutation)
    check_state(symmetry, state)
    permuted = {name: permute_tensor(symmetry, permutation, name, tensor) for name, tensor in state.items()}
    return as_state(permuted, state)


def permute_tensor(symmetry: Symmetry, permutation: Mapping[str, Tensor], name: str, tensor: Tensor) -> Tensor:
    """One tensor of the state dict; groups that the permutation does not name stay as they are."""
    return permute(symmetry, permutation, symmetry.layouts.get(name, ()), tensor, name in symmetry.across)


def permute(
    symmetry: Symmetry,
    permutation: Mapping[str, Tensor],
    layouts: tuple[Layout, ...],
    tensor: Tensor,
    across: bool | None = None,
) -> Tensor:
    """A tensor whose axes have these layouts; across: whether a group's parent lies on another axis, if known."""
    if across or (across is None and has_parent_outside(symmetry.groups, layouts)):
        return _by_factors(symmetry, permutation, layouts, tensor)
    for dim, layout in enumerate(layouts):
        if any(factor.group in permutation for segment in layout for factor in segment):
            tensor = tensor.index_select(dim, axis_index(symmetry, permutation, layout).to(tensor.device))
    return tensor


def axis_index(symmetry: Symmetry, permutation: Mapping[str, Tensor], layout: Layout) -> Tensor:
    """int64 (length of the axis,): which entry comes to each place."""
    if len(layout) == 1 and len(layout[0]) == 1:  # mostly so, and matching does little else
        return permutation[layout[0][0].group]
    parts, start = [], 0
    for segment in layout:
        parts.append(start + _segment_index(symmetry, permutation, segment))
        start += layout_length((segment,))
    return torch.cat(parts)


def _segment_index(symmetry: Symmetry, permutation: Mapping[str, Tensor], segment: Segment) -> Tensor:
    places = {factor.group: position for position, factor in enumerate(segment) if factor.group}
    total = torch.zeros([factor.size for factor in segment], dtype=torch.int64)
    stride = total.numel()
    for position, factor in enumerate(segment):
        stride //= factor.size
        shape = [1] * len(segment)
        shape[position] = factor.size
        found = permutation.get(factor.group or "", torch.arange(factor.size))
        if found.dim() == 2:  # one row for each entry of the parent, wherever in the segment that is
            parent = places[symmetry.groups[factor.group].parent]
            shape[parent] = segment[parent].size
            found = found if parent < position else found.T
        total = total + stride * found.reshape(shape)
    return total.flatten()


def _by_factors(
    symmetry: Symmetry, permutation: Mapping[str, Tensor], layouts: tuple[Layout, ...], tensor: Tensor
) -> Tensor:
    """Permute a tensor seen as one dimension a factor: parents first, then by the row of each parent's entry."""
    factors: list[tuple[int, str | None, int]] = []  # size, group, and axis
    for dim, layout in enumerate(layouts):
        if len(layout) == 1:
            factors += [(factor.size, factor.group, dim) for factor in layout[0]]
        else:  # a concatenated axis stays one dimension
            factors.append((layout_length(layout), None, dim))
            if any(factor.group in permutation for segment in layout for factor in segment):
                tensor = tensor.index_select(dim, axis_index(symmetry, permutation, layout).to(tensor.device))
    shape, blocks = tensor.shape, tensor.reshape([size for size, _, _ in factors])
    for dim, (_, name, _) in enumerate(factors):
        if name in permutation and permutation[name].dim() == 1:
            blocks = blocks.index_select(dim, permutation[name].to(tensor.device))
    for dim, (_, name, axis) in enumerate(factors):
        if name in permutation and permutation[name].dim() == 2:
            wanted = symmetry.groups[name].parent
            places = [place for place, (_, other, _) in enumerate(factors) if other == wanted]
            parent = min(places, key=lambda place: factors[place][2] != axis)  # the one beside it, if there is one
            table = permutation[name].to(tensor.device)
            view = [1] * len(factors)
            view[parent], view[dim] = table.shape
            table = (table if parent < dim else table.T).reshape(view)
            blocks = blocks.gather(dim, table.expand_as(blocks))
    return blocks.reshape(shape)


def has_parent_outside(groups: Mapping[str, Group], layouts: tuple[Layout, ...]) -> bool:
    """Whether a group's parent lies on another axis than the group."""
    segments = [{factor.group for factor in segment} for layout in layouts for segment in layout]
    return any({groups[name].parent for name in names & groups.keys()} - {None} - names for names in segments)
