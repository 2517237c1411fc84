"""Several networks of one architecture, run in step through one graph of operations."""

import re
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, fx, nn

from hidden_structure.permutation.graphs import bind, traced

Values = dict[fx.Node, Any]  # what a network has computed and is still needed


class InStep:
    """Networks of one architecture, run operation by operation on the same images.

    What they compute at a place can be compared while all of it is at hand, in the cache at best, and every value is
    forgotten after its last use: memory is that of a few layers, whatever the number of layers.

        for node in in_step.start(images):
            outputs = in_step.advance(node)

    names: each node's own. A module has that of `features.py`, with ":0", ":1", ... where it is called several times;
    any other operation torch.fx's, with "()" where a module is called that.
    of_images: the nodes whose values depend on the images, which parameters and what is made of them alone do not.
    """

    def __init__(self, networks: Sequence[nn.Module], images: Tensor) -> None:
        """The networks are put into evaluation mode; images: a few, to see whether the graph is the network.

        Raises InputError as `traced` does.
        """
        self.networks = [network.eval() for network in networks]
        graph, constants = traced(networks[0], images)
        bound = [bind(network, graph, constants) for network in networks]
        self.module, self.nodes = bound[0], list(graph.nodes)
        self.names, self.of_images = _names(self.nodes), _of_images(self.nodes)
        # torch.fx's own interpreter looks every module up by its name at every call, which takes as long as a layer.
        self._calls = {node: [_call(node, module) for module in bound] for node in self.nodes}
        self._last_uses: dict[fx.Node, list[fx.Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            self._last_uses[max([node, *node.users], key=self.nodes.index)].append(node)
        self._values: list[Values] = [{} for _ in networks]

    def start(self, images: Tensor) -> Iterator[fx.Node]:
        """Every operation in its order; `advance` it before the next one is asked for."""
        places = [node for node in self.nodes if node.op == "placeholder"]
        self._values = [{node: images.clone() for node in places} for _ in self.networks]  # for operations in place
        for node in self.nodes:
            if node.op != "placeholder":
                yield node
                for values in self._values:
                    self._forget(node, values)

    @torch.no_grad()
    def outputs_of_first(self, images: Tensor) -> Values:
        """What every operation of the first network gives, as it is at the end: one in place has overwritten others."""
        found: Values = {}
        for node in self.nodes:
            if node.op == "placeholder":
                found[node] = images.clone()
            else:
                found[node] = self._calls[node][0](*_filled(node.args, found), **_filled(node.kwargs, found))
        return found

    def inputs(self, node: fx.Node) -> list[Any]:
        """The operation's first argument in each network; an operation in place overwrites it when it is advanced."""
        return [_filled(first_argument(node), values) for values in self._values]

    def advance(self, node: fx.Node) -> list[Any]:
        """What the operation gives in each network."""
        for call, values in zip(self._calls[node], self._values, strict=True):
            values[node] = call(*_filled(node.args, values), **_filled(node.kwargs, values))
        return [values[node] for values in self._values]

    def on(self, node: fx.Node, value: Tensor) -> Tensor:
        """What the first network's operation gives for another first argument, which it may overwrite."""
        values = self._values[0]
        others = {name: argument for name, argument in node.kwargs.items() if node.args or name != "input"}
        return self._calls[node][0](value, *_filled(node.args[1:], values), **_filled(others, values))

    def finish(self, lower: int, upper: int, node: fx.Node) -> Any:
        """What network `upper` puts out if everything up to this node, that included, was computed by `lower`.

        Everything of the images, that is: parameters that are read above are `upper`'s, wherever they were named first.
        """
        needed = {node: self._values[lower if node in self.of_images else upper][node] for node in self._values[lower]}
        # Copied for operations in place; what shares memory, as views do, still shares it.
        values = dict(zip(needed, deepcopy([*needed.values()]), strict=True))
        for later in self.nodes[self.nodes.index(node) + 1 :]:
            call = self._calls[later][upper]
            values[later] = call(*_filled(later.args, values), **_filled(later.kwargs, values))
            self._forget(later, values)
            node = later
        return values[node]

    def _forget(self, node: fx.Node, values: Values) -> None:
        for used in self._last_uses[node]:
            if used.op != "output":
                values.pop(used, None)


def function_of(node: fx.Node) -> str:
    """The name of the function or method that is called, in lower case and without underscores."""
    name = node.target.__name__ if callable(node.target) else node.target
    return name.replace("_", "").lower()


def first_argument(node: fx.Node) -> Any:
    return node.args[0] if node.args else node.kwargs["input"]


def _filled(arguments: Any, values: Values) -> Any:
    return fx.node.map_arg(arguments, values.__getitem__)


def _call(node: fx.Node, module: fx.GraphModule) -> Callable[..., Any]:
    if node.op == "call_module":
        return module.get_submodule(node.target)
    if node.op == "call_method":
        return lambda value, *others, **options: getattr(value, node.target)(*others, **options)
    if node.op == "get_attr":
        return partial(attrgetter(node.target), module)
    return (lambda value: value) if node.op == "output" else node.target


def _names(nodes: list[fx.Node]) -> dict[fx.Node, str]:
    targets = {node.target for node in nodes if node.op == "call_module"}
    called: dict[str, list[fx.Node]] = {}
    for node in nodes:
        other = f"{node.name}()" if node.name in targets else node.name
        called.setdefault(node.target if node.op == "call_module" else other, []).append(node)
    return {
        node: f"{name}:{index}" if len(own) > 1 else name
        for name, own in called.items()
        for index, node in enumerate(own)
    }


def _of_images(nodes: list[fx.Node]) -> set[fx.Node]:
    found: set[fx.Node] = set()
    for node in nodes:
        if node.op == "placeholder" or not found.isdisjoint(node.all_input_nodes):
            found.add(node)
            name = node.target if isinstance(node.target, str) else node.target.__name__
            if node.args and node.op in ("call_method", "call_function") and re.search(r"[^_]_$", name):
                found.add(node.args[0])  # an operation in place has written to it
    return found
