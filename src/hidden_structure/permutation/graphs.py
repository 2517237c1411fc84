"""A network as torch.fx's graph of its operations: traced, proven to be the network, bound to another's weights."""

import inspect
import re
import traceback
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from hidden_structure.frame.errors import InputError
from hidden_structure.networks.features import evaluation_mode
from hidden_structure.networks.weights import check_precision, copy_of, precision_of
from hidden_structure.permutation import sizes
from hidden_structure.permutation.sizes import Sized, Values, batches, parts

TORCH = str(Path(torch.__file__).parent)
CONTAINERS = (dict, OrderedDict, defaultdict, list, deque, set)


OPENED = (  # modules of torch.nn that are made of others, as a network of one's own is
    nn.Transformer,
    nn.TransformerEncoder,
    nn.TransformerEncoderLayer,
    nn.TransformerDecoder,
    nn.TransformerDecoderLayer,
)


class _Tracer(fx.Tracer):
    """Traces a network as it is called with images alone: torch.fx would make every argument an input.

    values: where given, what every operation gives, whose sizes are numbers to the network's code.
    """

    proxy_buffer_attributes = True  # else what is made of buffers would be a constant, the first network's for all

    def __init__(self, values: Values | None = None) -> None:
        super().__init__()
        self.values = values

    def create_node(self, *arguments: Any, **options: Any) -> fx.Node:
        node = super().create_node(*arguments, **options)
        node.meta["source"] = _written(
            (frame.f_code.co_filename, line, frame.f_code.co_name) for frame, line in traceback.walk_stack(None)
        )
        if self.values is not None and node.op != "output":
            self.values.add(node, self.root)
        return node

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return super().proxy(node) if self.values is None else Sized(node, self)

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return super().is_leaf_module(module, name) and not isinstance(module, OPENED)

    def call_module(self, module: nn.Module, forward: Callable[..., Any], args: tuple, kwargs: dict) -> Any:
        if _compiled(module, "it"):
            raise TypeError(_compiled(module, f"network.{self.path_of_module(module)}"))
        running = self.values is not None and self.values.running
        made_here = not any(module is other for other in self.root.modules())  # as in nn.Softmax(-1)(scores)
        if running or (made_here and not module.state_dict(keep_vars=True)):
            return forward(*args, **kwargs)
        return super().call_module(module, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, fx.Proxy]) -> Any:
        running = self.values is not None and self.values.running
        return attr_val if running else super().getattr(attr, attr_val, parameter_proxy_cache)

    def iter(self, obj: fx.Proxy) -> Iterator:
        found = None if self.values is None else parts(obj, self.values[obj.node])
        return super().iter(obj) if found is None else found

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        name = next(iter(inspect.signature(self.root.forward).parameters))
        return root_fn, [self.root, self.create_proxy("placeholder", name, (), {})]


def trace(network: nn.Module, images: Tensor | None = None) -> tuple[fx.Graph, dict[str, Tensor]]:
    """The operations of the network in evaluation mode, and the constants among them that no network holds.

    Its only input are the images; what else forward takes has its default. Where images are given, and it cannot be
    traced without, sizes that do not depend on how many images there are become numbers (`sizes.py`).

    Raises InputError if torch.fx cannot trace it, and says where.
    """
    if reason := _compiled(network, "network"):
        raise InputError(f"{type(network).__name__} cannot be traced by torch.fx: {reason}")
    _check_one_input(network)
    try:
        return _traced_by(_Tracer(), network)
    except InputError:
        if images is None:
            raise
    return _traced_by(_Tracer(Values(network, batches(images))), network)


