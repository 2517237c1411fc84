"""How operations treat the axes of what they take: each gives the labels of its output, and unifies or fixes axes.

Labels of a tensor are its axes, one a dimension. Every operation here commutes with a permutation of the axes that it
leaves free.
"""

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hidden_structure.frame.errors import InputError
from hidden_structure.permutation import axes
from hidden_structure.permutation.axes import Axis, Node

LETTERS = "ABCDEFGHIJ"  # of the dimensions of tensors in an einsum; x, y and z are free for others

Labels = Any  # list[Axis] or Stacked for a tensor, a tuple of such for several, None for what is no tensor


@dataclass(frozen=True)
class Stacked:
    """Labels of a tensor each of whose slices along one dimension has axes of its own, as queries, keys and values.

    parts: of every slice, without that dimension.
    """

    dim: int
    parts: tuple[list[Axis], ...]

    def joined(self) -> list[Axis]:
        """The axes once all slices are permuted alike."""
        first, *others = self.parts
        for part in others:
            for axis, other in zip(first, part, strict=True):
                axes.unify(axis, other)
        return [*first[: self.dim], axes.fixed_axis(len(self.parts)), *first[self.dim :]]


def all_fixed(value: Any) -> Labels:
    if isinstance(value, Tensor):
        return [axes.fixed_axis(size) for size in value.shape]
    return tuple(map(all_fixed, value)) if isinstance(value, tuple | list) else None


def of_channels(labels: list[Axis], *parameters: list[Axis] | None) -> list[Axis]:
    """What has one entry a channel: the norms of channels, and slopes."""
    for own in parameters:
        if own is not None:
            axes.unify(own[0], labels[1])
    return labels


def layer_norm(labels: list[Axis], *parameters: list[Axis] | None) -> list[Axis]:
    for own in parameters:
        if own is not None:
            for axis, other in zip(own, labels[-len(own) :], strict=True):
                axes.unify(axis, other)
    return labels


def of_last(weight: list[Axis], bias: list[Axis] | None) -> None:
    if bias is not None:
        axes.unify(bias[0], weight[0])


