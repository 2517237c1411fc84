"""The permutation symmetries of a network, derived from a trace of it.

Ainsworth, Hayase, Srinivasa 2023, "Git Re-Basin", section 2: permuting the units of a layer, and the weights that read
them alike, leaves the function as it is. Which axes of which tensors go together is derived, for any network that
torch.fx can trace, instead of written by hand.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from hidden_structure.frame.arrays import tensor_of
from hidden_structure.frame.errors import InputError
from hidden_structure.networks.features import evaluation_mode
from hidden_structure.networks.weights import copy_of, overlapping
from hidden_structure.permutation import axes
from hidden_structure.permutation.axes import Node
from hidden_structure.permutation.equivariance import NodeLayouts, check
from hidden_structure.permutation.graphs import as_taken, bind, read_by, traced
from hidden_structure.permutation.group import Factor, Group, Layout, Reading, Symmetry
from hidden_structure.permutation.operations import Labels, Stacked
from hidden_structure.permutation.permuting import has_parent_outside
from hidden_structure.permutation.tracing import Tracer


def derive(network: nn.Module, images: Tensor) -> Symmetry:
    """The symmetries of a network that maps images (b, channels, H, W), on which it is run, to logits.

    They are checked: random elements of the group act on a copy of the network, and what every operation computes must
    be permuted as derived (`equivariance.py`). Network and images are left as they are.

    Raises InputError if torch.fx cannot trace the network, at an operation whose symmetries are not known, at one where
    what was derived is wrong, and if two tensors share memory that a permutation of one would change for both.
    """
    return derive_all(network, images)[0]


@torch.no_grad()
def derive_all(network: nn.Module, images: Tensor) -> tuple[Symmetry, NodeLayouts]:
    """As `derive`; and of every node of the graph the layouts of its output."""
    if not isinstance(network, nn.Module):
        raise InputError(f"symmetries are derived of a torch.nn.Module, got {type(network).__name__}: give the network")
    images = as_taken(network, tensor_of("images", images))
    graph, constants = traced(network, images)
    copy = copy_of(network)  # its forward may change what it holds
    with evaluation_mode(copy), parametrize.cached():
        tracer = Tracer(bind(copy, graph, constants))
        try:
            tracer.run(images.clone())  # operations may work in place
        except InputError as error:  # torch.fx adds lines of its own to the message
            raise InputError(str(error).partition("\n")[0]) from error
    state = copy.state_dict(keep_vars=True)
    known = {name: tracer.tensors[id(tensor)] for name, tensor in state.items() if id(tensor) in tracer.tensors}
    kept = {id(tensor) for tensor in state.values()} | tracer.computed.keys()
    for identity, labels in tracer.tensors.items():
        if identity not in kept:  # a constant of the graph, which no state dict could carry permuted
            for axis in labels:
                axes.fix(axis)
    tracer.fix_left_over()
    _drop_lost_parents(tracer)
    symmetry, layouts = _named(known, tracer, graph, constants)
    _refuse_shared_memory(network, symmetry)
    check(network, symmetry, layouts, images)
    return symmetry, layouts


def _refuse_shared_memory(network: nn.Module, symmetry: Symmetry) -> None:
    """Copies are taken apart, so that none would show what loading a permuted state does to such a network."""
    own = dict(chain(network.named_parameters(), network.named_buffers()))
    own |= {name: tensor for name, tensor in read_by(symmetry.graph, network).items() if name not in own}
    for one, other in overlapping(own | symmetry.constants):
        first, second = own.get(one), own.get(other)
        alike = (
            first is not None
            and second is not None
            and (first.shape, first.stride()) == (second.shape, second.stride())
        )
        layouts = [symmetry.layouts.get(name) for name in (one, other)]
        if layouts == [None, None] or (alike and layouts[0] == layouts[1] and first.data_ptr() == second.data_ptr()):
            continue  # neither is permuted, or both in the same way
        what = "a constant of its code" if second is None else other
        mend = f"assign one to the other, {other} = {one}" if alike else f"read {one} in place of both"
        raise InputError(f"{one} and {what} share memory but are two, and permutations would change both: {mend}")


def _drop_lost_parents(tracer: Tracer) -> None:
    """Let a node have its own permutation for each entry of its parent only where every operation allows it.

    The parent must be in every tensor that the node is in, once, and have none itself; where tensors are multiplied or
    added, it must be along the same dimension in all; and nothing may mix its entries while it leaves the node's apart.
    """
    tensors = list(tracer.tensors.values())
    for labels in tracer.labels.values():
        tensors += _tensor_labels(labels)
    changed = True
    while changed:
        lost = {node for labels in tensors for node in _without_parent(labels)}
        for terms, mixed in tracer.joint:
            lost |= {node for term in terms for node in _mixed(term, mixed)} | set(_apart(terms))
        if not lost:
            lost = {node for labels in tensors for node in _below_a_child(labels)}
        for node in lost:
            axes.leave_parent(node)
        changed = bool(lost)


def _dependent(labels: Mapping[Any, axes.Axis]) -> Iterator[tuple[Node, Any, list]]:
    """Every node with a parent in a tensor of these axes: (node, key of its axis, keys of the axes its parent is on).

    A parent beside the node in its segment is its parent there, whatever stands elsewhere. On another axis it is one
    only if both axes are single segments: beside a concatenation some entries would have no parent.
    """
    expanded = {key: axes.expand(axis) for key, axis in labels.items()}
    for key, axis in expanded.items():
        for segment in axis:
            for node in segment:
                if node.parent is not None:
                    parent = axes.parent(node)
                    elsewhere = [other for other in expanded if other != key and len(expanded[other]) == len(axis) == 1]
                    others = [other for other in elsewhere for found in expanded[other][0] if found is parent]
                    yield node, key, [key] * segment.count(parent) or others


def _without_parent(labels: list[axes.Axis]) -> list[Node]:
    return [node for node, _, places in _dependent(dict(enumerate(labels))) if len(places) != 1]


def _below_a_child(labels: list[axes.Axis]) -> list[Node]:
    """The first node whose parent has a parent: permutations are one level deep."""
    found = [node for node, _, _ in _dependent(dict(enumerate(labels))) if axes.parent(node).parent is not None]
    return found[:1]


def _apart(terms: list[dict[Any, axes.Axis]]) -> list[Node]:
    """Nodes whose parent runs along different axes in different operands."""
    found: dict[tuple[Node, str], set[tuple]] = defaultdict(set)
    for term in terms:
        for node, letter, places in _dependent(term):
            found[node, letter].add(tuple(places))
    return [node for (node, _), places in found.items() if len(places) > 1]


def _mixed(labels: Mapping[Any, axes.Axis], mixed: set) -> list[Node]:
    """Nodes whose parent's entries are mixed, or not told apart here, while their own are left apart."""
    dependent = [(node, places) for node, key, places in _dependent(labels) if key not in mixed]
    return [node for node, places in dependent if not places or mixed & set(places)]