def _traced_by(tracer: _Tracer, network: nn.Module) -> tuple[fx.Graph, dict[str, Tensor]]:
    before = set(vars(network))
    with _put_back(network):
        try:
            with evaluation_mode(network), torch.enable_grad():
                graph = tracer.trace(network)
        except Exception as error:  # tracing runs the network's own code, which fails in its own ways
            where, name = _place(tracer, error), type(network).__name__
            raise InputError(f"{name} cannot be traced by torch.fx: {_reason(error)}{where}") from error
        added = [name for name in vars(network) if name.startswith("_tensor_constant") and name not in before]
        constants = {name: vars(network)[name] for name in added}
    if any(constant.requires_grad for constant in constants.values()):
        raise InputError(
            f"{type(network).__name__} uses a parameter in a way that torch.fx does not see, so that it would be the "
            "same for all networks: read it as an attribute (self.weight) inside forward"
        )
    return graph, {name: constant.detach() for name, constant in constants.items()}


@contextmanager
def _put_back(network: nn.Module) -> Iterator[None]:
    """What the code within makes of the network's attributes, and of lists and dictionaries among them, is undone.

    torch.fx puts constants of the code on the network, and the network's code what stands for values in a trace.
    """
    kept: list[tuple[Any, Any]] = []
    seen: set[int] = set()

    def keep(value: Any) -> None:
        if type(value) in CONTAINERS and id(value) not in seen:  # others may have ways of their own
            seen.add(id(value))
            kept.append((value, copy(value)))
            for inner in list(value.values() if isinstance(value, dict) else value):
                keep(inner)
        elif isinstance(value, tuple):
            for inner in value:
                keep(inner)

    for module in network.modules():
        keep(vars(module))
    try:
        yield
    finally:
        for value, before in kept:
            value.clear()
            put = value.extend if isinstance(value, list | deque) else value.update
            put(before)


@torch.no_grad()
def traced(network: nn.Module, images: Tensor) -> tuple[fx.Graph, dict[str, Tensor]]:
    """As `trace`, of a network whose graph puts out what the network itself does for these images.

    images: (b, channels, H, W) as the network takes them, of its own device and type. They and the network are left as
    they are: what an operation in place would overwrite are copies.

    Raises InputError if torch.fx cannot trace the network, if the network cannot take the images, whose precision may
    be another, or does not put out one tensor, or if the two outputs differ by more than rounding.
    """
    check_precision(network, images.dtype)
    name, original, network = type(network).__name__, network, copy_of(network)
    given = f"images of shape {tuple(images.shape)} and type {images.dtype}".replace("torch.", "")
    graph, constants = trace(original, images)  # what its functions hold themselves is of it, not of a copy
    with evaluation_mode(network):
        try:
            expected = network(images.clone())
        except Exception as error:  # forward is the user's
            raise InputError(f"{name} cannot take {given} ({_reason(error)}): give it what it was made for") from error
        if not isinstance(expected, Tensor):
            kind = type(expected).__name__
            raise InputError(f"{name} puts out a {kind}, not one tensor: wrap it in a module that gives the logits")
        try:
            output = bind(network, graph, constants)(images.clone())
        except Exception as error:
            raise InputError(f"{name} cannot be run as torch.fx traces it: {_reason(error)}") from error
        if not _alike(output, expected):
            if not _alike(network(images.clone()), expected):
                raise InputError(f"{name} puts out something else each time: draw nothing in evaluation mode")
            raise InputError(
                f"{name} as torch.fx traces it puts out something else than by itself: let its forward consist of "
                "operations on tensors, without hooks, attributes it changes, or a forward of the instance's own"
            )
    return graph, constants


def _alike(output: Any, expected: Tensor) -> bool:
    """Up to rounding: half of the digits that the type has, of the largest value."""
    if not isinstance(output, Tensor) or output.shape != expected.shape or output.dtype != expected.dtype:
        return False
    if not expected.is_floating_point():
        return torch.equal(output, expected)
    finite = expected[expected.isfinite()].abs()
    largest = finite.max().item() if finite.numel() else 0.0
    rounding = torch.finfo(expected.dtype).eps ** 0.5 * largest
    return torch.allclose(output, expected, rtol=0.0, atol=rounding, equal_nan=True)


