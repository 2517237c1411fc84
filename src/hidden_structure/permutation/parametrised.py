"""Tensors that a layer computes from others before each call, by torch.nn.utils.parametrize or the hooks before it."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.weight_norm import WeightNorm

from hidden_structure.networks.weights import HOOKS
from hidden_structure.permutation import axes
from hidden_structure.permutation.axes import Axis


@dataclass(frozen=True, eq=False)
class Computed:
    """One of them. name: in the layer. sources: what it is computed from, of weight norm the lengths and directions.

    norm_over: None unless it is made by weight norm alone, else the dimensions over which each vector has a length.
    """

    name: str
    tensor: Tensor
    sources: list[Tensor]
    norm_over: set[int] | None


def computed_by(layer: nn.Module) -> Iterator[Computed]:
    """What a layer and its submodules have computed; to be called where parametrisations are cached."""
    for path, module in layer.named_modules():
        if parametrize.is_parametrized(module):
            for name, chain in module.parametrizations.items():
                norm = chain[0] if len(chain) == 1 and isinstance(chain[0], _WeightNorm) else None
                sources = [*chain.parameters(), *chain.buffers()]
                yield _computed(path, name, getattr(module, name), sources, norm)
        for hook in module._forward_pre_hooks.values():
            name = getattr(hook, "name", getattr(hook, "_tensor_name", None))
            if isinstance(hook, HOOKS) and isinstance(vars(module).get(name), Tensor):
                norm, ends = (
                    (hook, ("_g", "_v")) if isinstance(hook, WeightNorm) else (None, ("_orig", "_mask", "_u", "_v"))
                )
                sources = [getattr(module, name + end) for end in ends if hasattr(module, name + end)]
                yield _computed(path, name, vars(module)[name], sources, norm)


def _computed(
    path: str, name: str, tensor: Tensor, sources: list[Tensor], norm: _WeightNorm | WeightNorm | None
) -> Computed:
    over = None if norm is None else {dim for dim in range(tensor.dim()) if dim != norm.dim}  # -1: over all
    return Computed(f"{path}.{name}" if path else name, tensor, sources, over)


def normed(lengths: list[Axis], directions: list[Axis], over: set[int]) -> list[Axis]:
    """The axes of vectors of these lengths and directions: each length goes with its vector."""
    for dim, axis in enumerate(lengths):
        if dim not in over:
            axes.unify(axis, directions[dim])
    return directions
