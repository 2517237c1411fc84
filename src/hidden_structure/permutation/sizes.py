"""Tracing where the network's code needs numbers: sizes that do not depend on how many images there are.

The network runs beside its trace on two batches of different sizes. A size that is the same in both is a number in its
code, for a loop, a decision or `torch.arange`; one that differs stays a part of the trace.
"""

import operator
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, fx, nn

from hidden_structure.networks.weights import copy_of


class Sized(fx.Proxy):
    """What stands for a value while a network is traced, with the sizes that are known."""

    @property
    def shape(self) -> tuple[Any, ...]:
        sizes = known_sizes(self.tracer.values[self.node])
        whole = fx.Proxy.__getattr__(self, "shape")
        if sizes is None:
            return whole
        return tuple(whole[dim] if size is None else size for dim, size in enumerate(sizes))

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        return len(self.shape)

    ndimension = dim
    ndim = property(dim)
    is_nested = False

    @property
    def device(self) -> Any:
        value = self.tracer.values[self.node][0]
        return value.device if isinstance(value, Tensor) else fx.Proxy.__getattr__(self, "device")

    @property
    def dtype(self) -> Any:
        """Itself, which torch.finfo and what makes new tensors ask for."""
        types = {getattr(value, "dtype", None) for value in self.tracer.values[self.node]}
        return types.pop() if len(types) == 1 and None not in types else fx.Proxy.__getattr__(self, "dtype")

    def __len__(self) -> int:
        value = self.tracer.values[self.node][0]
        if isinstance(value, tuple | list):
            return len(value)
        sizes = known_sizes(self.tracer.values[self.node])
        return sizes[0] if sizes and sizes[0] is not None else super().__len__()


class Values:
    """What each node of a growing graph gives, for every one of several batches."""

    def __init__(self, network: nn.Module, batches: tuple[Tensor, ...]) -> None:
        self.network, self.batches = copy_of(network), batches
        self.running = False
        self._found: dict[fx.Node, tuple[Any, ...]] = {}

    def __getitem__(self, node: fx.Node) -> tuple[Any, ...]:
        return self._found[node]

    @torch.no_grad()
    def add(self, node: fx.Node, root: nn.Module) -> None:
        """Run one operation, in the order of the trace; root: holds the constants of the code."""
        self.running = True  # the network's modules are traced no further than here
        try:
            self._found[node] = tuple(self._run(node, root, batch) for batch in range(len(self.batches)))
        finally:
            self.running = False

    def _run(self, node: fx.Node, root: nn.Module, batch: int) -> Any:
        def known(argument: Any) -> Any:
            return fx.node.map_arg(argument, lambda source: self._found[source][batch])

        if node.op == "placeholder":
            return self.batches[batch].clone()  # operations may work in place
        if node.op == "get_attr":
            own = "constant" in node.target and hasattr(root, node.target)
            return attrgetter(node.target)(root if own else self.network)
        arguments, options = known(node.args), known(node.kwargs)
        if node.op == "call_function":
            return node.target(*arguments, **options)
        if node.op == "call_method":
            return getattr(arguments[0], node.target)(*arguments[1:], **options)
        return self.network.get_submodule(node.target)(*arguments, **options)


def known_sizes(values: tuple[Any, ...]) -> list[int | None] | None:
    """The sizes of a tensor, None where they depend on the number of images; None of what is no tensor."""
    if not all(isinstance(value, Tensor) for value in values):
        return None
    found = zip(*(value.shape for value in values), strict=True)
    return [each[0] if len(set(each)) == 1 else None for each in found]


def batches(images: Tensor) -> tuple[Tensor, Tensor]:
    """The images, and more of them."""
    return images, torch.cat([images, images, images[:1]])


def parts(proxy: fx.Proxy, values: tuple[Any, ...]) -> Iterator[fx.Proxy] | None:
    """What a loop over a tuple, or over a tensor of known length, runs over."""
    length = len(values[0]) if isinstance(values[0], tuple | list) else (known_sizes(values) or [None])[0]
    return None if length is None else iter([operator.getitem(proxy, index) for index in range(length)])