def _compiled(module: nn.Module, name: str) -> str:
    """Why a module has no code of its own to trace; empty where it has."""
    if isinstance(module, torch.jit.ScriptModule):
        return f"torch.jit has compiled {name}: give the module that it was made of"
    made_by_compile = type(module).__name__ == "OptimizedModule"
    return f"torch.compile has compiled {name}: give {name}._orig_mod" if made_by_compile else ""


def _check_one_input(network: nn.Module) -> None:
    try:
        inspect.signature(network.forward).bind(None)
    except TypeError as error:
        name = type(network).__name__
        raise InputError(
            f"{name} cannot be called with images alone, for its forward is {error}: wrap it in a module that can be"
        ) from error


def _reason(error: Exception) -> str:
    """What torch, or the network's code, has to say, in one line and without torch.fx's own words."""
    reason = " ".join(str(error).split()) or type(error).__name__
    reason = re.sub(r"( object)? at 0x[0-9a-f]+", "", reason)
    for words, plain in OPAQUE.items():
        if words in reason:
            return plain
    if "Proxy" in reason:
        plain = "" if re.fullmatch(r"Proxy\(\w+\)", reason) else f" ({reason:.120})"
        return f"Python code uses the value of what depends on the images or their shape{plain}"
    return reason if len(reason) <= 200 else f"{reason:.200}..."


OPAQUE = {  # what torch.fx says, and what it means
    "inputs to control flow": "a decision (if, while, assert, and, or) depends on values or the shape of the images",
    "cannot be iterated": "a loop, or an assignment to several names, runs over a tensor made of the images",
    "'len' is not supported": "len() of a tensor made of the images is taken: write its .shape[0]",
    "cannot be interpreted as an integer": "a Python number (of range, a list or a size) depends on the images",
    "already exists": "code reads a weight that a hook computes: use torch.nn.utils.parametrizations in its place",
    "not installed as a submodule": "a module is called that is no attribute of the network: register it",
}


def _place(tracer: fx.Tracer, error: Exception) -> str:
    """The submodule, and the line of the network's own code, in which tracing failed."""
    modules = [f"in {path}" for path, _ in list(tracer.module_stack.values())[-1:] if path]
    frames = reversed(traceback.extract_tb(error.__traceback__))
    line = _written((frame.filename, frame.lineno, frame.name) for frame in frames)
    found = ", ".join([*modules, *([f"at {line}"] if line else [])])
    return f" ({found})" if found else ""


def _written(frames: Iterable[tuple[str, int, str]]) -> str:
    """The innermost place, as file:line, that is neither torch's nor of tracing; none of what asks for a trace.

    frames: file, line and function, the innermost first.
    """
    for file, line, function in frames:
        if (file, function) == (__file__, _traced_by.__name__):
            break
        if file not in (__file__, sizes.__file__) and not file.startswith(TORCH) and Path(file).is_file():
            path = Path(file)
            return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{line}"
    return ""


def as_taken(network: nn.Module, images: Tensor) -> Tensor:
    """The images where the network is, in its precision; integers stay integers."""
    dtype = precision_of(network, images.dtype) if images.is_floating_point() else images.dtype
    return images.to(next(network.parameters(), images).device, dtype)


def read_by(graph: fx.Graph, network: nn.Module) -> dict[str, Tensor]:
    """The network's own tensors that operations of the graph read, by the names of these attributes."""
    targets = [node.target for node in graph.nodes if node.op == "get_attr"]
    targets = [target for target in targets if not target.startswith("_tensor_constant")]
    found = {target: attrgetter(target)(network) for target in targets}
    return {target: tensor for target, tensor in found.items() if isinstance(tensor, Tensor)}


def bind(network: nn.Module, graph: fx.Graph, constants: dict[str, Tensor]) -> fx.GraphModule:
    """The graph over this network's own modules and parameters, which are shared, not copied."""
    targets = {node.target for node in graph.nodes if node.op in ("call_module", "get_attr")}
    parts = {target: attrgetter(target)(network) for target in targets - constants.keys()}
    return fx.GraphModule(parts | constants, graph)
