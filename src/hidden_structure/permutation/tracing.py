"""A network run once under torch.fx, with each operation saying which axes it permutes alike.

An operation that does not commute with permutations, or is not known, is an error that names it, unless all that goes
into it is fixed already.
"""

from typing import Any

from torch import Tensor, fx, nn

from hidden_structure.frame.errors import InputError
from hidden_structure.permutation import axes, operations, rules
from hidden_structure.permutation.axes import Axis, Node
from hidden_structure.permutation.call import Call, name_of
from hidden_structure.permutation.operations import Labels
from hidden_structure.permutation.parametrised import Computed, computed_by, normed


class Tracer(fx.Interpreter):
    """Runs the network on a small batch and keeps, for each node of its graph, the axes of what it gives.

    tensors: of every parameter and buffer that was met, by identity, its axes.
    readings: what sums of products read: (node, dimension, axis, how), where `how` is None for the node's own output,
    or (attention module, "q" | "k" | "v") for what the module computes inside from it.
    joint: of every operation its operands' axes by what they run along together, and along which of these keys entries
    are mixed.
    contracted: axes of parameters along which products with activations are summed.
    taken: by slices, and what each of them left over.
    reasons: of nodes that came to be fixed, the operation at which they did.
    computed: of every tensor that a layer computed from others, by identity, how.
    """

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.labels: dict[fx.Node, Labels] = {}
        self.tensors: dict[int, list[Axis]] = {}
        self.met: list[Tensor] = []  # kept alive, so that no other tensor comes to have the identity of one
        self.readings: list[tuple[str, int, Axis, tuple[str, str] | None]] = []
        self.joint: list[tuple[list[dict[Any, Axis]], set]] = []
        self.contracted: list[Axis] = []
        self.taken: list[tuple[Axis, Axis]] = []
        self.reasons: dict[Node, str] = {}
        self.computed: dict[int, Computed] = {}
        self._of_images: set[fx.Node] = set()

    def run_node(self, node: fx.Node) -> Any:
        value = super().run_node(node)
        if node.op == "placeholder" or not self._of_images.isdisjoint(node.all_input_nodes):
            self._of_images.add(node)
        met, why = len(self.met), describe(node, self.module)
        if node.op == "call_module":
            for made in computed_by(self.module.get_submodule(node.target), node.target, value):
                self.computed[id(made.tensor)] = made
                why = f"the parametrisation of {made.name}" if made.norm_over is None else why
        try:
            self.labels[node] = self._label(node, value)
        except (InputError, AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            reason = str(error) if isinstance(error, InputError) else "its arguments are of an unknown form"
            what = f"the permutation symmetries of {describe(node, self.module)} cannot be derived"
            raise InputError(f"{what}: {reason}") from error
        involved = [self.labels[source] for source in (node, *node.all_input_nodes)]
        involved += [self.tensors[id(tensor)] for tensor in self.met[met:]]
        for axis in operations.flat(involved):
            for found in axes.atoms(axis):
                if found.fixed:
                    self.reasons.setdefault(found, why)
        return value

    def fix_left_over(self) -> None:
        """What slices leave over and nothing else reads stays in place: so do rows of a table for more steps."""
        axes_read = [taken for taken, _ in self.taken] + [axis for _, _, axis, _ in self.readings]
        read = {node for axis in axes_read for node in axes.atoms(axis)}
        for _, left in self.taken:
            for node in axes.atoms(left):
                if node not in read:
                    node.fixed = True
                    self.reasons.setdefault(node, "no part in the forward pass")

    def is_constant(self, argument: Any) -> bool:
        """Whether an argument is the same for all images."""
        return isinstance(argument, fx.Node) and argument not in self._of_images

    def parameter(self, tensor: Tensor) -> list[Axis]:
        if id(tensor) not in self.tensors:
            made = self.computed.get(id(tensor))
            self.tensors[id(tensor)] = self._made(made) if made else [axes.free_axis(size) for size in tensor.shape]
            self.met.append(tensor)
        return self.tensors[id(tensor)]

    def _made(self, made: Computed) -> list[Axis]:
        """Of a tensor that a layer computes from others: only of weight norm it is known how these are permuted."""
        sources = list(map(self.parameter, made.sources))
        if made.norm_over is None:
            for axis in operations.flat(sources):
                axes.fix(axis)
            return operations.all_fixed(made.tensor)
        self.joint.append(([dict(enumerate(sources[1]))], made.norm_over))
        return normed(*sources, made.norm_over)

    def _own(self, tensor: Tensor) -> list[Axis]:
        """Of a tensor of the network that its own code reads.

        A buffer of several dimensions is a table (angles, masks, coordinates) that all networks of a kind share: units
        could be permuted with it, but a mean of two networks would mix two orders of one table.
        """
        labels = self.parameter(tensor)
        if not isinstance(tensor, nn.Parameter) and sum(size > 1 for size in tensor.shape) > 1:
            for axis in labels:
                axes.fix(axis)
        return labels

    def _label(self, node: fx.Node, value: Any) -> Labels:
        if node.op == "placeholder":
            return operations.all_fixed(value)
        if node.op == "output":
            for labels in operations.flat(fx.node.map_arg(node.args[0], lambda argument: self.labels[argument])):
                axes.fix(labels)
            return None
        if node.op == "get_attr":
            return self._own(value) if isinstance(value, Tensor) else None
        if not _tensors(value):
            return None
        module = self.module.get_submodule(node.target) if node.op == "call_module" else None
        if id(value) in self.computed:
            return self.parameter(value)
        return rules.label(Call(self, node, module, name_of(node, module), value))


def _tensors(value: Any) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, tuple | list) and any(map(_tensors, value)))


def describe(node: fx.Node, module: nn.Module) -> str:
    """One operation of a trace, in words: its name, what it is, and in which part of the network and line it stands."""
    if node.op == "placeholder":
        return "the images"
    if node.op == "output":
        return "the logits"
    target = node.target
    what = type(module.get_submodule(target)).__name__ if node.op == "call_module" else target
    what = what if isinstance(what, str) else getattr(what, "__name__", type(what).__name__)
    path = next(reversed(node.meta.get("nn_module_stack", {"": None})), "")
    place = target if node.op == "call_module" else path
    line = node.meta.get("source", "")
    where = ", ".join(part for part in (f"in {place}" if place else "", line) if part)
    return f"node {node.name} ({what}{', ' if where else ''}{where})"
