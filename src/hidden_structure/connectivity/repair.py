"""REPAIR: give an averaged network back the statistics that averaging took from its units.

Jordan et al., ICLR 2023, arXiv 2211.08403: the units of an interpolated network vary less than those of its ends, the
more the deeper the layer. Networks with BatchNorm get its statistics recomputed; in others every unit is rescaled to
the interpolation of the ends' means and standard deviations.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hidden_structure.connectivity.line import Repair, State
from hidden_structure.connectivity.read_elsewhere import refuse_read_elsewhere
from hidden_structure.connectivity.unit_statistics import (
    FEW,
    TRANSPOSED,
    Units,
    mean_statistics,
    observe,
    unit_statistics,
    with_layers,
)
from hidden_structure.frame.errors import InputError
from hidden_structure.networks.features import evaluation_mode
from hidden_structure.networks.weights import check_precision, load_state, overlapping, writer
from hidden_structure.training.batches import Images, check_images
from hidden_structure.training.device import autocast

BATCH_SIZE = 500  # part of the method: statistics of a batch stand in for those of all images while they are found
RESOLUTION = 1e-6  # a unit that varies by less than this share of its mean is dead: what varies is float32's rounding


def has_batch_norm(network: nn.Module) -> bool:
    """Whether the network has running statistics that can be recomputed."""
    return bool(_batch_norms(network))


@torch.no_grad()
def recompute_batch_norm(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace every BatchNorm's running statistics by the averages over these batches, in place.

    Each batch counts by its size: running_mean becomes the mean over all samples, running_var the average of the
    batches' unbiased variances; of a BatchNorm that is called several times in a pass, over all its calls. Every
    BatchNorm sees inputs that those before it have normalised by their batch, as in training; everything else is in
    evaluation mode, and modes and momenta are put back, also after an error.

    batches: float (b, channels, H, W) where the network is.

    Raises InputError if a batch is too small to have a variance; and, changing nothing, if there are none, they are of
    another precision than the network, or running statistics are read outside of their BatchNorm or share memory.
    """
    norms, batches = _batch_norms(network), iter(batches)
    if (first := next(batches, None)) is None:
        raise InputError("there are no images to recompute statistics from: give two or more")
    check_precision(network, first.dtype)
    named = {name: module for name, module in network.named_modules() if module in norms}
    refuse_read_elsewhere(network, named, lambda norm: (norm.running_mean, norm.running_var), first[:FEW])
    changed = {id(own) for norm in norms for own in (norm.running_mean, norm.running_var)}
    _refuse_shared_memory(network, changed, "recompute")
    momenta = [norm.momentum for norm in norms]
    counts = Counter[_BatchNorm]()  # what each has seen itself: one that is called twice in a pass sees more

    def count_in(norm: _BatchNorm, inputs: tuple, named: dict[str, Tensor]) -> None:
        (values,) = (*inputs, *named.values())
        counts[norm] += len(values)
        norm.momentum = len(values) / counts[norm]

    with ExitStack() as stack:
        stack.enter_context(evaluation_mode(network))
        for norm, momentum in zip(norms, momenta, strict=True):
            stack.callback(setattr, norm, "momentum", momentum)
            stack.callback(norm.register_forward_pre_hook(count_in, with_kwargs=True).remove)
            norm.reset_running_stats()
            norm.training = True
        for images in chain([first], batches):
            if len(images) < 2:
                raise InputError("a single image has no variance: give two or more")
            network(images.clone())  # for networks that work in place


@torch.no_grad()
def rescale(network: nn.Module, batches: Iterable[Tensor], units_a: Units, units_b: Units, alpha: float) -> None:
    """Give the units of the interpolated network the interpolated means and standard deviations, in place.

    In one pass each layer's output gets the target statistics before it goes on, batch by batch, so that later layers
    see what they will see; the correction by the statistics of all batches then goes into weights and biases, like the
    paper's BatchNorm layers once they are fused. A layer without bias keeps its means (times the scale), and dead
    units stay as they are.

    Raises InputError as `rescale_to`.
    """
    targets = {
        name: tuple(torch.lerp(start, end, alpha) for start, end in zip(units_a[name], units_b[name], strict=True))
        for name in units_a
    }
    rescale_to(network, batches, targets)


