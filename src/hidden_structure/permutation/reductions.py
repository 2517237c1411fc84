"""What reductions do to the axes of what they take: sums, means, norms and extremes."""

import operator

from torch import Tensor

from hidden_structure.permutation import axes, operations
from hidden_structure.permutation.call import Call
from hidden_structure.permutation.operations import Labels

EXTREME = ("values", "indices")  # of the tuple that one along a dimension gives


def reduction(call: Call) -> Labels:
    if not isinstance(call.value, Tensor):
        return call.unknown()
    dims = call.get(1, "dim", "axis")
    return _reduced(call, None if isinstance(dims, bool) else dims)  # var(False) is over all, with no correction


def extreme(call: Call) -> Labels:
    """The largest entry along a dimension and where it is, or of all."""
    if isinstance(call.value, Tensor):
        return _reduced(call, None)
    dim, taken = call.get(1, "dim"), (operator.getitem, getattr)
    if not all(user.target in taken and user.args[1] in (0, "values") for user in call.node.users):
        axes.fix(call.labels()[dim])  # where the largest entry stands goes by their order
    found = _reduced(call, dim, call.value[0])
    return found, found


def moments(call: Call) -> Labels:
    """Variance and mean."""
    dims = call.get(1, "dim")
    found = _reduced(call, None if isinstance(dims, bool) else dims, call.value[0])
    return found, found


def attribute(call: Call) -> Labels:
    """A matrix turned; or a part of a named tuple, as an extreme along a dimension is."""
    labels, name = call.apart(call.source()), call.get(1)
    if name == "mT" or (name == "T" and call.value.dim() == 2):
        labels = call.labels()
        return [*labels[:-2], labels[-1], labels[-2]]
    return labels[EXTREME.index(name)] if isinstance(labels, tuple) and name in EXTREME else call.unknown()


def vector_norm(call: Call) -> Labels:
    order, dims = call.get(1, "p", "ord"), call.get(2, "dim")
    both = dims is None or (isinstance(dims, list | tuple) and len(dims) == 2)
    if isinstance(order, str) or (call.name == "linalgnorm" and order is not None and both):
        return call.unknown()  # a norm of matrices
    return _reduced(call, dims)


def _reduced(call: Call, dims: int | list[int] | None, value: Tensor | None = None) -> Labels:
    labels = call.mix(call.labels(), range(len(call.labels())) if dims is None else dims)
    return operations.reduction(labels, dims, call.value if value is None else value)