def in_groups(axis: Axis, groups: int) -> tuple[Axis, Axis]:
    """The groups of channels that an operation keeps apart, permuted as wholes, and the channels inside each."""
    if groups == 1:
        return axes.fixed_axis(1), axis
    outer = Node(groups)
    inner = Node(axes.size_of(axis) // groups, outer)
    axes.unify(axis, [(outer, inner)])
    return [(outer,)], [(inner,)]


def grouped(labels: list[Axis], groups: int) -> tuple[dict, set]:
    """What a norm over groups of channels runs along, and which of these axes it mixes: all inside a group."""
    outer, inner = in_groups(labels[1], groups)
    terms = {0: labels[0], "groups": outer, "channels": inner} | dict(enumerate(labels[2:], start=2))
    return terms, terms.keys() - {0, "groups"}


def convolution(
    labels: list[Axis], weight: list[Axis], bias: list[Axis] | None, groups: int, transposed: bool, value: Tensor
) -> tuple[list[Axis], list[dict], set]:
    """The output's labels; its operands' axes by what they run along; and what is summed over.

    Groups move together on both sides; inside each, inputs and outputs have permutations of their own. The first axis
    of the weights holds all channels of its side, the second those inside a group, whose parent lies on the first.
    """
    channel = channel_of(labels, weight)
    for axis in (*weight[2:], *labels[channel + 1 :]):
        axes.fix(axis)
    if groups == 1:
        outer, inputs, made = axes.fixed_axis(1), *(weight[:2] if transposed else (weight[1], weight[0]))
        axes.unify(inputs, labels[channel])
        outputs = made
    else:
        node = Node(groups)
        outer: Axis = [(node,)]
        first, second = Node(axes.size_of(weight[0]) // groups, node), Node(axes.size_of(weight[1]), node)
        read, given = (first, second) if transposed else (second, first)
        inputs, outputs = [(read,)], [(given,)]
        axes.unify(labels[channel], [(node, read)])
        axes.unify(weight[0], [(node, first)])
        axes.unify(weight[1], [(second,)])
        made = [(node, given)] if transposed else weight[0]
    of_last([made], bias)
    pixels = dict(enumerate(labels[channel + 1 :]))
    sample = {"sample": labels[0]} if channel else {}
    terms = [
        {"groups": outer, "inputs": inputs} | sample | pixels,
        {"groups": outer, "inputs": inputs, "outputs": outputs},
    ]
    return [*labels[:channel], made, *all_fixed(value)[channel + 1 :]], terms, {"inputs", *pixels}


def channel_of(labels: list[Axis], weight: list[Axis]) -> int:
    return 1 if len(labels) == len(weight) else 0  # images may come without a batch


def pooling(labels: list[Axis], value: Any, dims: int) -> Labels:
    """Whatever treats every channel alike, and its pixels, which are the last dims dimensions, in any way."""
    if isinstance(value, tuple):
        return tuple(pooling(labels, one, dims) for one in value)
    for axis in labels[-dims:]:
        axes.fix(axis)
    return [*labels[:-dims], *all_fixed(value)[-dims:]]


def pointwise(operands: list[list[Axis]]) -> str:
    """A pointwise operation on tensors of these labels, aligned at their last dimension, as an einsum."""
    letters = LETTERS[: max(map(len, operands))]
    return ",".join(letters[len(letters) - len(labels) :] for labels in operands) + f"->{letters}"


def reduction(labels: list[Axis], dims: int | list[int] | None, value: Tensor) -> list[Axis]:
    dims = range(len(labels)) if dims is None else [dims] if isinstance(dims, int) else dims
    dropped = {dim % len(labels) for dim in dims}
    if value.dim() == len(labels):
        return [axes.fixed_axis(1) if dim in dropped else axis for dim, axis in enumerate(labels)]
    return [axis for dim, axis in enumerate(labels) if dim not in dropped]


def reordered(name: str, labels: list[Axis], arguments: list, options: dict) -> list[Axis]:
    """Where each dimension went is seen on a tensor whose sizes tell its dimensions apart."""
    if name == "permute" and len(arguments) > 1:  # the method takes the dimensions one by one
        arguments = [arguments]
    marked = torch.empty(tuple(range(2, 2 + len(labels))), device="meta")
    return [labels[size - 2] for size in getattr(torch, name)(marked, *arguments, **options).shape]


def concatenated(parts: list[Labels], dim: int) -> list[Axis]:
    dim %= len(parts[0])
    for part in parts[1:]:
        for index, axis in enumerate(part):
            if index != dim:
                axes.unify(parts[0][index], axis)
    joined = [segment for part in parts for segment in part[dim]]
    return [joined if index == dim else axis for index, axis in enumerate(parts[0])]


def sectioned(labels: list[Axis], dim: int, value: tuple[Tensor, ...]) -> tuple[list[Axis], ...]:
    dim %= len(labels)
    if value[0].dim() < len(labels):  # unbind
        axes.fix(labels[dim])
        return tuple([axis for index, axis in enumerate(labels) if index != dim] for _ in value)
    parts = axes.sections(labels[dim], [part.shape[dim] for part in value])
    return tuple([part if index == dim else axis for index, axis in enumerate(labels)] for part in parts)


def expanded(labels: list[Axis], value: Tensor) -> list[Axis]:
    """Copies of an entry are alike, in whatever order."""
    free, first = [axes.free_axis(size) for size in value.shape], value.dim() - len(labels)
    kept = [
        axis if axes.size_of(axis) == size else other
        for axis, other, size in zip(labels, free[first:], value.shape[first:], strict=True)
    ]
    return free[:first] + kept


def copied(axis: Axis, count: int) -> Axis:
    """Copies beside each entry, which may change places, those of each entry on their own."""
    entries = axes.atoms(axis)
    return axes.merged([axis, [(Node(count, entries[0] if len(entries) == 1 else None, fixed=count == 1),)]])


def product(left: list[Axis], right: list[Axis]) -> str:
    """The matrix product, batched or not, of tensors of these labels, as an einsum."""
    if len(left) == 1 or len(right) == 1:
        one, two = "i" if len(left) == 1 else "ABCDEFGH"[: len(left) - 1] + "i", "i"
        if len(right) > 1:
            two = "STUVWXYZ"[: len(right) - 2] + "ij"
        return f"{one},{two}->{(one + two).replace('i', '')}"
    batch = max(len(left), len(right)) - 2
    letters = "ABCDEFGH"[:batch]
    one, two = (letters[batch - len(labels) + 2 :] for labels in (left, right))
    return f"{one}ik,{two}kj->{letters}ij"


def einsum(equation: str, operands: list[list[Axis]]) -> tuple[list[Axis], list[dict[str, Axis]], set[str]]:
    """The output's axes, each operand's by their letters, and the letters summed over.

    An axis of size 1 goes with any other.
    """
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    terms = [(letters, labels) for letters, labels in zip(inputs.split(","), operands, strict=True)]
    repeats = any(len(set(letters)) < len(letters) for letters, _ in terms)
    if not arrow or "." in equation or repeats:
        raise InputError("only einsum with an explicit output, no ellipsis and no diagonal is understood")
    found: dict[str, Axis] = {}
    for stays in (True, False):  # the dimensions that stay first, so that dependences on them are known
        for letters, labels in terms:
            for letter, axis in zip(letters, labels, strict=True):
                if (letter in output) == stays:
                    if axes.size_of(found.get(letter, [])) <= 1:
                        found[letter] = axis
                    elif axes.size_of(axis) > 1:
                        axes.unify(found[letter], axis)
    return [found[letter] for letter in output], [dict(zip(*term, strict=True)) for term in terms], {*found} - {*output}


def spatial(name: str, labels: list[Axis]) -> int:
    """How many of the last dimensions a pooling named so acts on."""
    found = re.search(r"(\d)d", name)
    return int(found[1]) if found else len(labels) - 2


def flat(labels: Labels) -> list[Axis]:
    """Every axis in nested labels: an axis is a list of tuples of nodes, all other nesting is of lists and tuples."""
    if isinstance(labels, dict):
        labels = list(labels.values())
    if isinstance(labels, Stacked):
        labels = labels.parts
    if labels is None or (isinstance(labels, list) and labels and all(_is_segment(item) for item in labels)):
        return [] if labels is None else [labels]
    return [axis for item in labels for axis in flat(item)]


def _is_segment(item: Any) -> bool:
    return isinstance(item, tuple) and bool(item) and all(isinstance(node, Node) for node in item)
