"""How operations treat the axes of what they take: each gives the labels of its output, and unifies or fixes axes.

Labels of a tensor are its axes, one a dimension. Every operation here commutes with a permutation of the axes that it
leaves free.
"""

import re
from typing import Any

import torch
from torch import Tensor, nn

from hidden_structure.errors import InputError
from hidden_structure.permutation import axes
from hidden_structure.permutation.axes import Axis, Node

# By name: a function, a method of tensors and an in-place form share theirs.
POINTWISE = frozenset(
    """relu relu6 gelu silu sigmoid tanh elu selu celu leaky_relu hardtanh hardswish hardsigmoid mish softplus softsign
    logsigmoid threshold exp log sqrt rsqrt square abs neg sin cos erf clamp clip pow dropout dropout2d dropout3d
    alpha_dropout feature_alpha_dropout stochastic_depth contiguous clone to float double half bfloat16 detach type_as
    rrelu tanhshrink softshrink hardshrink nan_to_num
    add sub mul truediv div iadd imul isub itruediv maximum minimum rsub true_divide multiply""".split()
)
# What scales the entries along a dimension by something they have in common.
ALONG_A_DIMENSION = frozenset({"softmax", "log_softmax", "softmin", "normalize"})
ALONG_A_DIMENSION_MODULES = (nn.Softmax, nn.LogSoftmax, nn.Softmin)
POOLING = frozenset(
    """max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d
    adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d lp_pool2d interpolate
    upsample""".split()
)
REDUCTIONS = frozenset({"mean", "sum", "amax", "amin", "var", "std", "logsumexp"})
POINTWISE_MODULES = (
    nn.Identity, nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.ELU, nn.SELU, nn.CELU, nn.LeakyReLU,
    nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Mish, nn.Softplus, nn.Softsign, nn.LogSigmoid, nn.Threshold,
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.Tanhshrink,
    nn.Softshrink, nn.Hardshrink, nn.RReLU,
)  # fmt: skip
POOLING_MODULES = (
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
    nn.LPPool1d, nn.LPPool2d, nn.Upsample, nn.ZeroPad1d, nn.ZeroPad2d, nn.ReflectionPad1d, nn.ReflectionPad2d,
    nn.ReplicationPad1d, nn.ReplicationPad2d,
)  # fmt: skip
NORMS_OF_CHANNELS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)

Labels = Any  # list[Axis] for a tensor, a tuple of such for several, None for what is no tensor


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


def group_norm(labels: list[Axis], groups: int, *parameters: list[Axis] | None) -> list[Axis]:
    """Groups are permuted together, and inside each its channels."""
    if groups > 1:
        outer = Node(groups)
        axes.unify(labels[1], [(outer, Node(axes.size_of(labels[1]) // groups, outer))])
    return of_channels(labels, *parameters)


def linear(labels: list[Axis], weight: list[Axis], bias: list[Axis] | None) -> list[Axis]:
    axes.unify(weight[1], labels[-1])
    if bias is not None:
        axes.unify(bias[0], weight[0])
    return [*labels[:-1], weight[0]]


def convolution(
    labels: list[Axis], weight: list[Axis], bias: list[Axis] | None, groups: int, value: Tensor
) -> list[Axis]:
    channel = channel_of(labels, weight)
    for axis in (*weight[2:], *labels[channel + 1 :]):
        axes.fix(axis)
    if groups == 1:
        axes.unify(weight[1], labels[channel])
    else:  # groups move together on both sides; inside each, inputs and outputs have permutations of their own
        outer = Node(groups)
        inputs = Node(axes.size_of(weight[1]), outer)
        outputs = Node(axes.size_of(weight[0]) // groups, outer)
        axes.unify(labels[channel], [(outer, inputs)])
        axes.unify(weight[0], [(outer, outputs)])
        axes.unify(weight[1], [(inputs,)])
    if bias is not None:
        axes.unify(bias[0], weight[0])
    return [*labels[:channel], weight[0], *all_fixed(value)[channel + 1 :]]


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
    letters = "ABCDEFGHIJ"[: max(map(len, operands))]
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


def indexed(labels: list[Axis], indices: list) -> list[Axis] | None:
    """What indexing by integers, slices, None and ... leaves; None if the indices are of another kind."""
    if not all(item is None or item is Ellipsis or isinstance(item, int | slice) for item in indices):
        return None
    if Ellipsis in indices:
        place, used = indices.index(Ellipsis), sum(item is not None for item in indices) - 1
        indices = [*indices[:place], *[slice(None)] * (len(labels) - used), *indices[place + 1 :]]
    result, remaining = [], list(labels)
    for item in indices:
        if item is None:
            result.append(axes.fixed_axis(1))
        elif item == slice(None):
            result.append(remaining.pop(0))
        else:
            axis = remaining.pop(0)
            axes.fix(axis)  # which entries are taken depends on their order
            if isinstance(item, slice):
                result.append(axes.fixed_axis(len(range(*item.indices(axes.size_of(axis))))))
    return result + remaining


def expanded(labels: list[Axis], value: Tensor) -> list[Axis]:
    fixed, first = all_fixed(value), value.dim() - len(labels)
    kept = [
        axis if axes.size_of(axis) == size else other
        for axis, other, size in zip(labels, fixed[first:], value.shape[first:], strict=True)
    ]
    return fixed[:first] + kept


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


def einsum(equation: str, operands: list[list[Axis]]) -> tuple[list[Axis], list[dict[str, Axis]]]:
    """The output's axes, and each operand's by their letters; an axis of size 1 goes with any other."""
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    if not arrow or "." in equation:
        raise InputError("only einsum with an explicit output and no ellipsis is understood")
    found: dict[str, Axis] = {}
    terms = [(letters, labels) for letters, labels in zip(inputs.split(","), operands, strict=True)]
    for stays in (True, False):  # the dimensions that stay first, so that dependences on them are known
        for letters, labels in terms:
            for letter, axis in zip(letters, labels, strict=True):
                if (letter in output) == stays:
                    if axes.size_of(found.get(letter, [])) <= 1:
                        found[letter] = axis
                    elif axes.size_of(axis) > 1:
                        axes.unify(found[letter], axis)
    return [found[letter] for letter in output], [dict(zip(*term, strict=True)) for term in terms]


def attention_units(module: nn.MultiheadAttention) -> tuple[Axis, Axis]:
    """The axes of queries and keys, and of values: heads together, and inside each head units of its own."""
    heads = Node(module.num_heads)
    matched, carried = (Node(module.head_dim, heads) for _ in range(2))
    return [(heads, matched)], [(heads, carried)]


def spatial(name: str, labels: list[Axis]) -> int:
    """How many of the last dimensions a pooling named so acts on."""
    found = re.search(r"(\d)d", name)
    return int(found[1]) if found else len(labels) - 2


def flat(labels: Labels) -> list[Axis]:
    """Every axis in nested labels: an axis is a list of tuples of nodes, all other nesting is of lists and tuples."""
    if isinstance(labels, dict):
        labels = list(labels.values())
    if labels is None or (isinstance(labels, list) and labels and all(_is_segment(item) for item in labels)):
        return [] if labels is None else [labels]
    return [axis for item in labels for axis in flat(item)]


def _is_segment(item: Any) -> bool:
    return isinstance(item, tuple) and bool(item) and all(isinstance(node, Node) for node in item)
