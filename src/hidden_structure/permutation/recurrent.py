"""The rules of recurrent layers: hidden units are permuted alike in all their gates, at every step."""

from typing import Any

from torch import Tensor, fx, nn

from hidden_structure.permutation import axes, operations
from hidden_structure.permutation.axes import Axis
from hidden_structure.permutation.call import Call
from hidden_structure.permutation.operations import Labels, Stacked

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def layers(call: Call) -> Labels:
    """nn.RNN, nn.GRU and nn.LSTM, of any number of layers and both directions: output, and what is left at the end.

    The hidden units of each layer and direction have a permutation of their own, and so have the outputs of each
    projection; what is left at the end is stacked in that order.
    """
    module, labels = call.module, call.labels()
    batched = len(labels) == 3
    steps = (1 if module.batch_first else 0) if batched else 0
    _read(call, labels, {steps})
    axes.fix(labels[steps])
    given, kept = labels[-1], [axis for dim, axis in enumerate(labels[:-1]) if dim != steps]
    hidden: list[Axis] = []
    cells: list[Axis] = []
    for layer in range(module.num_layers):
        ways = [f"_l{layer}{way}" for way in ("", "_reverse")[: 1 + module.bidirectional]]
        found = [_cell(call, suffix, given) for suffix in ways]
        hidden += [state for state, _ in found]
        cells += [cell for _, cell in found]
        given = [segment for state, _ in found for segment in state]
    states = (hidden, cells) if call.name == "lstm" else (hidden,)
    for labels_of_state, own in zip(_given(call), states, strict=False):
        axes.fix(labels_of_state[0])
        for axis in own:
            axes.unify(labels_of_state[-1], axis)
        for axis, sample in zip(labels_of_state[1:-1], kept, strict=True):
            axes.unify(axis, sample)
    left = tuple(Stacked(0, tuple([*kept, axis] for axis in own)) for own in states)
    return [*labels[:-1], given], left if call.name == "lstm" else left[0]


def cell(call: Call) -> Labels:
    """nn.RNNCell, nn.GRUCell and nn.LSTMCell: one step."""
    labels = call.labels()
    _read(call, labels, set())
    hidden, _ = _cell(call, "", labels[-1])
    made = [*labels[:-1], hidden]
    for given in _given(call):
        for axis, other in zip(given, made, strict=True):
            axes.unify(axis, other)
    return (made, list(made)) if call.name == "lstmcell" else made


def _read(call: Call, labels: list[Axis], steps: set[int]) -> None:
    last = len(labels) - 1
    call.mix(labels, {last, *steps})
    call.read(call.source(), last)


def _given(call: Call) -> list[list[Axis]]:
    """The labels of the states from which the layer starts."""
    found: Any = call.source(1, "hx")
    nodes = found if isinstance(found, list | tuple) else [found]
    if len(nodes) == 1 and isinstance(nodes[0], fx.Node) and isinstance(call.of(nodes[0]), tuple):
        return [labels if isinstance(labels, list) else labels.joined() for labels in call.of(nodes[0])]
    return [call.of(node) for node in nodes if isinstance(node, fx.Node)]


def _cell(call: Call, suffix: str, given: Axis) -> tuple[Axis, Axis]:
    """What one layer in one direction hands on, and its cells, which are the same without a projection."""
    module, parameter = call.module, call.tracer.parameter
    gates = GATES[call.name.removesuffix("cell")]
    cells = axes.free_axis(module.hidden_size)
    hidden = cells
    projection = _tensor(module, f"weight_hr{suffix}")
    if projection is not None:
        hidden, columns = parameter(projection)
        axes.unify(columns, cells)
        call.contract(columns)
    for kind, read in (("ih", given), ("hh", hidden)):
        rows, columns = parameter(_tensor(module, f"weight_{kind}{suffix}"))
        axes.unify(rows, cells * gates)
        axes.unify(columns, read)
        call.contract(columns)
        bias = _tensor(module, f"bias_{kind}{suffix}")
        if bias is not None:
            operations.of_last([cells * gates], parameter(bias))
    return hidden, cells


def _tensor(module: nn.Module, name: str) -> Tensor | None:
    return getattr(module, name, None)
