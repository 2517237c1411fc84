"""A network's tensors as they are stored and as it computes with them: copied, loaded, and overwritten.

The two differ where a layer's weight is parametrised: by torch.nn.utils.parametrize, by the older hooks of weight_norm
and spectral_norm, or pruned.
"""

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from hidden_structure.frame.errors import InputError

HOOKS = (WeightNorm, SpectralNorm, BasePruningMethod)


def precision_of(network: nn.Module, otherwise: torch.dtype) -> torch.dtype:
    """The floating-point type of most of a network's parameters, which it takes images in; or otherwise.

    Raises InputError if a layer has yet to be told its sizes by images, as nn.LazyLinear has.
    """
    for name, module in network.named_modules():
        if any(map(is_lazy, chain(module.parameters(recurse=False), module.buffers(recurse=False)))):
            raise InputError(f"{name or type(network).__name__} has no sizes yet: run the network on images once first")
    counts = Counter[torch.dtype]()
    for own in network.parameters():
        if own.is_floating_point() or own.is_complex():
            counts[own.dtype.to_real()] += own.numel()
    return max(counts, key=counts.__getitem__, default=otherwise)


def check_precision(network: nn.Module, images: torch.dtype) -> None:
    """Raises InputError if images of this type are floating-point, but not of the network's precision."""
    own = precision_of(network, images)
    if images.is_floating_point and own != images:
        name, own, given = type(network).__name__, *(str(dtype).removeprefix("torch.") for dtype in (own, images))
        raise InputError(
            f"{name} computes in {own}, but its images are {given}: give both one precision, as network.float() does"
        )


def check_is_state(state: Any, names: Iterable[str] = ()) -> None:
    """Raises InputError unless it maps names, these among them, to tensors, as a network's state_dict() does."""
    if not isinstance(state, Mapping):
        raise InputError(f"a state dict is asked for, got {type(state).__name__}: give network.state_dict()")
    for name in names:
        if name in state and not isinstance(state[name], Tensor):
            kind = type(state[name]).__name__
            raise InputError(f"a state dict holds tensors, but {name} is {kind}: give network.state_dict()")


def refuse_not_finite(*states: Mapping[str, Tensor]) -> None:
    """Raises InputError, which names the tensor, if one holds NaN or infinity."""
    for state in states:
        tensors = [(name, tensor) for name, tensor in state.items() if isinstance(tensor, Tensor)]  # some hold more
        if broken := [name for name, tensor in tensors if not tensor.isfinite().all()]:
            raise InputError(f"{broken[0]} of the networks holds NaN or infinity: did a training diverge?")