def _tensor_labels(labels: Labels) -> list[list[axes.Axis]]:
    if labels is None:
        return []
    if isinstance(labels, tuple | Stacked):
        parts = labels.parts if isinstance(labels, Stacked) else labels
        return [found for item in parts for found in _tensor_labels(item)]
    return [labels]


def _named(
    known: dict[str, list[axes.Axis]], tracer: Tracer, graph: fx.Graph, constants: dict[str, Tensor]
) -> tuple[Symmetry, dict[str, Any]]:
    """The symmetry, and of every node of the graph the layouts of what it gives."""
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

    def nested(labels: Labels) -> Any:
        if labels is None or isinstance(labels, Stacked):  # what is taken of it is looked at there
            return None
        return tuple(map(nested if isinstance(labels, tuple) else layout, labels))

    groups = {}
    for node, name in names.items():
        if not node.fixed:
            parent = axes.parent(node)
            groups[name] = Group(node.size, None if parent is None else names[parent])
    layouts = {name: tuple(map(layout, labels)) for name, labels in known.items()}
    outputs = {node.name: labels for node, labels in tracer.labels.items()}

    def reading(node: str, dim: int, axis: axes.Axis, how: tuple[str, str] | None) -> Reading:
        parents = None if how else _parents_beside(outputs[node], dim)
        whole = axis if parents is None else axes.merged([outputs[node][parents], axis])
        others = (labels for place, labels in enumerate(outputs[node]) if place not in (dim, parents))
        crossed = any(node.size > 1 and not node.fixed for labels in others for node in axes.atoms(labels))
        return Reading(node, dim, layout(whole), how, parents, crossed)

    readings = dict.fromkeys(reading(*found) for found in tracer.readings)
    moving = {name: found for name, found in layouts.items() if _has_groups(found, groups)}
    symmetry = Symmetry(
        groups=groups,
        layouts=moving,
        frozen={name: node.size for node, name in names.items() if node.fixed},
        across=frozenset(name for name, found in moving.items() if has_parent_outside(groups, found)),
        read={name: _contracted(known[name], tracer) for name in moving},
        stays={name: _reasons(known[name], tracer) for name in known.keys() - moving.keys()},
        readings=tuple(readings),
        graph=graph,
        constants=constants,
    )
    return symmetry, {node.name: nested(labels) for node, labels in tracer.labels.items()}


def _parents_beside(labels: Labels, dim: int) -> int | None:
    """Along which other dimension of a tensor the parents of the nodes along this one lie."""
    found = [places for _, key, places in _dependent(dict(enumerate(labels))) if key == dim]
    return next((place for (place,) in (places for places in found if len(places) == 1) if place != dim), None)


def _has_groups(layouts: tuple[Layout, ...], groups: dict[str, Group]) -> bool:
    return any(factor.group in groups for layout in layouts for segment in layout for factor in segment)


def _contracted(labels: list[axes.Axis], tracer: Tracer) -> frozenset[int]:
    """The axes of a parameter along which products with activations are summed."""
    return frozenset(dim for dim, axis in enumerate(labels) if any(axis is other for other in tracer.contracted))


def _reasons(labels: list[axes.Axis], tracer: Tracer) -> tuple[str, ...]:
    """The operations at which the entries of a tensor came to be fixed, in order."""
    nodes = [node for axis in labels for node in axes.atoms(axis) if node.size > 1]
    return tuple(dict.fromkeys(tracer.reasons[node] for node in nodes if node in tracer.reasons))
