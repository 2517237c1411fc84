"""Batches from a data set held whole, as bytes, in the device's memory: no DataLoader, no per-image Python."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from hidden_structure.frame.arrays import Array, array_of, tensor_of, whole_numbers
from hidden_structure.frame.errors import InputError
from hidden_structure.networks.features import evaluation_mode
from hidden_structure.networks.weights import check_precision
from hidden_structure.training.device import autocast, memory_format

# Gathered and augmented at once: large enough that a batch costs no Python of its own, small enough to stay in cache,
# or to leave a GPU its memory.
CHUNK_VALUES = {"cpu": 2**19, "cuda": 2**25, "mps": 2**24}
CACHE = {"cpu": 2**22, "cuda": 2**28, "mps": 2**26}  # bytes of the largest values that a batch makes in a network
FEWEST, MOST = 64, 500  # images at once


@dataclass(frozen=True)
class Images:
    """One split of a data set: pixels uint8 (N, H, W, channels), the statistics that normalise them, and the layout in
    memory of what a network gets."""

    pixels: Tensor
    scale: Tensor  # float32 (channels,): 1 / (255 std)
    shift: Tensor  # float32 (channels,): -mean / std
    memory_format: torch.memory_format = torch.channels_last

    def normalise(self, pixels: Tensor) -> Tensor:
        """uint8 (n, H, W, channels) to float32 (n, channels, H, W), mean 0 and variance 1."""
        normalised = pixels.to(torch.float32).mul_(self.scale).add_(self.shift).permute(0, 3, 1, 2)
        return normalised.contiguous(memory_format=self.memory_format)


def on_device(pixels: Array, mean: Array, std: Array, device: torch.device) -> Images:
    """pixels uint8 (N, H, W, channels); mean and std (channels,) of pixels scaled to [0, 1].

    Raises InputError if they are not: networks would be given other images than they have learnt.
    """
    pixels = tensor_of("pixels", pixels)
    if pixels.dtype != torch.uint8 or pixels.dim() != 4:
        raise InputError(
            f"pixels must be uint8 (N, H, W, channels), as files hold them, got {pixels.dtype} {tuple(pixels.shape)}"
        )
    mean, std = array_of("mean", mean), array_of("std", std)
    if not mean.shape == std.shape == pixels.shape[3:]:
        raise InputError(
            f"mean and std must be one number for each of the {pixels.shape[3]} channels, the last axis of the pixels, "
            f"got {mean.shape} and {std.shape}"
        )
    if not ((mean >= 0) & (mean <= 1) & (std > 0)).all():
        raise InputError(f"mean and std must be of pixels scaled to [0, 1], std above 0, got {mean} and {std}")
    scale, shift = torch.from_numpy(1 / (255 * std)), torch.from_numpy(-mean / std)
    return Images(pixels.to(device), scale.float().to(device), shift.float().to(device))


def check_images(images: Any) -> None:
    """Raises InputError unless they are `Images`."""
    if not isinstance(images, Images):
        made = "give what on_device of hidden_structure.training.batches makes of pixels"
        raise InputError(f"images must be Images, got {type(images).__name__}: {made}")


def as_split(name: str, split: tuple[Images, Array]) -> tuple[Images, Tensor]:
    """The same, its labels a tensor int64 (N,) where the images are.

    Raises InputError unless there is a label for each of one image or more.
    """
    images, labels = split
    check_images(images)
    labels = tensor_of(f"{name}: labels", labels)
    count = len(labels) if labels.ndim else 0
    if not count or count != len(images.pixels):
        raise InputError(f"{name}: got {count} labels of {len(images.pixels)} images: give one of each or more")
    return images, whole_numbers(f"{name}: labels", labels, count).to(images.pixels.device)


def check_takes(network: nn.Module, images: Images) -> None:
    """Raises InputError if the network computes in another precision than its images will have."""
    check_precision(network, images.normalise(images.pixels[:1]).dtype)


def laid_out_for(network: nn.Module, images: Images) -> Images:
    """The same images, for a network that is trained on them."""
    return replace(images, memory_format=memory_format(network, images.pixels.device))


def evaluation_batches(images: Images, batch_size: int) -> Iterator[Tensor]:
    """Every image once, in order, normalised and unaugmented: float32 (b, channels, H, W)."""
    for pixels in images.pixels.split(batch_size):
        yield images.normalise(pixels)


def check_labels(labels: Tensor, classes: int, name: str = "the images") -> None:
    """Raises InputError if a label, int64 (n,), is none of 0 to classes - 1."""
    if len(labels) and (smallest := int(labels.min())) < 0:
        raise InputError(f"{name}: a label is {smallest}, classes are 0 or more")
    if len(labels) and (largest := int(labels.max())) >= classes:
        raise InputError(
            f"{name}: labels reach {largest}, but the network tells {classes} classes apart: give labels below that"
        )


@torch.no_grad()
def told_apart(network: nn.Module, images: Images, precision: torch.dtype) -> int:
    """How many classes the network tells apart, as it puts out of the first image."""
    with evaluation_mode(network), autocast(images.pixels.device, precision):
        return network(images.normalise(images.pixels[:1])).shape[-1]  # of one image it may drop the first axis


@torch.no_grad()
def fastest_batch_size(network: nn.Module, images: Images, precision: torch.dtype, compared: bool = False) -> int:
    """How many images at once a network computes fastest with.

    As many as keep its largest values in the cache of a CPU; but not so few that its weights, which every batch reads
    anew, take the longest: as these do of a network for large images on small ones, unless a batch's largest values are
    half as large as they. Nor more than there is anything to gain from.

    images: where the network is. compared: several networks run side by side, whose values are to stay there together.

    Raises InputError as `check_takes`.
    """
    check_takes(network, images)
    largest, parts = 1, 2 if compared else 1

    def look(module: nn.Module, inputs: tuple, output: object) -> None:
        nonlocal largest
        if isinstance(output, Tensor):
            largest = max(largest, output.nbytes)

    handles = [module.register_forward_hook(look) for module in network.modules()]
    try:
        with evaluation_mode(network), autocast(images.pixels.device, precision):
            network(images.normalise(images.pixels[:1]))
    finally:
        for handle in handles:
            handle.remove()
    for_weights = sum(parameter.nbytes for parameter in network.parameters()) // (2 * largest)
    return min(MOST, max(FEWEST // parts, for_weights, CACHE[images.pixels.device.type] // (largest * parts)))


def training_batches(
    images: Images,
    labels: Tensor,
    batch_size: int,
    order: torch.Generator,
    augmentation: torch.Generator,
    crop: int = 0,
    flip: bool | Tensor = False,
    share: tuple[int, int] = (0, 1),
    padding: str = "zero",
    first: int = 0,
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of shuffled, augmented batches; the incomplete last batch is left out.

    Args:
        labels: int64 (N,), on the images' device.
        batch_size: images in a global batch.
        order, augmentation: the generators of the permutation and of crops and flips. Both are drawn for the whole
            epoch at once, so that the images do not depend on how many processes share the batches.
        crop: pixels added on each side before a crop of the original size at a random place.
        flip: whether half of the images are mirrored, drawn anew; or bool (N,), which ones are.
        padding: what the added pixels are: zero (black) or reflect (the image mirrored at its edge).
        share: (rank, processes); rank r gets images r, r + processes, ... of every global batch.
        first: how many of the epoch's batches are left out, which are drawn all the same.

    Yields:
        images float32 (b, channels, H, W) and labels int64 (b,), b = batch_size / processes.
    """
    (count, height, width, channels), (rank, processes) = images.pixels.shape, share
    device, batches = images.pixels.device, count // batch_size
    used, local = batches * batch_size, batch_size // processes
    chosen = torch.randperm(count, generator=order)[:used]
    offsets = torch.randint(2 * crop + 1, (used, 2), generator=augmentation)
    flips = torch.randint(2, (used,), generator=augmentation).bool()
    flips = flip[chosen] if isinstance(flip, Tensor) else flips & flip
    augmenting = bool(crop or flips.any())
    mine = torch.arange(used).view(batches, batch_size)[first:, rank::processes]
    padded = _padded(images.pixels, crop, padding)
    chosen, offsets, flips, mine = (drawn.to(device) for drawn in (chosen, offsets, flips, mine))

    for part in mine.split(max(1, CHUNK_VALUES[device.type] // (local * height * width * channels))):
        positions = part.reshape(-1)
        used_now = chosen[positions]
        if augmenting:
            pixels = _crops(padded, (height, width), used_now, offsets[positions], flips[positions])
        else:
            pixels = padded.index_select(0, used_now)
        pixels, targets = images.normalise(pixels), labels[used_now]
        yield from zip(pixels.split(local), targets.split(local), strict=True)


def augmented(images: Images, augmentation: torch.Generator, crop: int, flip: bool, padding: str = "zero") -> Images:
    """Every image once, in order, cropped and flipped at random as in training."""
    count, height, width, _ = images.pixels.shape
    offsets = torch.randint(2 * crop + 1, (count, 2), generator=augmentation)
    flips = torch.randint(2, (count,), generator=augmentation).bool() & flip
    drawn = (each.to(images.pixels.device) for each in (torch.arange(count), offsets, flips))
    pixels = _crops(_padded(images.pixels, crop, padding), (height, width), *drawn)
    return replace(images, pixels=pixels)


def _padded(pixels: Tensor, crop: int, padding: str = "zero") -> Tensor:
    if not crop:
        return pixels
    if padding == "zero":
        return pad(pixels, (0, 0, crop, crop, crop, crop))
    height, width = ((torch.arange(-crop, size + crop).abs(), size) for size in pixels.shape[1:3])
    rows, columns = (
        torch.minimum(places, 2 * (size - 1) - places).clamp_min(0).to(pixels.device)
        for places, size in (height, width)
    )
    return pixels.index_select(1, rows).index_select(2, columns)


def alternating_flips(count: int, epoch: int, generator: torch.Generator) -> Tensor:
    """Which of the images are mirrored, bool (N,): half at random in epoch 0, then each in every other epoch, so that
    two epochs in a row see both sides of every image (Jordan 2024, arXiv 2404.00498, section 3.6).

    generator: the same in every epoch.
    """
    return torch.randint(2, (count,), generator=generator).bool() ^ bool(epoch % 2)


def _crops(padded: Tensor, size: tuple[int, int], chosen: Tensor, offsets: Tensor, flips: Tensor) -> Tensor:
    """The chosen images (n,), each from its (top, left) on, mirrored where flips says so: (n, *size, channels)."""
    (height, width), (padded_width, channels) = size, padded.shape[2:]
    rows, columns = (torch.arange(side, device=padded.device) for side in size)
    top, left = offsets.unbind(1)
    row = (chosen * padded.shape[1] * padded_width + top * padded_width)[:, None] + rows * padded_width
    column = left[:, None] + torch.where(flips[:, None], columns.flip(0), columns)
    places = row[:, :, None] + column[:, None, :]
    return padded.reshape(-1, channels).index_select(0, places.view(-1)).view(-1, height, width, channels)
