"""The permutation symmetries of a network, derived from a trace of it.

Ainsworth, Hayase, Srinivasa 2023, "Git Re-Basin", section 2: permuting the units of a layer, and the weights that read
them alike, leaves the function as it is. Which axes of which tensors go together is derived, for any network that
torch.fx can trace, instead of written by hand.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from hidden_structure.errors import InputError
from hidden_structure.features import evaluation_mode
from hidden_structure.graphs import bind, trace
from hidden_structure.permutation import axes
from hidden_structure.permutation.axes import Node
from hidden_structure.permutation.operations import Labels
from hidden_structure.permutation.tracing import Tracer


@dataclass(frozen=True)
class Group:
    """`size` entries permuted together; with a parent, on their own for each of the parent's entries."""

    size: int
    parent: str | None = None


@dataclass(frozen=True)
class Factor:
    """One factor of a product of entries; `group` is None where nothing is permuted."""

    size: int
    group: str | None


Segment = tuple[Factor, ...]
Layout = tuple[Segment, ...]  # of one axis: segments one after the other, each a product, its first factor the slowest


@dataclass(frozen=True)
class Reading:
    """Activations that weights read: dimension `dimension` of what a node of the graph gives has that layout.

    attention: None, or the attention module that computes them from the node's output, and "q", "k" or "v".
    """

    node: str
    dimension: int
    layout: Layout
    attention: tuple[str, str] | None


@dataclass(frozen=True)
class Symmetry:
    """groups: by name. layouts: of every tensor of the state dict that has a permuted axis, one layout an axis.

    frozen: groups that stay as they are but are the parent of others. across: tensors in which a group and its parent
    lie on different axes, as in grouped convolutions. readings, graph, and its
    constants, which no network holds: for matching of activations.
    """

    groups: dict[str, Group]
    layouts: dict[str, tuple[Layout, ...]]
    frozen: dict[str, int] = field(default_factory=dict)
    across: frozenset[str] = frozenset()
    readings: tuple[Reading, ...] = ()
    graph: fx.Graph | None = field(default=None, compare=False, repr=False)
    constants: dict[str, Tensor] = field(default_factory=dict, compare=False, repr=False)


@torch.no_grad()
def derive(network: nn.Module, images: Tensor) -> Symmetry:
    """The symmetries of a network that maps images (b, channels, H, W), on which it is run once, to logits.

    Raises InputError if torch.fx cannot trace the network, or at an operation whose symmetries are not known.
    """
    graph, constants = trace(network)
    with evaluation_mode(network):
        tracer = Tracer(bind(network, graph, constants))
        parameter = next(network.parameters(), images)
        try:
            tracer.run(images.to(parameter.device, parameter.dtype if images.is_floating_point() else images.dtype))
        except InputError as error:  # torch.fx adds lines of its own to the message
            raise InputError(str(error).partition("\n")[0]) from error
    state = network.state_dict(keep_vars=True)
    known = {name: tracer.tensors[id(tensor)] for name, tensor in state.items() if id(tensor) in tracer.tensors}
    kept = {id(tensor) for tensor in state.values()}
    for identity, labels in tracer.tensors.items():
        if identity not in kept:  # a constant of the graph, which no state dict could carry permuted
            for axis in labels:
                axes.fix(axis)
    _drop_lost_parents(tracer)
    return _named(known, tracer, graph, constants)


def _drop_lost_parents(tracer: Tracer) -> None:
    """Let a node have its own permutation for each entry of its parent only where every operation allows it.

    The parent must be in every tensor that the node is in, once; where tensors are multiplied or added, along the
    same dimension in all; and nothing may mix its entries while it leaves the node's apart.
    """
    tensors = list(tracer.tensors.values())
    for labels in tracer.labels.values():
        tensors += _tensor_labels(labels)
    changed = True
    while changed:
        lost = {node for labels in tensors for node in _without_parent(labels)}
        lost |= {node for terms in tracer.joint for node in _apart(terms)}
        lost |= {node for labels, dims in tracer.mixed for node in _mixed(labels, dims)}
        for node in lost:
            axes.leave_parent(node)
        changed = bool(lost)


