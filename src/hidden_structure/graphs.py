"""A network as torch.fx's graph of its operations, and several networks run in step through one graph."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from operator import attrgetter
from typing import Any

from torch import Tensor, fx, nn

from hidden_structure.errors import InputError
from hidden_structure.features import evaluation_mode

Values = dict[fx.Node, Any]  # what a network has computed and is still needed


def trace(network: nn.Module) -> tuple[fx.Graph, dict[str, Tensor]]:
    """The operations of the network in evaluation mode, and the constants among them that no network holds.

    Raises InputError if torch.fx cannot trace it.
    """
    with evaluation_mode(network):
        try:
            graph = fx.symbolic_trace(network).graph
        except Exception as error:  # tracing runs the network's own code, which fails in its own ways
            reason = " ".join(str(error).split())
            raise InputError(f"{type(network).__name__} cannot be traced by torch.fx: {reason:.200}") from error
    constants = {name: value for name, value in vars(network).items() if name.startswith("_tensor_constant")}
    for name in constants:  # torch.fx puts constants of the code on the network, where they do not belong
        delattr(network, name)
    return graph, constants


def bind(network: nn.Module, graph: fx.Graph, constants: dict[str, Tensor]) -> fx.GraphModule:
    """The graph over this network's own modules and parameters, which are shared, not copied."""
    targets = {node.target for node in graph.nodes if node.op in ("call_module", "get_attr")}
    parts = {target: attrgetter(target)(network) for target in targets - constants.keys()}
    return fx.GraphModule(parts | constants, graph)


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

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        """Raises InputError if torch.fx cannot trace the networks, which are put into evaluation mode."""
        self.networks = [network.eval() for network in networks]
        graph, constants = trace(networks[0])
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

    def arguments(self, node: fx.Node) -> list[tuple]:
        """Of the operation, in each network; an operation in place overwrites them when it is advanced."""
        return [_filled(node.args, values) for values in self._values]

    def advance(self, node: fx.Node) -> list[Any]:
        """What the operation gives in each network."""
        for call, values in zip(self._calls[node], self._values, strict=True):
            values[node] = call(*_filled(node.args, values), **_filled(node.kwargs, values))
        return [values[node] for values in self._values]

    def on(self, node: fx.Node, value: Tensor) -> Tensor:
        """What the first network's operation gives for another first argument, which it may overwrite."""
        values = self._values[0]
        return self._calls[node][0](value, *_filled(node.args[1:], values), **_filled(node.kwargs, values))

    def finish(self, lower: int, upper: int, node: fx.Node) -> Any:
        """What network `upper` puts out if everything up to this node, that included, was computed by `lower`."""
        needed = self._values[lower]  # copied for operations in place; what shares memory, as views do, still shares it
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
    return found
