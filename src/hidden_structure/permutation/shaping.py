"""Rules of operations that only move, cut, join and copy entries."""

from hidden_structure.permutation import axes, operations
from hidden_structure.permutation.call import Call
from hidden_structure.permutation.operations import Labels


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
    return axes.reshaped(call.labels(), list(call.value.shape))


def reordered(call: Call) -> Labels:
    arguments = [call.get(index) for index in range(1, len(call.node.args))]
    options = {name: call.get(99, name) for name in call.node.kwargs if name not in ("input", "self")}
    return operations.reordered(call.torch_name, call.labels(), arguments, options)


def concatenated(call: Call) -> Labels:
    parts = [part for part in map(call.of, call.source(0, "tensors")) if part]
    return operations.concatenated(parts, call.get(1, "dim", "axis", default=0))


def stacked(call: Call) -> Labels:
    parts, dim = list(map(call.of, call.source(0, "tensors"))), call.get(1, "dim", default=0)
    for part in parts[1:]:
        for axis, other in zip(parts[0], part, strict=True):
            axes.unify(axis, other)
    dim %= len(parts[0]) + 1
    return [*parts[0][:dim], axes.fixed_axis(len(parts)), *parts[0][dim:]]


def sectioned(call: Call) -> Labels:
    dim = call.get(1 if call.name == "unbind" else 2, "dim", default=0)
    if call.name == "unbind":
        call.mix(call.labels(), dim)
    return operations.sectioned(call.labels(), dim, call.value)


def item(call: Call) -> Labels:
    labels, index = call.labels(), call.get(1)
    if isinstance(labels, tuple):
        return labels[index]
    return _indexed(call, list(index) if isinstance(index, tuple) else [index])


def narrowed(call: Call) -> Labels:
    dim = call.get(1, "dim") % len(call.labels())
    taken = call.get(2, "index") if call.name == "select" else slice(
        call.get(2, "start"), call.get(2, "start") + call.get(3, "length")
    )  # fmt: skip
    return _indexed(call, [slice(None)] * dim + [taken])


def _indexed(call: Call, indices: list) -> Labels:
    labels = call.labels()
    found = operations.indexed(labels, indices)
    if found is None:
        return call.unknown()
    kept = [dim for dim, axis in enumerate(labels) if any(axis is other for other in found)]
    call.mix(labels, [dim for dim in range(len(labels)) if dim not in kept])
    return found


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
    axis = axes.merged([labels[dim], axes.fixed_axis(count)])
    return [axis if index == dim else other for index, other in enumerate(labels)]
