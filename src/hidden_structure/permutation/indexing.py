"""Rules of operations that take some entries of a tensor, by where they stand."""

import torch
from torch import Tensor

from hidden_structure.permutation import axes, operations
from hidden_structure.permutation.axes import Axis
from hidden_structure.permutation.call import Call
from hidden_structure.permutation.operations import Labels, Stacked


def item(call: Call) -> Labels:
    labels, index = call.apart(call.source()), call.get(1)
    if isinstance(labels, tuple):
        return labels[index]
    return _indexed(call, list(index) if isinstance(index, tuple) else [index])


def narrowed(call: Call) -> Labels:
    dim, size = call.get(1, "dim"), call.tracer.env[call.source()].shape
    start = call.get(2, "index", "start")
    taken = start if call.name == "select" else slice(start % size[dim], start % size[dim] + call.get(3, "length"))
    return _indexed(call, [slice(None)] * (dim % len(size)) + [taken])


def is_basic(indices: list) -> bool:
    return all(item is None or item is Ellipsis or isinstance(item, int | slice) for item in indices)


def spelled_out(indices: list, dims: int) -> list:
    """With an item for each dimension in the place of "...", which is at the end where none stands."""
    place = next((place for place, item in enumerate(indices) if item is Ellipsis), len(indices))
    used = sum(item is not None and item is not Ellipsis for item in indices)
    return [*indices[:place], *[slice(None)] * (dims - used), *indices[place + 1 :]]


def index_along(indices: list, dim: int, dims: int) -> int | slice | None:
    """What an index does along a dimension; None if it is of a kind that is not understood."""
    if not is_basic(indices):
        return None
    return [item for item in spelled_out(indices, dims) if item is not None][dim]


def _indexed(call: Call, indices: list) -> Labels:
    slices = call.apart(call.source())
    if isinstance(slices, Stacked) and is_basic(indices):
        spelled = spelled_out(indices, len(slices.parts[0]) + 1)
        place = [place for place, item in enumerate(spelled) if item is not None][slices.dim]
        if isinstance(spelled[place], int):
            return _taken(call, slices.parts[spelled[place]], spelled[:place] + spelled[place + 1 :])
    labels = call.labels()
    return _taken(call, labels, indices) if is_basic(indices) else _looked_up(call, labels, indices)


def _taken(call: Call, labels: list[Axis], indices: list) -> list[Axis]:
    """What indexing by integers, slices, None and ... leaves."""
    result, mixed, dim = [], [], 0
    for item in spelled_out(indices, len(labels)):
        if item is None:
            result.append(axes.fixed_axis(1))
            continue
        axis, size = labels[dim], axes.size_of(labels[dim])
        entries = range(*item.indices(size)) if isinstance(item, slice) else range(0)
        if isinstance(item, slice) and entries == range(size):
            result.append(axis)
        elif entries and entries.step == 1 and not axes.is_fixed(axis):
            result.append(_section(call, axis, entries))
        else:
            axes.fix(axis)  # which entries are taken depends on their order
            mixed.append(dim)
            if isinstance(item, slice):
                result.append(axes.fixed_axis(len(entries)))
        dim += 1
    call.mix(labels, mixed)
    return result


def _section(call: Call, axis: Axis, entries: range) -> Axis:
    """Entries beside each other, as of a tensor that is split."""
    sizes = [entries.start, len(entries), axes.size_of(axis) - entries.stop]
    parts = iter(axes.sections(axis, [size for size in sizes if size]))
    before, taken, after = (next(parts) if size else [] for size in sizes)
    call.tracer.taken.append((taken, before + after))
    return taken


def _looked_up(call: Call, labels: list[Axis], indices: list) -> Labels:
    """Entries of a table, by tensors or lists of integers along some dimensions."""
    indices = [torch.tensor(item) if isinstance(item, list) else item for item in indices]
    tensors = [item for item in indices if isinstance(item, Tensor)]
    known = tensors and all(tensor.dtype not in (torch.bool, torch.uint8) for tensor in tensors)
    if not known or any(item is None for item in indices):
        return call.unknown()
    spelled = spelled_out(indices, len(labels))
    places = [place for place, item in enumerate(spelled) if isinstance(item, Tensor)]
    if len(places) != places[-1] + 1 - places[0] or any(
        not isinstance(item, Tensor) and item != slice(None) for item in spelled
    ):
        return call.unknown()
    return _by_place(call, labels, places, torch.broadcast_shapes(*(tensor.shape for tensor in tensors)))


def _by_place(call: Call, labels: list[Axis], places: list[int], shape: tuple[int, ...]) -> list[Axis]:
    """What takes entries along dimensions beside each other by tensors, and gives them the shape of these."""
    for node in call.node.all_input_nodes:
        if node is not call.source():
            for axis in operations.flat(call.of(node)):
                axes.fix(axis)
    for place in places:
        axes.fix(labels[place])
    call.mix(labels, places)
    return [*labels[: places[0]], *map(axes.fixed_axis, shape), *labels[places[-1] + 1 :]]


def selected(call: Call) -> Labels:
    """torch.index_select: entries along one dimension, by a tensor of integers."""
    labels, dim = call.labels(), call.get(1, "dim")
    dim %= len(labels)
    return _by_place(call, labels, [dim], (call.value.shape[dim],))


def gathered(call: Call) -> Labels:
    """torch.gather: along one dimension entries by a tensor of integers, which has all other dimensions as well."""
    labels, index = call.labels(), call.labels(2, "index")
    dim = call.get(1, "dim") % len(labels)
    for place, (axis, other) in enumerate(zip(labels, index, strict=True)):
        if place != dim and axes.size_of(axis) == axes.size_of(other):
            axes.unify(axis, other)
        else:
            axes.fix(axis)
            axes.fix(other)
    call.along([dict(enumerate(labels)), dict(enumerate(index))], {dim})
    return [axes.fixed_axis(axes.size_of(axis)) if place == dim else axis for place, axis in enumerate(index)]