def load_state(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put stored tensors into the network.

    They are taken to be written by this network's code: files keep no versions of a state dict's layout, which some
    modules, as those of torchvision's mnasnet, ask for.

    Raises InputError if they are no state dict, or the tensors are of another architecture.
    """
    check_is_state(tensors)
    try:
        network.load_state_dict(as_state(tensors, network.state_dict()))
    except RuntimeError as error:  # names every tensor that does not fit
        raise InputError(f"the state is of another architecture than the network: {error!s:.200}") from error


def as_state(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as a state dict with the versions of another, if that has any."""
    state = OrderedDict(tensors)
    if hasattr(like, "_metadata"):
        state._metadata = like._metadata
    return state


def copy_of(network: nn.Module) -> nn.Module:
    """A deep copy; what is part of a graph of gradients, which deepcopy refuses, is copied by value.

    Such are weights that hooks computed from parameters, and what the network's own code keeps of a forward pass.
    """
    values = [value for module in network.modules() for value in _tensors_in(vars(module), set())]
    return deepcopy(network, {id(value): value.detach().clone() for value in values if not value.is_leaf})


def _tensors_in(value: Any, seen: set[int]) -> Iterator[Tensor]:
    """All tensors in nested containers, which may hold themselves."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping | list | tuple | set | frozenset | deque) and id(value) not in seen:
        seen.add(id(value))
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors_in(inner, seen)


def overlapping(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    """Names of every two tensors that are not one, but of which some entries lie in the same memory."""
    names = {id(tensor): name for name, tensor in reversed(tensors.items())}  # the first one of each tensor
    found = defaultdict(list)
    for name in names.values():
        if (place := _memory(tensors[name])) is not None:
            found[tensors[name].device].append((*place, name))
    for places in map(sorted, found.values()):
        for index, (_, end, one) in enumerate(places):
            for later in range(index + 1, len(places)):
                start, _, other = places[later]
                if start >= end:
                    break
                if _meet(tensors[one], tensors[other]):
                    yield tuple(name for name in tensors if name in (one, other))


def _memory(tensor: Tensor) -> tuple[int, int] | None:
    """The addresses of a tensor's first byte and behind its last; None where it has no memory of its own."""
    if tensor.layout != torch.strided or tensor.is_meta or not tensor.numel():
        return None
    start = tensor.data_ptr()
    if not start:  # of what is made of other tensors
        return None
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    return start, start + tensor.itemsize * (1 + sum((size - 1) * stride for size, stride in steps))


def _meet(one: Tensor, other: Tensor) -> bool:
    """Whether tensors whose memory overlaps have an entry in common: columns of one matrix have none."""
    places = [_memory(tensor) for tensor in (one, other)]
    start, size = min(place[0] for place in places), one.itemsize
    if size != other.itemsize or any((place[0] - start) % size for place in places):
        return True
    entries = torch.arange((max(place[1] for place in places) - start) // size)
    first, second = (
        entries.as_strided(tensor.shape, tensor.stride(), (place[0] - start) // size).flatten()
        for tensor, place in zip((one, other), places, strict=True)
    )
    taken = torch.zeros(len(entries), dtype=torch.bool)
    taken[first] = True
    return bool(taken[second].any())


def computed(layer: nn.Module, name: str) -> Tensor:
    """The layer's tensor of that name ("weight", "bias") as its next forward pass uses it, in evaluation mode."""
    if name in vars(layer):  # a hook puts it there before each pass
        for hook in layer._forward_pre_hooks.values():
            if isinstance(hook, HOOKS):
                hook(layer, ())
    return getattr(layer, name)


@torch.no_grad()
def writer(layer: nn.Module, name: str, scale: Tensor, shift: Tensor | None = None) -> Callable[[], None] | None:
    """What makes a layer compute with its present tensor times scale, plus shift; None if nothing does.

    A parametrisation may not have such a value among its own: spectral_norm's weights all have the norm 1. So each way
    is tried on a copy of the layer first, in evaluation mode.

    scale, shift: of shapes that go with the tensor's, such as (units, 1) with a linear layer's weight.
    """

    def change(tensor: Tensor) -> Tensor:
        tensor.mul_(scale)
        return tensor if shift is None else tensor.add_(shift)

    if layer._parameters.get(name) is not None:
        return partial(change, getattr(layer, name))
    wanted = change(computed(copy_of(layer).eval(), name).clone())
    ways = [
        lambda layer: change(_stored(layer, name)),  # weight_norm's lengths, or a tensor to be masked
        lambda layer: setattr(layer, name, wanted),  # through the parametrisation's right inverse
    ]
    for way in ways:
        trial = copy_of(layer).eval()
        try:
            way(trial)
            found = computed(trial, name)
        except (RuntimeError, NotImplementedError, AttributeError, TypeError, ValueError):
            continue  # shapes that do not fit, no right inverse, or one that does not know the value
        if torch.allclose(found, wanted, rtol=1e-4, atol=1e-6 * wanted.abs().max().item()):
            return partial(way, layer)
    return None


def _stored(layer: nn.Module, name: str) -> Tensor:
    """The first of the parameters from which a tensor is computed."""
    if parametrize.is_parametrized(layer, name):
        found = layer.parametrizations[name]
        return found.original if hasattr(found, "original") else found.original0
    return getattr(layer, f"{name}_orig") if hasattr(layer, f"{name}_orig") else getattr(layer, f"{name}_g")
