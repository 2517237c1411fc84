"""The names that `features.activations` takes, for the tests that go through all layers of a network."""

from collections import Counter
from functools import partial

import torch
from torch import Tensor, nn


@torch.no_grad()
def layer_names(network: nn.Module, images: Tensor) -> list[str]:
    """Every layer of a network in evaluation mode whose output is a tensor, in order of execution."""
    names: list[str] = []

    def note(name: str, module: nn.Module, inputs: tuple, output: object) -> None:
        if isinstance(output, Tensor):
            names.append(name)

    modules = [(name, module) for name, module in network.named_modules() if name]
    handles = [module.register_forward_hook(partial(note, name)) for name, module in modules]
    network(images.clone())
    for handle in handles:
        handle.remove()
    calls, seen = Counter(names), Counter[str]()
    for index, name in enumerate(names):
        if calls[name] > 1:
            names[index] = f"{name}:{seen[name]}"
            seen[name] += 1
    return names
