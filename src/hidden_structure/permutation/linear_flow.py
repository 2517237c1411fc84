"""Which groups of units may be mapped by matrices: how every operation takes them, one group at a time.

Every entry of a tensor that belongs to the group is marked by where its units come from: a place in a parameter. What
only moves entries does so to marks. Sums join marks, and products of sums say that where the one is mapped by a matrix
the other is by its inverse transpose. Norms ask for orthogonal matrices, and their scales are followed to the weights
that read them. Anything else leaves the group at permutations.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from hidden_structure.networks.features import evaluation_mode
from hidden_structure.permutation import linear_rules
from hidden_structure.permutation.call import Call, name_of
from hidden_structure.permutation.equivariance import NodeLayouts
from hidden_structure.permutation.families import places
from hidden_structure.permutation.graphs import bind
from hidden_structure.permutation.group import Layout, Symmetry
from hidden_structure.permutation.linear_maps import Kind
from hidden_structure.permutation.tracing import describe

Vector = Tensor  # float64 (length of an axis,): marks along it, 0 where there is none
Along = dict[int, Vector]  # of a tensor: marks along each axis that holds the group


class Nonlinear(Exception):
    """An operation that matrices do not commute with."""


class Flow(fx.Interpreter):
    """One group followed through a network. Marks are numbers from 1 on; minus one is its inverse transpose.

    kind: what has been asked of its matrices so far. unlike: nodes whose output is not mapped as its axes say. uses: of
    every mark, in which ways it is used: None, or the scale under which it is read. scale_of: of marks behind a norm,
    the scale. shifts, lengths: of a scale, the shifts beside it, and its length.
    """

    def __init__(self, network: fx.GraphModule, names: Mapping[int, str], symmetry: Symmetry, group: str) -> None:
        super().__init__(network, garbage_collect_values=False)
        self.names, self.symmetry, self.group = names, symmetry, group
        self.layouts: NodeLayouts = {}
        self.marks: dict[fx.Node, Any] = {}
        self.origins: list[tuple[str, int, int] | None] = [None]  # of each mark
        self.joined: dict[int, int] = {}
        self.found: dict[str, Along] = {}
        self.kind: Kind = "invertible"
        self.unlike: set[str] = set()
        self.uses: dict[int, set[str | None]] = defaultdict(set)
        self.scale_of: dict[int, str] = {}
        self.shifts: dict[str, set[str]] = defaultdict(set)
        self.lengths: dict[str, int] = {}
        self._of_images: set[fx.Node] = set()

    def run_node(self, node: fx.Node) -> Any:
        value = super().run_node(node)
        if node.op == "placeholder" or not self._of_images.isdisjoint(node.all_input_nodes):
            self._of_images.add(node)
        try:
            self.marks[node] = self._marks(node, value)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
            raise Nonlinear(f"{describe(node, self.module)}, whose arguments are of an unknown form") from error
        return value

    def _marks(self, node: fx.Node, value: Any) -> Any:
        if node.op == "get_attr" and isinstance(value, Tensor):
            found = self.parameter(value)
            if len(found) > 1:
                return torch.full(value.shape, torch.nan, dtype=torch.float64)
            return self.spread(next(iter(found.items()), None), value)
        module = self.module.get_submodule(node.target) if node.op == "call_module" else None
        own = () if module is None else (*module.parameters(), *module.buffers())
        touched = any(map(has_marks, map(self.marks.get, node.all_input_nodes))) or any(map(self.parameter, own))
        if not touched or node.op == "output" or unmarked(value) is None:
            return unmarked(value)
        call = Call(self, node, module, name_of(node, module), value)
        rule = linear_rules.RULES.get(call.name)
        if rule is None:
            self.refuse(node)
        return rule(self, call)

    def refuse(self, node: fx.Node) -> None:
        raise Nonlinear(describe(node, self.module))

    def is_constant(self, node: fx.Node) -> bool:
        """Whether a node is the same for all images."""
        return node not in self._of_images

    # marks of tensors

    def parameter(self, tensor: Tensor | None) -> Along:
        """Marks along the axes of a tensor of the state; none of any other."""
        name = self.names.get(id(tensor))
        if name is None:
            return {}
        if name not in self.found:
            found: Along = {}
            for group, place in places(self.symmetry, self.symmetry.layouts.get(name, ())):
                if group == self.group:
                    origin, (start, length) = (name, place.axis, place.segment[0]), place.segment
                    if origin in self.origins:
                        raise Nonlinear(f"{name}, which holds it twice along one axis")
                    self.origins.append(origin)
                    vector = found.setdefault(place.axis, torch.zeros(tensor.shape[place.axis], dtype=torch.float64))
                    vector[start : start + length] = len(self.origins) - 1
            self.found[name] = found
        return self.found[name]

    def tensor(self, call: Call, position: int, name: str) -> Tensor | None:
        """An argument that is a tensor of the network: a module's attribute, or what a function is given."""
        if call.module is not None:
            return getattr(call.module, name, None)
        source = call.source(position, name)
        return self.env[source] if isinstance(source, fx.Node) else None

    def along(self, source: fx.Node) -> Along:
        """Marks along the one axis of a node's output that holds the group, if any does."""
        if source.op == "get_attr":
            return self.parameter(self.env[source])
        marks = self.marks.get(source)
        if not has_marks(marks):
            return {}
        layouts = self.layouts[source.name]
        held = [axis for axis, layout in enumerate(layouts or ()) if _holds(layout, self.group)]
        if len(held) != 1:
            self.refuse(source)
        rows = marks.movedim(held[0], -1).flatten(0, -2).unique(dim=0) if marks.dim() > 1 else marks[None]
        for row in rows[1:]:
            self.join(rows[0], row, source)
        return {held[0]: rows[0]}

    def spread(self, along: tuple[int, Vector] | None, value: Tensor) -> Tensor:
        """The marks of a tensor, from those along one of its axes."""
        if along is None:
            return torch.zeros(value.shape, dtype=torch.float64)
        axis, vector = along
        shape = [-1 if dim == axis % value.dim() else 1 for dim in range(value.dim())]
        return vector.reshape(shape).expand(value.shape)

    # relations between marks

    def root(self, mark: int) -> int:
        while abs(mark) in self.joined:
            mark = self.joined[abs(mark)] * (1 if mark > 0 else -1)
        return mark

    def join(self, left: Vector, right: Vector, node: fx.Node) -> None:
        """Both are mapped alike."""
        self.use(left)
        self.use(right)
        for one, two in self._pairs(left, right, node):
            if self.scale_of.get(abs(one)) != self.scale_of.get(abs(two)):
                self.refuse(node)
            self._relate(one, two)

    def meet(self, left: Vector, right: Vector, weight: bool, node: fx.Node) -> None:
        """Products of both are summed; weight: whether the right one is of a parameter, into which scales fold."""
        for one, two in self._pairs(left, right, node):
            scales = self.scale_of.get(abs(one)), self.scale_of.get(abs(two))
            folds = weight and scales[0] is not None and len(right) == self.lengths[scales[0]]
            if scales[1] is not None or (scales[0] is not None and not folds):
                self.refuse(node)
            self.uses[abs(one)].add(None)
            self.uses[abs(two)].add(scales[0])
            if scales[0] is None:  # behind a norm matrices are orthogonal: nothing to tell apart
                self._relate(one, -two)

    def _pairs(self, left: Vector, right: Vector, node: fx.Node) -> list[tuple[int, int]]:
        if left.shape != right.shape or not torch.equal(left != 0, right != 0):
            self.refuse(node)
        return [(one, two) for one, two in torch.stack([left, right]).unique(dim=1).T.int().tolist() if one]

    def _relate(self, one: int, two: int) -> None:
        one, two = self.root(one), self.root(two)
        if one == -two:
            self.orthogonal()  # its own inverse transpose
        elif one != two:
            self.joined[abs(one)] = two * (1 if one > 0 else -1)

    def use(self, vector: Vector) -> None:
        for mark in vector.unique().int().tolist():
            self.uses[abs(mark)].add(None)

    def orthogonal(self, centred: bool = False) -> None:
        self.kind = "centred" if centred or self.kind == "centred" else "orthogonal"

    def scaled(self, vector: Vector, scale: Tensor, shift: Tensor | None, node: fx.Node) -> Vector:
        """New marks for what is multiplied by a scale, unit by unit, and shifted."""
        if any(mark in self.scale_of for mark in vector.abs().int().tolist()):
            self.refuse(node)
        own, name = self.parameter(scale), self.names.get(id(scale))
        if scale.dim() != 1 or list(own) != [0] or scale.shape != vector.shape:
            self.refuse(node)
        for tensor in (scale, shift):
            for mark in [] if tensor is None else self.parameter(tensor)[0].unique().int().tolist():
                self.uses[mark].add(name)
        self.lengths[name] = len(scale)
        self.shifts[name] |= set() if shift is None else {self.names[id(shift)]}
        self.orthogonal()
        self.origins.append(None)
        self.scale_of[len(self.origins) - 1] = name
        return torch.where(vector != 0, len(self.origins) - 1, 0.0).double()

    def readers(self) -> dict[str, set[tuple[str, int]]]:
        """Of every scale the places that it folds into. Raises Nonlinear where one is used in another way as well."""
        found: dict[str, set[tuple[str, int]]] = {name: set() for name in self.scale_of.values()}
        for mark, origin in enumerate(self.origins):
            uses = self.uses[mark]
            named = uses - {None}
            if origin is None or not named:
                continue
            if len(uses) > 1:
                raise Nonlinear(f"{origin[0]}, which is used both behind a norm's scale and without it")
            (name,) = named
            if origin[0] not in {name, *self.shifts[name]}:
                found[name].add(origin[:2])
        return found


