"""Attention with a group that is mapped by matrices: the stream that it reads, or the units inside heads."""

from typing import TYPE_CHECKING

from torch import Tensor, fx

from hidden_structure.permutation import operations
from hidden_structure.permutation.call import Call
from hidden_structure.permutation.linear_products import biased, contracted, held

if TYPE_CHECKING:
    from hidden_structure.permutation.linear_flow import Flow


def dot_products(flow: "Flow", call: Call) -> Tensor:
    query, key, value = (call.source(index, name) for index, name in enumerate(("query", "key", "value")))
    mask = call.source(3, "attn_mask")
    left, right, values = (flow.along(source) for source in (query, key, value))
    dims = [flow.env[source].dim() for source in (query, key, value)]
    if len(set(dims)) > 1 or (isinstance(mask, fx.Node) and flow.along(mask)):
        flow.refuse(call.node)
    places, units = dims[0] - 2, dims[0] - 1
    turned = {{places: units, units: places}.get(axis, axis): vector for axis, vector in right.items()}
    equation = operations.product([0] * dims[0], [0] * dims[0])
    if contracted(flow, call.node, equation, (left, turned)) is not None:  # softmax would read it
        flow.refuse(call.node)
    return flow.spread(contracted(flow, call.node, equation, ({}, values)), call.value)


def heads(flow: "Flow", call: Call) -> tuple:
    """nn.MultiheadAttention: what reads, the units inside heads, and what is made."""
    module, node, size = call.module, call.node, call.module.embed_dim
    if module.bias_k is not None or module.bias_v is not None:
        flow.refuse(node)
    sources = [held(flow, call.source(index, name)) for index, name in enumerate(("query", "key", "value"))]
    if module.in_proj_weight is not None:
        fused = flow.parameter(module.in_proj_weight)
        rows = [None if 0 not in fused else fused[0][index * size : (index + 1) * size] for index in range(3)]
        columns = [fused.get(1)] * 3
    else:
        weights = [flow.parameter(getattr(module, f"{part}_proj_weight")) for part in "qkv"]
        rows, columns = [weight.get(0) for weight in weights], [weight.get(1) for weight in weights]
    for read, reads in zip(sources, columns, strict=True):
        if read is not None and read[0] != -1:
            flow.refuse(node)
        _met(flow, node, read and read[1], reads, True)
    rows = [None if row is None or not row.any() else row for row in rows]
    if any(row is not None for row in rows) and flow.symmetry.groups[flow.group].size != module.head_dim:
        flow.refuse(node)  # heads as wholes
    bias = flow.parameter(module.in_proj_bias).get(0)
    for index, row in enumerate(rows):
        part = None if bias is None else bias[index * size : (index + 1) * size]
        if module.in_proj_bias is not None and (part is None or not part.any()) != (row is None):
            flow.refuse(node)
        if row is not None:
            flow.use(row)
            if part is not None:
                flow.join(row, part, node)
    out = flow.parameter(module.out_proj.weight)
    _met(flow, node, rows[0], rows[1], False)
    _met(flow, node, rows[2], out.get(1), True)
    if out.get(0) is not None:
        flow.use(out[0])
    made = biased(flow, node, out.get(0), module.out_proj.bias, -1)
    return flow.spread(made, call.value[0]), None if call.value[1] is None else flow.spread(None, call.value[1])


def _met(flow: "Flow", node: fx.Node, left: Tensor | None, right: Tensor | None, weight: bool) -> None:
    if (left is None) != (right is None):
        flow.refuse(node)
    if left is not None:
        flow.meet(left, right, weight, node)
