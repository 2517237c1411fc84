"""Sums of products with a group that is mapped by matrices, whatever operation makes them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, fx

if TYPE_CHECKING:
    from hidden_structure.permutation.linear_flow import Along, Flow

Held = tuple[int, Tensor]  # of a tensor: the axis that holds the group, counted from the last, and the marks along it


def biased(flow: "Flow", node: fx.Node, made: Tensor | None, bias: Tensor | None, axis: int) -> Held | None:
    own = flow.parameter(bias).get(0)
    if bias is not None and (made is None) != (own is None):
        flow.refuse(node)
    if own is not None:
        flow.join(made, own, node)
    return None if made is None else (axis, made)


def contracted(
    flow: "Flow", node: fx.Node, equation: str, operands: Sequence["Along"], constant: Sequence[bool] = (False, False)
) -> Held | None:
    """An einsum of two operands: the axis of its output that holds the group, and the marks along it."""
    inputs, _, output = equation.replace(" ", "").partition("->")
    holders: dict[str, list[tuple[bool, Tensor]]] = defaultdict(list)
    for letters, along, weight in zip(inputs.split(","), operands, constant, strict=True):
        for axis, vector in along.items():
            holders[letters[axis]].append((weight, vector))
    found = None
    for letter, holding in holders.items():
        if letter in output:
            if len(holding) > 1 or found is not None:
                flow.refuse(node)
            found = (output.index(letter) - len(output), holding[0][1])
            flow.use(found[1])
        elif len(holding) != 2:
            flow.refuse(node)
        else:
            (_, left), (weight, right) = sorted(holding, key=lambda one: one[0])
            flow.meet(left, right, weight, node)
    return found


def held(flow: "Flow", source: fx.Node) -> Held | None:
    """The axis of a node's output that holds the group, counted from the last, and the marks along it."""
    found = flow.along(source)
    if len(found) > 1:
        flow.refuse(source)
    return next(((axis - flow.env[source].dim(), vector) for axis, vector in found.items()), None)
