"""What operations do to a group that is mapped by matrices, by the names of `rules.py`; what is not here is nonlinear.

Rules take the flow of one group (`linear_flow.py`) and an operation that takes some of it, and give the marks of its
output.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, fx

from hidden_structure.permutation import linear_attention, operations
from hidden_structure.permutation.call import Call, name_of
from hidden_structure.permutation.linear_products import biased, contracted, held
from hidden_structure.permutation.shaping import REORDERINGS

if TYPE_CHECKING:
    from hidden_structure.permutation.linear_flow import Along, Flow

SHAPING = """flatten reshape view unflatten squeeze unsqueeze viewas reshapeas ravel cat concat concatenate stack expand
    expandas broadcastto repeat tile repeatinterleave chunk split tensorsplit splitwithsizes getitem unbind select
    narrow roll flip patchmergingpad""".split()
SAME = """contiguous clone to float double detach typeas dropout dropout1d dropout2d dropout3d stochasticdepth identity
    neg""".split()


def shaping(flow: "Flow", call: Call) -> Any:
    """Marks are moved as entries are."""

    def moved(source: fx.Node) -> Any:
        return flow.env[source] if flow.marks.get(source) is None else flow.marks[source]

    arguments, options = fx.node.map_arg((call.node.args, call.node.kwargs), moved)
    target = "reshape" if call.node.target == "view" else call.node.target  # marks lie in memory as they may
    return getattr(flow, call.node.op)(target, arguments, options)


def same(flow: "Flow", call: Call) -> Any:
    return flow.marks[call.source()]


def added(flow: "Flow", call: Call) -> Tensor:
    """All of the sum must hold the group, along one axis: a number is no vector that matrices map."""
    numbers = [argument for argument in call.node.args[:2] if isinstance(argument, int | float) and argument]
    terms = [held(flow, source) for source in call.node.all_input_nodes if isinstance(flow.env[source], Tensor)]
    if numbers or None in terms or len(terms) != len(call.node.all_input_nodes):
        flow.refuse(call.node)
    if len({axis for axis, _ in terms}) > 1:
        flow.refuse(call.node)
    for _, vector in terms[1:]:
        flow.join(terms[0][1], vector, call.node)
    return flow.spread(terms[0], call.value)


def multiplied(flow: "Flow", call: Call) -> Tensor:
    """By what does not hold the group; by a scale; or by itself, if its mean or sum is all that is read of that."""
    sources = [source for source in call.node.all_input_nodes if isinstance(flow.env[source], Tensor)]
    holding = [source for source in sources if held(flow, source)]
    if len(sources) == 1:
        return squared(flow, call) if call.node.args[:2] == (sources[0],) * 2 else _alone(flow, call, sources[0])
    if len(holding) == 2:
        scale, source = sorted(holding, key=lambda source: source.op != "get_attr")
        axis, vector = held(flow, source)
        if scale.op != "get_attr" or axis != -1:
            flow.refuse(call.node)
        return flow.spread((-1, flow.scaled(vector, flow.env[scale], None, call.node)), call.value)
    axis, vector = held(flow, holding[0])
    (other,) = (flow.env[source] for source in sources if source is not holding[0])
    if other.dim() >= -axis and other.shape[axis] != 1:
        flow.refuse(call.node)
    return flow.spread((axis, vector), call.value)


def divided(flow: "Flow", call: Call) -> Tensor:
    divisor = call.source(1, "other")
    if isinstance(divisor, fx.Node) and held(flow, divisor):
        flow.refuse(call.node)
    return multiplied(flow, call)


def _alone(flow: "Flow", call: Call, source: fx.Node) -> Tensor:
    """Times a number, or over one."""
    if call.source() is not source and "div" in call.name:
        flow.refuse(call.node)
    return flow.marks[source]


def squared(flow: "Flow", call: Call) -> Tensor:
    """Squares, whose sum over the group orthogonal matrices leave as it is."""
    exponent = call.get(1, "exponent") if call.name == "pow" else 2
    axis, vector = held(flow, call.source())
    if exponent != 2 or not all(_sums(flow, user, axis, call.value.dim()) for user in call.node.users):
        flow.refuse(call.node)
    _unscaled(flow, vector, call.node)
    flow.orthogonal()
    flow.unlike.add(call.node.name)
    return flow.spread(None, call.value)


def _sums(flow: "Flow", node: fx.Node, axis: int, dims: int) -> bool:
    """Whether an operation sums a tensor of so many dimensions over that axis, counted from the last."""
    over = Call(flow, node, None, "", None).get(1, "dim", "axis")
    over = [over] if isinstance(over, int) else over
    known = name_of(node, None) in ("mean", "sum") and node.op != "call_module" and isinstance(over, list | tuple)
    return known and axis % dims in [dim % dims for dim in over]


def reduced(flow: "Flow", call: Call) -> Tensor:
    """A mean or sum over other axes."""
    axis, vector = held(flow, call.source())
    before = flow.env[call.source()]
    dims = call.get(1, "dim", "axis")
    dims = [dims] if isinstance(dims, int) else dims
    if not isinstance(dims, list | tuple) or any(dim % before.dim() == axis % before.dim() for dim in dims):
        flow.refuse(call.node)
    return flow.spread((axis, vector), before).amax([dim % before.dim() for dim in dims]).reshape(call.value.shape)


def pooled(flow: "Flow", call: Call) -> Tensor:
    """A mean over pixels."""
    dims = operations.spatial(call.name, call.value.shape)
    axis, vector = held(flow, call.source())
    if axis >= -dims:
        flow.refuse(call.node)
    return flow.spread((axis, vector), call.value)


def embedding(flow: "Flow", call: Call) -> Tensor:
    found = flow.parameter(flow.tensor(call, 1, "weight"))
    if list(found) != [1] or call.get(2, "max_norm") is not None:
        flow.refuse(call.node)
    flow.use(found[1])
    return flow.spread((-1, found[1]), call.value)


def norm(flow: "Flow", call: Call) -> Tensor:
    """LayerNorm and RMSNorm over one axis, which holds the group."""
    shape = call.get(1, "normalized_shape")
    axis, vector = held(flow, call.source())
    if axis != -1 or not (isinstance(shape, int) or len(shape) == 1):
        flow.refuse(call.node)
    _unscaled(flow, vector, call.node)
    flow.orthogonal(centred=call.name == "layernorm")
    scale = flow.tensor(call, 2, "weight")
    shift = flow.tensor(call, 3, "bias") if call.name == "layernorm" else None
    if scale is not None:
        vector = flow.scaled(vector, scale, shift, call.node)
    elif shift is not None:
        flow.join(vector, flow.parameter(shift)[0], call.node)
    return flow.spread((-1, vector), call.value)


def _unscaled(flow: "Flow", vector: Tensor, node: fx.Node) -> None:
    if any(mark in flow.scale_of for mark in vector.abs().int().tolist()):
        flow.refuse(node)


def linear(flow: "Flow", call: Call) -> Tensor:
    source = call.source()
    letters = operations.LETTERS[: flow.env[source].dim() - 1]
    return _weighed(flow, call, f"{letters}y,zy->{letters}z", flow.along(source), -1)


def convolution(flow: "Flow", call: Call) -> Tensor:
    found, transposed = held(flow, call.source()), "transpose" in call.name
    channel = 1 - flow.tensor(call, 1, "weight").dim()
    if call.get(6, "groups", default=1) != 1 or (found and found[0] != channel):
        flow.refuse(call.node)
    return _weighed(flow, call, "y,yz->z" if transposed else "y,zy->z", {0: found[1]} if found else {}, channel)


def _weighed(flow: "Flow", call: Call, equation: str, along: "Along", axis: int) -> Tensor:
    """The product with a weight, which makes what lies along that axis, and a bias."""
    weight, bias = flow.tensor(call, 1, "weight"), flow.tensor(call, 2, "bias")
    made = contracted(flow, call.node, equation, (along, flow.parameter(weight)), (False, True))
    if made is not None and made[0] != -1:  # another axis of what it read, which stays
        return flow.spread(made, call.value)
    return flow.spread(biased(flow, call.node, made and made[1], bias, axis), call.value)


def product(flow: "Flow", call: Call) -> Tensor:
    sources = [call.source(), call.source(1, "other", "mat2")]
    equation = operations.product(*(list(flow.env[source].shape) for source in sources))
    return _einsum(flow, call, equation, sources)


def einsum(flow: "Flow", call: Call) -> Tensor:
    given = call.node.args[1]
    sources = list(given) if isinstance(given, list | tuple) else list(call.node.args[1:])
    if len(sources) != 2:
        flow.refuse(call.node)
    return _einsum(flow, call, str(call.node.args[0]), sources)


def _einsum(flow: "Flow", call: Call, equation: str, sources: Sequence[fx.Node]) -> Tensor:
    found = contracted(
        flow, call.node, equation, [flow.along(s) for s in sources], [flow.is_constant(s) for s in sources]
    )
    return flow.spread(found, call.value)


AVERAGES = [f"{kind}avgpool{dims}d" for kind in ("", "adaptive") for dims in (1, 2, 3)]
CONVOLUTIONS = [f"conv{kind}{dims}d" for kind in ("", "transpose") for dims in (1, 2, 3)]
RULES: dict[str, Callable[["Flow", Call], Any]] = {
    **dict.fromkeys([*REORDERINGS, *SHAPING], shaping),
    **dict.fromkeys(SAME, same),
    **dict.fromkeys(["add", "sub", "iadd", "isub"], added),
    **dict.fromkeys(["mul", "imul", "multiply"], multiplied),
    **dict.fromkeys(["truediv", "div", "itruediv", "truedivide"], divided),
    **dict.fromkeys(["pow", "square"], squared),
    **dict.fromkeys(["mean", "sum"], reduced),
    **dict.fromkeys(AVERAGES, pooled),
    "embedding": embedding,
    **dict.fromkeys(["layernorm", "rmsnorm"], norm),
    "linear": linear,
    **dict.fromkeys(CONVOLUTIONS, convolution),
    **dict.fromkeys(["matmul", "bmm", "mm", "imatmul"], product),
    "einsum": einsum,
    "scaleddotproductattention": linear_attention.dot_products,
    "multiheadattention": linear_attention.heads,
}
