"""What every known operation does to the axes of what it takes, by its name.

A name is that of a function, a method of tensors, an operator or a module of torch.nn alike, in lower case and without
underscores. A rule gives the labels of the output, unifies or fixes axes on the way, and reports to the tracer which
axes the operation mixes: that is all that a permutation inside each entry of a parent must not cross. Every rule that
mixes stands in MIXING.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, fx

from hidden_structure.permutation import axes, operations, recurrent, reductions, windows
from hidden_structure.permutation.attention import attention
from hidden_structure.permutation.axes import Axis
from hidden_structure.permutation.call import Call
from hidden_structure.permutation.indexing import gathered, item, narrowed, selected
from hidden_structure.permutation.operations import Labels
from hidden_structure.permutation.shaping import (
    REORDERINGS,
    alike,
    channel_shuffle,
    concatenated,
    each_repeated,
    expanded,
    in_order,
    pixel_shuffle,
    pixel_unshuffle,
    reordered,
    repeated,
    reshaped,
    sectioned,
    stacked,
)

Rule = Callable[[Call], Labels]

POINTWISE = """relu relu6 gelu silu sigmoid tanh elu selu celu leakyrelu hardtanh hardswish hardsigmoid mish softplus
    softsign logsigmoid threshold exp expm1 log log1p sqrt rsqrt square abs neg sin cos tan sinh cosh atan erf erfc sign
    reciprocal floor ceil round clamp clampmin clampmax clip pow dropout dropout1d dropout2d dropout3d alphadropout
    featurealphadropout stochasticdepth contiguous clone float double half bfloat16 detach rrelu tanhshrink
    softshrink hardshrink nantonum identity add sub mul truediv div iadd imul isub itruediv ipow maximum minimum rsub
    truedivide multiply subtract addcmul addcdiv lerp where maskedfill eq ne lt le gt ge logicaland logicalor logicalnot
    invert bitwisenot isnan isinf isfinite zeroslike oneslike fulllike log2 log10 exp2 logaddexp logaddexp2 pos positive
    absolute negative divide floordiv floordivide remainder mod fmod trunc frac asin acos asinh acosh atanh arctan atan2
    hypot copysign logit sinc erfinv lgamma digamma xlogy sgn signbit heaviside floatpower logicalxor and or xor
    bitwiseand bitwiseor bitwisexor""".split()
REDUCTIONS = "mean sum amax amin var std logsumexp prod all any".split()
POOLINGS = [
    f"{kind}{dims}d"
    for kind in """maxpool avgpool adaptiveavgpool adaptivemaxpool lppool zeropad constantpad reflectionpad
    replicationpad circularpad""".split()
    for dims in (1, 2, 3)
]


def pointwise(call: Call) -> Labels:
    return _pointwise(call, [node for node in call.node.all_input_nodes if call.of(node) is not None])


def converted(call: Call) -> Labels:
    """Of a tensor that gives its type or device alone the axes play no part."""
    return _pointwise(call, [call.source()])


def _pointwise(call: Call, sources: list[fx.Node]) -> Labels:
    operands = list(map(call.of, sources))
    return call.together(operations.pointwise(operands), operands, sources)


def softmax(call: Call) -> Labels:
    labels, dim = call.labels(), call.get(1, "dim")
    if dim is None:  # torch's own guess
        dim = 0 if len(labels) in (0, 1, 3) else 1
    return call.mix(labels, [dim])


def normalize(call: Call) -> Labels:
    return call.mix(call.labels(), call.get(2, "dim", default=1))


def extreme(call: Call) -> Labels:
    """The larger of two tensors, entry by entry, or the largest along a dimension and where it is, or of all."""
    return pointwise(call) if isinstance(call.get(1, "dim", "other"), Tensor) else reductions.extreme(call)


def pooling(call: Call) -> Labels:
    return _pooled(call, operations.spatial(call.name, call.labels()))


def pad(call: Call) -> Labels:
    """Only axes that something is added to or cut off from change, the last named first.

    Constant entries are all the same, in whatever order, on either side: the shortcuts of He et al. 2016 for CIFAR.
    """
    labels, fixed, amounts = list(call.labels()), operations.all_fixed(call.value), call.get(1, "pad")
    constant = call.get(2, "mode", default="constant") == "constant"
    for place, (before, after) in enumerate(zip(amounts[::2], amounts[1::2], strict=True), start=1):
        dim = len(labels) - place
        if constant and before >= 0 and after >= 0:
            around = [axes.free_axis(amount) if amount else [] for amount in (before, after)]
            labels[dim] = [*around[0], *labels[dim], *around[1]]
        elif before or after:
            call.mix(labels, dim)
            axes.fix(labels[dim])
            labels[dim] = fixed[dim]
    return labels


def _pooled(call: Call, dims: int) -> Labels:
    labels = call.labels()
    call.mix(labels, range(len(labels) - dims, len(labels)))
    return operations.pooling(labels, call.value, dims)


def linear(call: Call) -> Labels:
    labels, weight, bias = call.labels(), call.labels(1, "weight"), call.labels(2, "bias")
    letters = operations.LETTERS[: len(labels) - 1]
    result = call.together(f"{letters}y,zy->{letters}z", [labels, weight], [call.source(), call.source(1, "weight")])
    operations.of_last(weight[:1], bias)
    return result


def convolution(call: Call) -> Labels:
    labels, weight, bias = call.labels(), call.labels(1, "weight"), call.labels(2, "bias")
    transposed = "transpose" in call.name
    groups = call.get(6, "groups", default=1)
    result, terms, mixed = operations.convolution(labels, weight, bias, groups, transposed, call.value)
    call.read(call.source(), operations.channel_of(labels, weight))
    call.contract(weight[0 if transposed else 1])
    call.along(terms, mixed)
    return result


def batch_norm(call: Call) -> Labels:
    labels = call.labels()
    instance = "instance" in call.name  # which keeps samples apart
    call.mix(labels, range(2 if instance else 0, len(labels)) if instance else [0, *range(2, len(labels))])
    positions = enumerate(("running_mean", "running_var", "weight", "bias"), start=1)
    return operations.of_channels(labels, *(call.labels(position, name) for position, name in positions))


def group_norm(call: Call) -> Labels:
    labels, groups = call.labels(), call.get(1, "num_groups")
    terms, mixed = operations.grouped(labels, groups)
    call.along([terms], mixed)
    return operations.of_channels(labels, call.labels(2, "weight"), call.labels(3, "bias"))


def layer_norm(call: Call) -> Labels:
    shape = call.get(1, "normalized_shape")
    labels = call.mix(call.labels(), range(-(1 if isinstance(shape, int) else len(shape)), 0))
    return operations.layer_norm(labels, call.labels(2, "weight"), call.labels(3, "bias"))


def slopes(call: Call) -> Labels:
    labels, weight = call.labels(), call.labels(1, "weight")
    return operations.of_channels(labels, weight if weight and axes.size_of(weight[0]) > 1 else None)


def embedding(call: Call) -> Labels:
    weight = call.labels(1, "weight")
    axes.fix(weight[0])
    return [*call.labels(), weight[1]]


def triangle(call: Call) -> Labels:
    """Which entries become zero goes by their order along the last two dimensions."""
    labels = call.labels()
    for axis in labels[-2:]:
        axes.fix(axis)
    return labels


def gated_linear_unit(call: Call) -> Labels:
    labels = call.labels()
    dim = call.get(1, "dim", default=-1) % len(labels)
    halves = axes.sections(labels[dim], [axes.size_of(labels[dim]) // 2] * 2)
    operands = [[half if index == dim else axis for index, axis in enumerate(labels)] for half in halves]
    return call.together(operations.pointwise(operands), operands, [])


def product(call: Call) -> Labels:
    return _product(call, (call.source(), call.source(1, "other", "mat2")))


def _product(call: Call, sources: tuple[fx.Node, fx.Node]) -> list[Axis]:
    operands = [call.of(source) for source in sources]
    return call.together(operations.product(*operands), operands, sources)


def product_added(call: Call) -> Labels:
    names = ("mat1", "mat2") if call.name == "addmm" else ("batch1", "batch2")
    result = _product(call, tuple(call.source(index, name) for index, name in enumerate(names, start=1)))
    operands = [call.labels(), result]
    return call.together(operations.pointwise(operands), operands, [])


def dot_product_attention(call: Call) -> Labels:
    query, key, value = (call.source(index, name) for index, name in enumerate(("query", "key", "value")))
    left, right, values = map(call.of, (query, key, value))
    if call.get(7, "enable_gqa") and axes.size_of(left[-3]) != axes.size_of(right[-3]):
        count = axes.size_of(left[-3]) // axes.size_of(right[-3])
        right, values = ([*part[:-3], operations.copied(part[-3], count), *part[-2:]] for part in (right, values))
    turned = [*right[:-2], right[-1], right[-2]]
    call.read(query, len(left) - 1)
    call.read(key, len(right) - 1)
    scores = call.together(operations.product(left, turned), [left, turned], [])
    mask = call.labels(3, "attn_mask")
    if mask is not None:
        scores = call.together(operations.pointwise([scores, mask]), [scores, mask], [])
    if call.get(5, "is_causal"):
        for axis in scores[-2:]:
            axes.fix(axis)
    call.mix(scores, -1)
    operands = [scores, values]
    return call.together(operations.product(*operands), operands, [])


def einsum(call: Call) -> Labels:
    sources = call.node.args[1] if isinstance(call.node.args[1], list | tuple) else call.node.args[1:]
    return call.together(str(call.node.args[0]), list(map(call.of, sources)), sources)


def _named(names: list[str], rule: Rule) -> dict[str, Rule]:
    return dict.fromkeys(names, rule)


CONVOLUTIONS = [f"conv{kind}{dims}d" for kind in ("", "transpose") for dims in (1, 2, 3)]
MIXING: dict[str, Rule] = {
    **_named(["softmax", "logsoftmax", "softmin", "softmax2d"], softmax),
    "normalize": normalize,
    **_named(REDUCTIONS, reductions.reduction),
    **_named(["max", "min", "median", "nanmedian"], extreme),
    **_named(["varmean", "stdmean"], reductions.moments),
    **_named(["norm", "linalgnorm", "linalgvectornorm"], reductions.vector_norm),
    **_named([*POOLINGS, "interpolate", "upsample", "upsamplingnearest2d", "upsamplingbilinear2d"], pooling),
    "pad": pad,
    "linear": linear,
    **_named(CONVOLUTIONS, convolution),
    **_named(["batchnorm", "instancenorm", "syncbatchnorm"], batch_norm),
    **_named([f"{kind}norm{dims}d" for kind in ("batch", "instance") for dims in (1, 2, 3)], batch_norm),
    "groupnorm": group_norm,
    **_named(["layernorm", "rmsnorm"], layer_norm),
    "pixelshuffle": pixel_shuffle,
    "pixelunshuffle": pixel_unshuffle,
    "getitem": item,
    "unbind": sectioned,
    **_named(["select", "narrow"], narrowed),
    "indexselect": selected,
    "gather": gathered,
    **_named(["matmul", "bmm", "mm", "imatmul"], product),
    **_named(["addmm", "baddbmm"], product_added),
    "scaleddotproductattention": dot_product_attention,
    "einsum": einsum,
    "multiheadattention": attention,
    "shiftedwindowattention": windows.attention,
    "getrelativepositionbias": windows.position_bias,
    "patchmergingpad": windows.merged_patches,
    **_named(["roll", "flip", "cumsum", "cumprod", "logcumsumexp"], in_order),
    **_named(["rnn", "gru", "lstm"], recurrent.layers),
    **_named(["rnncell", "grucell", "lstmcell"], recurrent.cell),
}
KEEPING: dict[str, Rule] = {
    **_named(POINTWISE, pointwise),
    **_named(["to", "typeas"], converted),
    **_named(["tril", "triu"], triangle),
    "getattr": reductions.attribute,
    "prelu": slopes,
    "embedding": embedding,
    "glu": gated_linear_unit,
    "channelshuffle": channel_shuffle,
    **_named("flatten reshape view unflatten squeeze unsqueeze viewas reshapeas ravel".split(), reshaped),
    **_named(REORDERINGS, reordered),
    **_named(["cat", "concat", "concatenate"], concatenated),
    "stack": stacked,
    **_named(["chunk", "split", "tensorsplit", "splitwithsizes"], sectioned),
    **_named(["expand", "expandas", "broadcastto"], expanded),
    **_named(["repeat", "tile"], repeated),
    "repeatinterleave": each_repeated,
    **_named(["newzeros", "newones", "newfull"], alike),
}
RULES = MIXING | KEEPING


def label(call: Call) -> Any:
    rule = RULES.get(call.name)
    return call.unknown() if rule is None else rule(call)
