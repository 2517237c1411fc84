"""Mean and standard deviation of every unit of a network, as it is and while layers before are being corrected."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain

import torch
from torch import Tensor, nn

from hidden_structure.connectivity.read_elsewhere import is_read_elsewhere
from hidden_structure.frame.errors import InputError
from hidden_structure.networks.features import evaluation_mode, head
from hidden_structure.networks.weights import check_precision

Units = dict[str, tuple[Tensor, Tensor]]  # layer -> mean and standard deviation of its units, float64 (units,)
Correct = Callable[[nn.Module, str, Tensor, Tensor, Tensor], Tensor]

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)
FEW = 2  # images, that tell what a network calls


def unit_statistics(network: nn.Module, batches: Iterable[Tensor]) -> Units:
    """Mean and standard deviation of every unit's output over samples and positions, in evaluation mode.

    Of every linear and convolutional layer that the forward pass calls, except the head; the moments of each batch are
    float32 or the network's own precision, and are merged, by size, in float64.

    batches: float (b, channels, H, W) where the network is.

    Raises InputError if there are none, or they are of another precision than the network.
    """
    return observe(network, *with_layers(network, batches))


def mean_statistics(units: Sequence[Units]) -> Units:
    """The mean over networks of their units' means, and of their standard deviations: of two, those halfway."""
    return {
        name: tuple(torch.stack(values).mean(0) for values in zip(*(own[name] for own in units), strict=True))
        for name in units[0]
    }


@torch.no_grad()
def with_layers(network: nn.Module, batches: Iterable[Tensor]) -> tuple[Iterator[Tensor], dict[str, nn.Module]]:
    """The batches, and the linear and convolutional layers that the network calls, which REPAIR corrects; not the head,
    whose units are the classes."""
    batches, outputs = iter(batches), dict[nn.Module, Tensor]()
    first = next(batches, None)
    if first is None:
        raise InputError("there are no images to take statistics from: give two or more")
    check_precision(network, first.dtype)
    with ExitStack() as stack:
        stack.enter_context(evaluation_mode(network))
        for module in network.modules():
            if isinstance(module, LAYERS):
                stack.callback(module.register_forward_hook(lambda own, _, out: outputs.update({own: out})).remove)
        logits = network(first[:FEW].clone())
    last = _head(network, outputs, logits, first[:FEW])
    layers = {name: module for name, module in network.named_modules() if module in outputs}
    return chain([first], batches), {name: layer for name, layer in layers.items() if layer is not last}


def _head(network: nn.Module, outputs: dict[nn.Module, Tensor], logits: Tensor, images: Tensor) -> nn.Linear:
    """The linear layer that puts out the logits; or what something behind it, as a softmax, makes the logits of."""
    called = {module: output for module, output in outputs.items() if isinstance(module, nn.Linear)}
    if found := [module for module, output in called.items() if output is logits]:
        return found[0]
    last = head(network)
    if last not in called and is_read_elsewhere(network, [last], nn.Module.parameters, images):  # by a function
        return last
    return next((module for module, output in reversed(called.items()) if output.shape == logits.shape), last)


@dataclass
class _Moments:
    """Of samples that come in parts, merged without cancellation (Chan, Golub, LeVeque 1979)."""

    count: int
    mean: Tensor  # float64 (units,)
    variance: Tensor  # float64 (units,), biased

    def merge(self, other: "_Moments") -> None:
        total = self.count + other.count
        share, apart = other.count / total, other.mean - self.mean
        self.variance += share * (other.variance - self.variance) + share * (1 - share) * apart.square()
        self.mean += share * apart
        self.count = total


@torch.no_grad()
def observe(
    network: nn.Module, batches: Iterable[Tensor], layers: dict[str, nn.Module], correct: Correct | None = None
) -> Units:
    """Each of these layers' statistics; what correct makes of a layer's output goes on in its place.

    correct gets the output as (positions, units) and its statistics over this batch.
    """
    found: dict[str, _Moments] = {}
    called: set[str] = set()  # in this pass

    def hook(name: str, module: nn.Module, inputs: tuple, output: Tensor) -> Tensor | None:
        values = output if isinstance(module, nn.Linear) else output.movedim(1, -1)
        flat = values.flatten(0, -2).to(torch.promote_types(values.dtype, torch.float32))
        mean = flat.mean(0)
        # Two sweeps over contiguous rows: several times faster than torch.var_mean, and as exact.
        moments = _Moments(len(flat), mean.cpu().double(), (flat - mean).square_().mean(0).cpu().double())
        corrected = None
        if correct is not None:
            if name in called:
                raise InputError(f"{name} is called several times in a pass, and REPAIR would scale all alike: copy it")
            called.add(name)
            corrected = correct(module, name, flat, moments.mean, moments.variance.sqrt()).to(output).view(values.shape)
            corrected = corrected if isinstance(module, nn.Linear) else corrected.movedim(-1, 1)
        if name in found:
            found[name].merge(moments)
        else:
            found[name] = moments
        return corrected

    with ExitStack() as stack:
        stack.enter_context(evaluation_mode(network))
        for name, module in layers.items():
            stack.callback(module.register_forward_hook(partial(hook, name)).remove)
        for images in batches:
            called.clear()
            network(images.clone())  # for networks that work in place
    return {name: (moments.mean, moments.variance.sqrt()) for name, moments in found.items()}
