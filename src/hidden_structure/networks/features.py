"""Activations of named layers, for any network: read by forward hooks, so the network needs to know nothing of it.

A layer is named as in `network.named_modules()` and stands for that module's output. Modules that one forward pass
calls several times (a shared ReLU) have one name a call: "relu:0", "relu:1", ... Two names are added:
"logits", the network's output, and "penultimate", the input of its head, flattened to (B, d).
"""

import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hidden_structure.frame.errors import InputError
from hidden_structure.networks.weights import check_precision, computed

LOGITS = "logits"
PENULTIMATE = "penultimate"


def head(network: nn.Module) -> nn.Linear:
    """The linear layer whose output is the logits: the last one registered.

    Raises InputError if the network has none. That its output really is the network's output can only be seen in a
    forward pass: `activations` checks it whenever "penultimate" is asked for.
    """
    linears = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not linears:
        raise InputError(f"network.name: {type(network).__name__} has no linear layer, hence no penultimate features")
    return linears[-1]


def head_tensors(network: nn.Module) -> dict[str, Tensor]:
    """The head's weight, and bias if it has one, as its forward pass uses them: what a parametrised one computes.

    Raises InputError as `head` does.
    """
    last = head(network)
    names = (name for name in ("weight", "bias") if getattr(last, name, None) is not None)
    return {name: computed(last, name).detach() for name in names}


def activations(network: nn.Module, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """What the layers put out for these images, in the order asked; the network's mode is left as it is.

    The tensors are copies (a later in-place ReLU or addition would overwrite an original) and part of the autograd
    graph: call it under torch.no_grad() where no gradient is wanted.

    Raises InputError if a layer is unknown, was not called, was called several times and is asked for without its
    number, or has an output other than one tensor; if "penultimate" is asked for and the network's output is not that
    of its last linear layer; or if the images are of another precision than the network.
    """
    check_precision(network, images.dtype)
    submodules = _submodules(network)
    module_of = {layer: _module_name(layer, submodules) for layer in layers if layer not in (LOGITS, PENULTIMATE)}
    calls: defaultdict[str, list[Tensor | None]] = defaultdict(list)

    def keep(name: str, module: nn.Module, inputs: tuple, output: Any) -> None:
        calls[name].append(output.clone() if isinstance(output, Tensor) else None)

    found: dict[str, Tensor] = {}
    ends: dict[str, Tensor] = {}  # what linear layers have put out at last

    def keep_input(name: str, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        if name == last:
            found[PENULTIMATE] = inputs[0].flatten(1).clone()
        ends[name] = output

    heads, last = {}, None
    if PENULTIMATE in layers:
        made_last = head(network)
        heads = {name: module for name, module in network.named_modules() if isinstance(module, nn.Linear)}
        last = next(name for name, module in heads.items() if module is made_last)
    with _hooked({name: submodules[name] for name in module_of.values()}, keep), _hooked(heads, keep_input):
        found[LOGITS] = network(images.clone())  # for networks that work in place
    if last is not None and ends.get(last) is not found[LOGITS]:
        own = next((name for name, output in ends.items() if output is found[LOGITS]), None)
        reason = "no linear layer's: let it put out what a linear layer gives, with nothing behind it"
        if own is not None:
            reason = f"that of {own}, and not of {last}, the linear layer made last: make its head after all others"
        raise InputError(f"network.name: the output of {type(network).__name__} is {reason}")
    for layer, name in module_of.items():
        found[layer] = _one_call(layer, name, calls[name])
    return {layer: found[layer] for layer in layers}


@torch.no_grad()
def extract(network: nn.Module, batches: Iterable[Tensor], layers: Sequence[str], samples: int) -> dict[str, Tensor]:
    """The layers' activations on all batches: name -> float32 CPU tensor (samples, ...).

    batches: float images (b, channels, H, W) where the network is, `samples` of them in all: with the number known,
    the outputs are the only memory that grows. The network runs in evaluation mode and gets its modes back.

    Raises InputError as `activations` does, or if a layer has its images elsewhere than along its first axis, and
    ValueError if the batches hold more or fewer images.
    """
    outputs: dict[str, Tensor] = {}
    end = 0
    with evaluation_mode(network):
        for images in batches:
            start, end = end, end + len(images)
            if end > samples:
                raise ValueError(f"the batches hold more than the {samples} images announced")
            for layer, values in activations(network, images, layers).items():
                if values.shape[:1] != images.shape[:1]:
                    held = f"{len(values)} of something along its first axis" if values.dim() else "one number"
                    what = f"{held} for {len(images)} images"
                    raise InputError(f"the output of {layer} holds {what}: name a layer that has its images there")
                if layer not in outputs:
                    outputs[layer] = torch.empty(samples, *values.shape[1:])
                outputs[layer][start:end] = values
    if end < samples:
        raise ValueError(f"the batches hold {end} images, not the {samples} announced")
    return outputs


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; each submodule's own mode after it, for some may have been frozen."""
    modes = [(module, module.training) for module in network.modules()]
    if any(training for _, training in modes):  # setting what is set already would cost small networks a forward pass
        network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            if module.training != training:
                module.training = training


@contextmanager
def _hooked(modules: Mapping[str, nn.Module], hook: Callable[[str, nn.Module, tuple, Any], None]) -> Iterator[None]:
    """hook(name, module, inputs, output) after each module's forward inside the block; all hooks removed after it."""

    def after(name: str, module: nn.Module, inputs: tuple, named: dict[str, Any], output: Any) -> None:
        hook(name, module, (*inputs, *named.values()), output)

    handles = [module.register_forward_hook(partial(after, name), with_kwargs=True) for name, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _submodules(network: nn.Module) -> dict[str, nn.Module]:
    return {name: module for name, module in network.named_modules() if name}


def _module_name(layer: str, submodules: Mapping[str, nn.Module]) -> str:
    name, _, call = layer.rpartition(":") if layer not in submodules else (layer, "", "0")
    if name in submodules and call.isdecimal():
        return name
    close = difflib.get_close_matches(layer, [*submodules, PENULTIMATE, LOGITS], n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"its layers are {', '.join(submodules)}"[:200]
    raise InputError(f"features.layers: the network has no layer {layer!r}: {hint}")


def _one_call(layer: str, name: str, outputs: list[Tensor | None]) -> Tensor:
    if layer == name and len(outputs) > 1:
        raise InputError(f"features.layers: {name} is called {len(outputs)} times: write {name}:0 or {name}:1 ...")
    call = 0 if layer == name else int(layer.rpartition(":")[2])
    if call >= len(outputs):
        raise InputError(f"features.layers: there is no {layer}: the network calls {name} {len(outputs)} times")
    if outputs[call] is None:
        raise InputError(f"features.layers: {layer} does not put out one tensor: name a layer inside or after it")
    return outputs[call]