def _dependent(labels: Mapping[Any, axes.Axis]) -> Iterator[tuple[Node, Any, list]]:
    """Every node with a parent in a tensor of these axes: (node, key of its axis, keys of the axes its parent is on).

    A parent beside the node in its segment is its parent there, whatever stands elsewhere.
    """
    for key, axis in labels.items():
        for segment in axes.expand(axis):
            for node in segment:
                if node.parent is not None:
                    parent = axes.parent(node)
                    elsewhere = (other for other in labels if other != key)
                    others = [other for other in elsewhere for found in axes.atoms(labels[other]) if found is parent]
                    yield node, key, [key] * segment.count(parent) or others


def _without_parent(labels: list[axes.Axis]) -> list[Node]:
    return [node for node, _, places in _dependent(dict(enumerate(labels))) if len(places) != 1]


def _apart(terms: list[dict[str, axes.Axis]]) -> list[Node]:
    """Nodes whose parent runs along different letters in different operands."""
    found: dict[tuple[Node, str], set[tuple]] = defaultdict(set)
    for term in terms:
        for node, letter, places in _dependent(term):
            found[node, letter].add(tuple(places))
    return [node for (node, _), places in found.items() if len(places) > 1]


def _mixed(labels: list[axes.Axis], dims: set[int] | None) -> list[Node]:
    """Nodes whose parent's entries are mixed while their own are left apart."""
    dependent = _dependent(dict(enumerate(labels)))
    if dims is None:
        return [node for node, dim, places in dependent if places != [dim]]
    return [node for node, dim, places in dependent if dim not in dims and dims & set(places)]


def _tensor_labels(labels: Labels) -> list[list[axes.Axis]]:
    if labels is None:
        return []
    if isinstance(labels, tuple):
        return [found for item in labels for found in _tensor_labels(item)]
    return [labels]


def _named(
    known: dict[str, list[axes.Axis]], tracer: Tracer, graph: fx.Graph, constants: dict[str, Tensor]
) -> Symmetry:
    names: dict[Node, str] = {}

    everything = [node for labels in known.values() for axis in labels for node in axes.atoms(axis)]
    parents = {axes.parent(node) for node in everything if not node.fixed}
    for name, labels in known.items():
        for axis in labels:
            for node in axes.atoms(axis):
                if node.size > 1 and node not in names and (not node.fixed or node in parents):
                    taken = sum(other.partition("#")[0] == name for other in names.values())
                    names[node] = f"{name}#{taken}" if taken else name

    def layout(axis: axes.Axis) -> Layout:
        return tuple(tuple(Factor(node.size, names.get(node)) for node in segment) for segment in axes.expand(axis))

    groups = {}
    for node, name in names.items():
        if not node.fixed:
            parent = axes.parent(node)
            groups[name] = Group(node.size, None if parent is None else names[parent])
    layouts = {name: tuple(map(layout, labels)) for name, labels in known.items()}
    frozen = {name: node.size for node, name in names.items() if node.fixed}
    readings = dict.fromkeys(Reading(node, dim, layout(axis), how) for node, dim, axis, how in tracer.readings)
    moving = {name: found for name, found in layouts.items() if _has_groups(found, groups)}
    across = frozenset(name for name, found in moving.items() if _has_parent_outside(found, groups))
    return Symmetry(groups, moving, frozen, across, tuple(readings), graph, constants)


def _has_groups(layouts: tuple[Layout, ...], groups: dict[str, Group]) -> bool:
    return any(factor.group in groups for layout in layouts for segment in layout for factor in segment)


def _has_parent_outside(layouts: tuple[Layout, ...], groups: dict[str, Group]) -> bool:
    segments = [{factor.group for factor in segment} for layout in layouts for segment in layout]
    return any({groups[name].parent for name in names & groups.keys()} - {None} - names for names in segments)
