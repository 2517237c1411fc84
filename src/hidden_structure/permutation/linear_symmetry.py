"""Derives which groups of a network may be mapped by orthogonal or invertible matrices, and proves it."""

from functools import partial

import torch
from torch import Tensor, nn

from hidden_structure.frame.errors import InputError
from hidden_structure.networks.features import evaluation_mode
from hidden_structure.networks.weights import copy_of
from hidden_structure.permutation.equivariance import TOLERANCE, NodeLayouts, cast, first_wrong, vary
from hidden_structure.permutation.families import places
from hidden_structure.permutation.graphs import as_taken
from hidden_structure.permutation.linear_flow import Flow, Nonlinear, follow
from hidden_structure.permutation.linear_maps import LinearMaps, Scale, Turned, apply, draw, fold, transformed
from hidden_structure.permutation.permuting import permute
from hidden_structure.permutation.symmetry import derive_all
from hidden_structure.seeding import torch_generator


@torch.no_grad()
def derive_maps(network: nn.Module, images: Tensor) -> LinearMaps:
    """The symmetries of a network, and which of its groups matrices may map instead of permutations.

    They are checked as permutations are: random matrices act on a copy of the network, and what every operation
    computes must be mapped as derived.

    Args:
        images: (b, channels, H, W), or what else the network takes.

    Raises InputError as `derive`.
    """
    symmetry, layouts = derive_all(network, images)
    images = as_taken(network, images)
    flows, reasons, copy = {}, {}, copy_of(network)  # whose forward may change what it holds
    for group in symmetry.groups:
        try:
            flows[group] = follow(copy, symmetry, layouts, images, group)
        except Nonlinear as error:
            reasons[group] = str(error).partition("\n")[0]  # torch.fx adds lines of its own
    state = network.state_dict(keep_vars=True)
    alike = {name: [other for other in state if state[other] is state[name]] for name in state}
    turned = {
        (other, *origin[1:])
        for flow in flows.values()
        for mark, origin in enumerate(flow.origins)
        if origin is not None and flow.root(mark) < 0
        for other in alike[origin[0]]
    }
    readers: dict[str, set[tuple[str, int]]] = {}
    shifts: dict[str, set[str]] = {}
    for flow in flows.values():
        for name, found in flow.readers().items():
            readers.setdefault(name, set()).update((other, axis) for of, axis in found for other in alike[of])
            shifts.setdefault(name, set()).update(other for of in flow.shifts[name] for other in alike[of])
    scales = {
        other: Scale(frozenset(shifts[name]), frozenset(readers[name])) for name in readers for other in alike[name]
    }
    maps = LinearMaps(symmetry, {group: flow.kind for group, flow in flows.items()}, frozenset(turned), scales, reasons)
    unlike = {name for flow in flows.values() for name in flow.unlike}
    unlike |= {node.name for flow in flows.values() for node, marks in flow.marks.items() if isinstance(marks, tuple)}
    unlike |= {node.name for node in symmetry.graph.nodes if node.op == "get_attr" and node.target in scales}
    mapped = {name: None if name in unlike else found for name, found in layouts.items()}
    _check(network, maps, mapped, _turned_inside(flows, layouts), images)
    return maps


def _turned_inside(flows: dict[str, Flow], layouts: NodeLayouts) -> Turned:
    """The same of what nodes give, by their names."""
    found = set()
    for group, flow in flows.items():
        for node, marks in flow.marks.items():
            if isinstance(marks, Tensor) and layouts[node.name] is not None:
                for name, place in places(flow.symmetry, layouts[node.name]):
                    start = place.segment[0]
                    if name == group and flow.root(int(marks.select(place.axis, start).flatten()[0])) < 0:
                        found.add((node.name, place.axis, start))
    return frozenset(found)


def _check(network: nn.Module, maps: LinearMaps, layouts: NodeLayouts, turned: Turned, images: Tensor) -> None:
    """Let random matrices of every group act on a copy of the network, folded, and compare all that they compute.

    Raises InputError, naming the operation, if one is not mapped as was derived.
    """
    element = draw(maps, torch_generator("linear maps"))

    def expected(name: str, own: tuple, value: Tensor) -> Tensor:
        permuted = permute(maps.symmetry, element.permutation, own, value)
        return transformed(maps.symmetry, element.matrices, turned, name, own, permuted)

    for dtype in (torch.float64, torch.float32):
        inputs = cast(images, dtype)
        plain, folded, mapped = (copy_of(network)._apply(partial(cast, dtype=dtype)) for _ in range(3))
        vary(plain)
        _fill(folded, fold(maps, plain.state_dict()))
        _fill(mapped, apply(maps, element, folded.state_dict()))
        constants = {name: cast(tensor, dtype) for name, tensor in maps.symmetry.constants.items()}
        try:
            with evaluation_mode(plain), evaluation_mode(folded), evaluation_mode(mapped):
                before, after = plain(inputs.clone()), copy_of(folded)(inputs.clone())  # which may change it
                if (before - after).abs().max() > TOLERANCE[dtype] * before.abs().max():
                    wrong = "the logits, once the scales of norms are folded"
                else:
                    arguments = maps.symmetry, constants, layouts, (inputs, inputs)
                    wrong = first_wrong((folded, mapped), *arguments, expected)
        except RuntimeError:  # of two types in one operation
            if dtype == torch.float32:
                raise
            continue
        if wrong is not None:
            name = type(network).__name__
            raise InputError(f"the maps derived for {name} are wrong at {wrong}: match by permutations")
        return


def _fill(network: nn.Module, state: dict[str, Tensor]) -> None:
    for name, tensor in network.state_dict().items():
        if isinstance(tensor, Tensor):
            tensor.copy_(state[name])
