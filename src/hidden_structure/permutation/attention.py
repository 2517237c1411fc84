"""The rule of nn.MultiheadAttention, which a trace shows as one operation."""

from hidden_structure.permutation import axes, operations
from hidden_structure.permutation.axes import Axis, Node
from hidden_structure.permutation.call import Call
from hidden_structure.permutation.operations import Labels


def attention(call: Call) -> Labels:
    """Heads are permuted together, and inside each the units of queries and keys, and those of values."""
    module, tracer = call.module, call.tracer
    sources = [call.source(index, name) for index, name in enumerate(("query", "key", "value"))]
    query, key, values = map(call.of, sources)
    samples, places = (0, 1) if module.batch_first else (1, 0)
    places = places if len(query) == 3 else 0
    if len(query) == 3:
        axes.unify(query[samples], key[samples])
        axes.unify(key[samples], values[samples])
    axes.unify(key[places], values[places])
    masks = [call.source(at, name) for at, name in ((3, "key_padding_mask"), (5, "attn_mask"))]
    masked = any(mask is not None for mask in masks)
    if masked:
        for axis in (*query[:-1], *key[:-1], *(axis for mask in masks for axis in operations.flat(call.of(mask)))):
            axes.fix(axis)
    each = any(labels is not None and len(labels) == 3 for labels in map(call.of, masks[1:]))
    heads = Node(module.num_heads, fixed=each)  # such a mask may differ from head to head
    matched, carried = ([(heads, Node(module.head_dim, heads))] for _ in range(2))
    inside = (matched, matched, carried)
    _project(call, inside, (query, key, values))
    for tensor, axis in ((module.bias_k, matched), (module.bias_v, carried)):
        if tensor is not None:
            axes.unify(tracer.parameter(tensor)[2], axis)
    last = len(query) - 1
    for source, axis, part in zip(sources, inside, "qkv", strict=True):
        call.mix(call.of(source), last)
        call.read(source, last)
        tracer.readings.append((source.name, last, axis, (call.node.target, part)))
    for labels in (key, values):
        call.mix(labels, places)
    weight, bias = tracer.parameter(module.out_proj.weight), module.out_proj.bias
    axes.unify(weight[1], carried)
    call.contract(weight[1])
    operations.of_last(weight[:1], None if bias is None else tracer.parameter(bias))
    result = [*query[:-1], weight[0]]
    return result, _weights(call, query, key, samples, places, [(heads,)])


def _project(call: Call, inside: tuple[Axis, Axis, Axis], operands: tuple[list[Axis], ...]) -> None:
    module, parameter = call.module, call.tracer.parameter
    matched, _, carried = inside
    if module.in_proj_weight is not None:
        rows, columns = parameter(module.in_proj_weight)
        axes.unify(rows, matched + matched + carried)
        for labels in operands:
            axes.unify(columns, labels[-1])
        call.contract(columns)
    else:
        projections = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
        for tensor, axis, labels in zip(projections, inside, operands, strict=True):
            axes.unify(parameter(tensor)[0], axis)
            axes.unify(parameter(tensor)[1], labels[-1])
            call.contract(parameter(tensor)[1])
    if module.in_proj_bias is not None:
        axes.unify(parameter(module.in_proj_bias)[0], matched + matched + carried)


def _weights(
    call: Call, query: list[Axis], key: list[Axis], samples: int, places: int, heads: Axis
) -> list[Axis] | None:
    """The labels of the attention weights, where they are asked for."""
    weights = call.value[1]
    if weights is None:
        return None
    seen = key[places]
    if weights.shape[-1] != axes.size_of(seen):  # a learned key, or one of zeros, comes behind the others
        axes.fix(seen)
        seen = axes.fixed_axis(weights.shape[-1])
    labels = [query[places], seen]
    if len(query) == 3:
        labels.insert(0, query[samples])
    if weights.dim() > len(labels):
        labels.insert(-2, heads)
    return labels
