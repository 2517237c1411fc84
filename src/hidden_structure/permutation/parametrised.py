"""Tensors that a layer computes from others before each call, by torch.nn.utils.parametrize or the hooks before it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.weight_norm import WeightNorm

from hidden_structure.networks.weights import HOOKS
from hidden_structure.permutation import axes
from hidden_structure.permutation.axes import Axis


@dataclass(frozen=True, eq=False)
class Computed:
    """One of them. name: in the network. sources: what it is computed from, of weight norm the lengths and directions.

    norm_over: None unless it is made by weight norm alone, else the dimensions over which each vector has a length: all
    of them where the norm's own is -1.
    """

    name: str
    tensor: Tensor
    sources: list[Tensor]
    norm_over: set[int] | None


def computed_by(layer: nn.Module, name: str, value: Any) -> Iterator[Computed]:
    """What a layer of that name and its submodules have computed; to be called where parametrisations are cached.

    value: the layer's output, which it is itself where the network's own code reads a weight.
    """
    if isinstance(layer, ParametrizationList):
        yield _parametrised(layer, name.replace(".parametrizations", ""), value)
    for path, module in layer.named_modules(prefix=name):
        if parametrize.is_parametrized(module):
            for own, chain in module.parametrizations.items():
                yield _parametrised(chain, f"{path}.{own}", getattr(module, own))
        for hook in module._forward_pre_hooks.values():
            own = getattr(hook, "name", getattr(hook, "_tensor_name", None))
            if isinstance(hook, HOOKS) and isinstance(vars(module).get(own), Tensor):
                ends = ("_g", "_v") if isinstance(hook, WeightNorm) else ("_orig", "_mask", "_u", "_v")
                sources = [getattr(module, own + end) for end in ends if hasattr(module, own + end)]
                yield _computed(f"{path}.{own}", vars(module)[own], sources, hook)


def _parametrised(chain: ParametrizationList, name: str, tensor: Tensor) -> Computed:
    return _computed(name, tensor, [*chain.parameters(), *chain.buffers()], chain[0] if len(chain) == 1 else None)


def _computed(name: str, tensor: Tensor, sources: list[Tensor], how: Any) -> Computed:
    norm = isinstance(how, _WeightNorm | WeightNorm)
    return Computed(name, tensor, sources, {dim for dim in range(tensor.dim()) if dim != how.dim} if norm else None)


def normed(lengths: list[Axis], directions: list[Axis], over: set[int]) -> list[Axis]:
    """The axes of vectors of these lengths and directions: each length goes with its vector."""
    for dim, axis in enumerate(lengths):
        if dim not in over:
            axes.unify(axis, directions[dim])
    return directions
