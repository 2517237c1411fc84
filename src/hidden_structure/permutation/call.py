"""One operation of a trace as its rule sees it: arguments by position or name, labels of those that are tensors.

A module of torch.nn and the function of that name look alike: a module's arguments are its attributes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from hidden_structure.frame.errors import InputError
from hidden_structure.permutation import axes, operations
from hidden_structure.permutation.axes import Axis
from hidden_structure.permutation.operations import Labels, Stacked


def torch_name(node: fx.Node) -> str:
    """An operation's name as torch spells it."""
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")


def name_of(node: fx.Node, module: nn.Module | None) -> str:
    """By which the tables of rules know an operation."""
    name = torch_name(node) if module is None else type(module).__name__.removeprefix("Parametrized")
    return name.replace("_", "").lower()


@dataclass(frozen=True, eq=False)
class Call:
    """tracer: what keeps the labels of all nodes. module: None where a function is called. value: what came out."""

    tracer: Any
    node: fx.Node
    module: nn.Module | None
    name: str
    value: Any

    def of(self, argument: Any) -> Labels:
        """The labels of an argument; None where it is no tensor. Slices with axes of their own are joined."""
        found = self.apart(argument)
        if isinstance(found, Stacked):
            found = self.tracer.labels[argument] = found.joined()
        return found

    def apart(self, argument: Any) -> Labels:
        """The same, with slices that have axes of their own."""
        return self.tracer.labels[argument] if isinstance(argument, fx.Node) else None

    def source(self, position: int = 0, *names: str) -> Any:
        """The node that an argument is; the first one has many names."""
        names = names if position else (*names, "input", "x", "query", "self")
        return self._argument(position, names, None)

    def get(self, position: int, *names: str, default: Any = None) -> Any:
        """The value of an argument that is no tensor."""
        if self.module is not None:
            return next((getattr(self.module, name) for name in names if hasattr(self.module, name)), default)
        found = self._argument(position, names, default)
        return fx.node.map_arg(found, lambda inner: self.tracer.env[inner])

    def labels(self, position: int = 0, *names: str) -> Labels:
        """The labels of an argument that is a tensor; None where there is none."""
        if self.module is not None and position:
            tensor = next((getattr(self.module, name, None) for name in names), None)
            return self.tracer.parameter(tensor) if isinstance(tensor, Tensor) else None
        return self.of(self.source(position, *names))

    def _argument(self, position: int, names: Iterable[str], default: Any) -> Any:
        found = self.node.args[position] if position < len(self.node.args) else default
        for name in names:
            found = self.node.kwargs.get(name, found)
        return found

    def along(self, terms: Sequence[dict[Any, Axis]], mixed: set) -> None:
        """The operation runs along these axes of its operands, alike where they share a key, and mixes some."""
        self.tracer.joint.append((list(terms), set(mixed)))

    def mix(self, labels: list[Axis], dims: int | Iterable[int]) -> list[Axis]:
        listed = [dims] if isinstance(dims, int) else dims
        self.along([dict(enumerate(labels))], {dim % len(labels) for dim in listed})
        return labels

    def together(self, equation: str, operands: list[list[Axis]], sources: Sequence[fx.Node]) -> list[Axis]:
        """An einsum of the operands; sources: the nodes that they are, where what is summed over is read there."""
        result, terms, mixed = operations.einsum(equation, operands)
        self.along(terms, mixed)
        for term, source in zip(terms, sources, strict=False):
            for dim, (letter, axis) in enumerate(term.items()):
                if letter in mixed and self.module is None and self.tracer.is_constant(source):
                    self.contract(axis)
                elif letter in mixed and isinstance(source, fx.Node):
                    self.read(source, dim)
        if self.module is not None:
            for axis in (axis for term in terms[1:] for letter, axis in term.items() if letter in mixed):
                self.contract(axis)
        return result

    def contract(self, axis: Axis) -> None:
        """Along this axis of a parameter products with activations are summed."""
        self.tracer.contracted.append(axis)

    def read(self, source: fx.Node, dimension: int) -> None:
        """A sum of products reads these activations."""
        if not self.tracer.is_constant(source):
            self.tracer.readings.append((source.name, dimension, self.of(source)[dimension], None))

    def unknown(self) -> Labels:
        """Of what commutes with nothing that is known; no harm where all that goes in is fixed.

        Raises InputError where it is not.
        """
        if self.module is not None:
            for tensor in (*self.module.parameters(), *self.module.buffers()):
                for axis in self.tracer.parameter(tensor):
                    axes.fix(axis)
        for argument in self.node.all_input_nodes:
            if self.tracer.is_constant(argument):  # a table of biases, made of parameters alone, stays as it is
                for axis in operations.flat(self.of(argument)):
                    axes.fix(axis)
            if not all(map(axes.is_fixed, operations.flat(self.of(argument)))):
                raise InputError("it is not known which permutations it commutes with")
        return operations.all_fixed(self.value)