def has_marks(marks: Any) -> bool:
    if isinstance(marks, tuple | list):
        return any(map(has_marks, marks))
    return isinstance(marks, Tensor) and bool(marks.any())


def unmarked(value: Any) -> Any:
    if isinstance(value, Tensor):
        return torch.zeros(value.shape, dtype=torch.float64)
    parts = tuple(map(unmarked, value)) if isinstance(value, tuple | list) else ()
    return parts if any(part is not None for part in parts) else None


def _holds(layout: Layout, group: str) -> bool:
    return any(factor.group == group for segment in layout for factor in segment)


def follow(network: nn.Module, symmetry: Symmetry, layouts: NodeLayouts, images: Tensor, group: str) -> Flow:
    """The group followed through all operations. Raises Nonlinear, which says where it must stay at permutations."""
    if any(other.parent == group for other in symmetry.groups.values()):
        raise Nonlinear("the units inside each of its entries, which it moves as wholes")
    names = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        names.setdefault(id(tensor), name)
    flow = Flow(bind(network, symmetry.graph, symmetry.constants), names, symmetry, group)
    flow.layouts = layouts
    with evaluation_mode(network), torch.no_grad():
        flow.run(images.clone())
    flow.readers()
    for name in names.values():
        if name not in flow.found and any(
            held == group for held, _ in places(symmetry, symmetry.layouts.get(name, ()))
        ):
            raise Nonlinear(f"{name}, from which a layer computes its weight")
    return flow
