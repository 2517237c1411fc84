"""Rules of operations that only move, cut, join and copy entries."""

from math import prod

from torch import fx

from hidden_structure.permutation import axes, operations
from hidden_structure.permutation.call import Call, name_of, torch_name
from hidden_structure.permutation.indexing import index_along
from hidden_structure.permutation.operations import Labels, Stacked

REORDERINGS = "permute transpose swapaxes swapdims t movedim moveaxis".split()


def pixel_shuffle(call: Call) -> Labels:
    factor = call.get(1, "upscale_factor")
    labels = call.labels()
    kept, *moved = axes.split_axis(labels[-3], [axes.size_of(labels[-3]) // factor**2, factor, factor])
    for axis in (*moved, *labels[-2:]):
        axes.fix(axis)
    terms = dict(enumerate([*labels[:-3], kept, *moved, *labels[-2:]]))
    call.along([terms], set(range(len(labels) - 2, len(terms))))
    return [*labels[:-3], kept, *operations.all_fixed(call.value)[-2:]]


def pixel_unshuffle(call: Call) -> Labels:
    factor, labels = call.get(1, "downscale_factor"), call.labels()
    call.mix(labels, [-2, -1])
    for axis in labels[-2:]:
        axes.fix(axis)
    channels = axes.merged([labels[-3], axes.fixed_axis(factor), axes.fixed_axis(factor)])
    return [*labels[:-3], channels, *operations.all_fixed(call.value)[-2:]]


def channel_shuffle(call: Call) -> Labels:
    groups, labels = call.get(1, "groups"), call.labels()
    outer, inner = axes.split_axis(labels[1], [groups, axes.size_of(labels[1]) // groups])
    return [labels[0], axes.merged([inner, outer]), *labels[2:]]


def reshaped(call: Call) -> Labels:
    labels, shape = call.labels(), list(call.value.shape)
    for dim, count in enumerate(shape):
        place = _begins(labels, shape, dim) if count > 1 and _taken_apart(call.node, dim, len(shape)) else None
        if place is not None:
            slices = axes.sections(labels[place], [axes.size_of(labels[place]) // count] * count)
            rest = shape[:dim] + shape[dim + 1 :]
            return Stacked(
                dim, tuple(axes.reshaped([*labels[:place], part, *labels[place + 1 :]], rest) for part in slices)
            )
    return axes.reshaped(labels, shape)


def _begins(labels: list[axes.Axis], shape: list[int], dim: int) -> int | None:
    """Which axis the dimension of a view cuts into slices one behind the other; None if it is no such cut."""
    before = prod(shape[:dim])
    for place, axis in enumerate(labels):
        if prod(axes.size_of(other) for other in labels[:place]) == before and axes.size_of(axis) > shape[dim]:
            return place if axes.size_of(axis) % shape[dim] == 0 else None
    return None


def _taken_apart(node: fx.Node, dim: int, dims: int) -> bool:
    """Whether all that becomes of a tensor along a dimension is that its slices are taken one by one."""
    return bool(node.users) and all(_takes(user, node, dim, dims) for user in node.users)


def _takes(user: fx.Node, node: fx.Node, dim: int, dims: int) -> bool:
    name, arguments = name_of(user, None), user.args[1:]
    if user.args[:1] != (node,) or user.all_input_nodes != [node] or user.op == "call_module":
        return False
    if name == "getitem":
        indices = arguments[0] if isinstance(arguments[0], tuple) else (arguments[0],)
        return isinstance(index_along(list(indices), dim, dims), int)
    if name in ("unbind", "select"):
        return (arguments[0] if arguments else user.kwargs.get("dim", 0)) % dims == dim
    if name in REORDERINGS:
        order = operations.reordered(torch_name(user), list(range(dims)), list(arguments), dict(user.kwargs))
        return _taken_apart(user, order.index(dim), dims)
    return False


def reordered(call: Call) -> Labels:
    labels = call.apart(call.source())
    if isinstance(labels, Stacked):
        return _reordered_slices(call, labels)
    return _reordered(call, call.labels())


def _reordered(call: Call, labels: list) -> list:
    arguments = [call.get(index) for index in range(1, len(call.node.args))]
    options = {name: call.get(99, name) for name in call.node.kwargs if name not in ("input", "self")}
    return operations.reordered(torch_name(call.node), labels, arguments, options)


def _reordered_slices(call: Call, labels: Stacked) -> Stacked:
    """Every slice in the new order of its dimensions; the one of the slices goes where it goes."""
    found = [_reordered(call, [*part[: labels.dim], None, *part[labels.dim :]]) for part in labels.parts]
    dim = found[0].index(None)
    return Stacked(dim, tuple([axis for axis in part if axis is not None] for part in found))


def concatenated(call: Call) -> Labels:
    tensors = call.source(0, "tensors")
    parts = [part for part in (call.apart(tensors) if isinstance(tensors, fx.Node) else map(call.of, tensors)) if part]
    return operations.concatenated(parts, call.get(1, "dim", "axis", default=0))


def stacked(call: Call) -> Labels:
    parts, dim = list(map(call.of, call.source(0, "tensors"))), call.get(1, "dim", default=0)
    for part in parts[1:]:
        for axis, other in zip(parts[0], part, strict=True):
            axes.unify(axis, other)
    dim %= len(parts[0]) + 1
    return [*parts[0][:dim], axes.fixed_axis(len(parts)), *parts[0][dim:]]


def sectioned(call: Call) -> Labels:
    dim, slices = call.get(1 if call.name == "unbind" else 2, "dim", default=0), call.apart(call.source())
    if call.name == "unbind" and isinstance(slices, Stacked) and dim % (len(slices.parts[0]) + 1) == slices.dim:
        return slices.parts
    if call.name == "unbind":
        call.mix(call.labels(), dim)
    return operations.sectioned(call.labels(), dim, call.value)


def in_order(call: Call) -> Labels:
    """What goes by the order of the entries along some dimensions, and treats all others alike."""
    labels, dims = call.labels(), call.get(2 if call.name == "roll" else 1, "dims", "dim")
    if call.name == "flip" and len(call.node.args) > 2:  # the method takes the dimensions one by one
        dims = [call.get(index) for index in range(1, len(call.node.args))]
    if dims is None:
        return call.unknown()
    dims = [dims] if isinstance(dims, int) else list(dims)
    for dim in dims:
        axes.fix(labels[dim])
    return call.mix(labels, dims)


def alike(call: Call) -> Labels:
    """Entries that are all the same, in whatever order."""
    return [axes.free_axis(size) for size in call.value.shape]


def expanded(call: Call) -> Labels:
    return operations.expanded(call.labels(), call.value)


def repeated(call: Call) -> Labels:
    """Copies one behind the other, as in a concatenation with itself."""
    fixed, labels = operations.all_fixed(call.value), call.labels()
    first = len(fixed) - len(labels)
    copies = [size // axes.size_of(axis) for size, axis in zip(call.value.shape[first:], labels, strict=True)]
    kept = [
        other if axes.size_of(axis) == 1 else axis * count
        for axis, other, count in zip(labels, fixed[first:], copies, strict=True)
    ]
    return fixed[:first] + kept


def each_repeated(call: Call) -> Labels:
    """Copies beside each entry."""
    labels, count, dim = call.labels(), call.get(1, "repeats"), call.get(2, "dim")
    if not isinstance(count, int) or dim is None:
        return call.unknown()
    dim %= len(labels)
    axis = operations.copied(labels[dim], count)
    return [axis if index == dim else other for index, other in enumerate(labels)]