@torch.no_grad()
def rescale_to(network: nn.Module, batches: Iterable[Tensor], targets: Units) -> None:
    """Give the units of a merged network these means and standard deviations, in place, as `rescale` does.

    Raises InputError, and changes nothing, if layers share a parameter, one is called several times in a pass, or its
    weight or bias is read outside of it, for they would need several scales; or if a parametrised weight cannot take
    the rescaled value.
    """
    batches, layers = with_layers(network, batches)
    _refuse_shared(network, layers)
    first = next(batches)
    batches = chain([first], batches)
    refuse_read_elsewhere(network, layers, _stored, first[:FEW])

    def correct(module: nn.Module, name: str, outputs: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        scale, shift = (part.to(outputs) for part in _correction(module, (mean, std), targets[name]))
        return outputs * scale + shift

    writers = []
    statistics = observe(network, batches, layers, correct)
    with evaluation_mode(network):  # in training, spectral_norm changes whenever its weight is looked at
        for name, found in statistics.items():
            layer = layers[name]
            scale, shift = (part.to(layer.weight) for part in _correction(layer, found, targets[name]))
            writers.append(writer(layer, "weight", _for_weight(layer, scale)))
            if layer.bias is not None:
                writers.append(writer(layer, "bias", scale, shift))
            if None in writers:
                raise InputError(
                    f"{name} cannot be rescaled, for its parametrisation does not allow the values: remove it from the "
                    "networks first (torch.nn.utils.parametrize.remove_parametrizations), or leave out their repair"
                )
    for write in writers:
        write()


def repairer(
    network: nn.Module, a: State, b: State, images: Images, precision: torch.dtype, batch_size: int = BATCH_SIZE
) -> Repair:
    """What repairs this network at every alpha between two states; needs an alpha unless `has_batch_norm`.

    The ends' statistics are measured here, once; the network is left at b.

    a, b: other tensors than the network's own, which are overwritten.
    images: the training images that the statistics come from.

    Raises InputError if the images are too few for a variance; the repair, as what it calls does.
    """
    batches = partial(_parts, images, batch_size)
    units_a, units_b = _measured(network, (a, b), images, precision, batch_size)

    def repair(network: nn.Module, alpha: float | None) -> None:
        with autocast(images.pixels.device, precision):
            if has_batch_norm(network):
                recompute_batch_norm(network, batches())
            else:
                rescale(network, batches(), units_a, units_b, alpha)

    return repair


def repair_mean(
    network: nn.Module,
    mean: State,
    states: Sequence[State],
    images: Images,
    precision: torch.dtype,
    batch_size: int = BATCH_SIZE,
) -> None:
    """Make the network the mean of several, with REPAIR: its BatchNorm's statistics recomputed, or every unit rescaled
    to the means over those networks of its mean and its standard deviation.

    mean, states: other tensors than the network's own, which are overwritten. images: as of `repairer`.

    Raises InputError as `repairer` and its repair.
    """
    units = _measured(network, states, images, precision, batch_size)
    load_state(network, mean)
    with autocast(images.pixels.device, precision):
        if has_batch_norm(network):
            recompute_batch_norm(network, _parts(images, batch_size))
        else:
            rescale_to(network, _parts(images, batch_size), mean_statistics(units))


def _parts(images: Images, batch_size: int) -> Iterator[Tensor]:
    """Batches of equal size, or nearly: a last one of a single image would have no variance."""
    for pixels in images.pixels.tensor_split(-(-len(images.pixels) // batch_size)):
        yield images.normalise(pixels)


def _measured(
    network: nn.Module, states: Sequence[State], images: Images, precision: torch.dtype, batch_size: int
) -> list[Units]:
    """The statistics of each state's units, which a network with BatchNorm needs none of."""
    check_images(images)
    if len(images.pixels) < 2:
        raise InputError("a single image has no variance: give two or more")
    if has_batch_norm(network):
        return [{} for _ in states]
    found = []
    for state in states:
        load_state(network, state)
        with autocast(images.pixels.device, precision):
            found.append(unit_statistics(network, _parts(images, batch_size)))
    return found


def _batch_norms(network: nn.Module) -> list[_BatchNorm]:
    return [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]


def _stored(layer: nn.Module) -> list[Tensor]:
    """The tensors that a layer computes with: its parameters, and what a hook makes of them before each call."""
    return [*layer.parameters(), *(value for value in vars(layer).values() if isinstance(value, Tensor))]


def _refuse_shared(network: nn.Module, layers: dict[str, nn.Module]) -> None:
    names: dict[int, str] = {}
    for name, module in network.named_modules():
        for parameter in module.parameters(recurse=False):
            other = names.setdefault(id(parameter), name)
            if other != name and {name, other} & layers.keys():
                raise InputError(
                    f"{other} and {name} share a parameter, and REPAIR would scale it for both: give each its own"
                )
    corrected = {id(tensor) for layer in layers.values() for tensor in layer.parameters()}
    _refuse_shared_memory(network, corrected, "scale")


def _refuse_shared_memory(network: nn.Module, changed: set[int], change: str) -> None:
    """changed: identities of the tensors that a repair changes."""
    tensors = dict(chain(network.named_parameters(), network.named_buffers()))
    for one, other in overlapping(tensors):
        if changed & {id(tensors[one]), id(tensors[other])}:
            raise InputError(
                f"{one} and {other} share memory, and REPAIR would {change} them for both: give each its own"
            )


def _for_weight(layer: nn.Module, scale: Tensor) -> Tensor:
    """A number a unit, in a shape that goes with the layer's weight; units of a transposed convolution lie along the
    second axis of that, those of each group beside each other."""
    beyond = [1] * (layer.weight.dim() - 2)
    if not isinstance(layer, TRANSPOSED):
        return scale.view(-1, 1, *beyond)
    inputs = len(layer.weight) // layer.groups
    return scale.view(layer.groups, 1, -1).expand(-1, inputs, -1).reshape(len(layer.weight), -1, *beyond)


def _correction(
    layer: nn.Module, statistics: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """(scale, shift) that give a layer's units the target mean and standard deviation; 1 and 0 for a dead one."""
    (mean, std), (target_mean, target_std) = statistics, target
    alive = std > RESOLUTION * mean.abs()
    scale = torch.where(alive, target_std / std, 1.0)
    shift = torch.where(alive, target_mean - mean * scale, 0.0)
    return scale, shift if layer.bias is not None else torch.zeros_like(shift)
