"""The common start of most stages: the device and precision of the study, its images and its labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from hidden_structure.frame import artifacts, params, paths
from hidden_structure.networks.build import build, initialise
from hidden_structure.networks.features import extract
from hidden_structure.seeding import Name, torch_generator
from hidden_structure.training.batches import Images, evaluation_batches, on_device
from hidden_structure.training.device import autocast, compute_deterministically, pick_device, pick_precision


@dataclass(frozen=True, eq=False)
class Inputs:
    """data, labels: the arrays as they were read. images: by split, on the device."""

    device: torch.device
    precision: torch.dtype
    data: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    images: dict[str, Images]

    def targets(self, split: str) -> Tensor:
        """int64 (N,), on the device."""
        return torch.from_numpy(self.labels[split]).to(self.device)

    def some(
        self, split: str, samples: int | None, name: Name, among: np.ndarray | None = None
    ) -> tuple[Images, Tensor]:
        """So many images of a split and their labels, drawn by that name, for splits come class by class; None: all.

        among: int64 (n,), the images of the split that are drawn from; None: all.
        """
        images, labels = self.images[split], self.targets(split)
        if among is not None:
            own = torch.from_numpy(among).to(self.device)
            images, labels = replace(images, pixels=images.pixels[own]), labels[own]
        if samples is None:
            return images, labels
        chosen = torch.randperm(len(labels), generator=torch_generator(name))[:samples].to(self.device)
        return replace(images, pixels=images.pixels[chosen]), labels[chosen]

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """All that was read, which whatever is computed from it depends on."""
        return *self.data.values(), *self.labels.values()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, channels)."""
        return self.data["train_images"].shape[1:]

    @property
    def built_for(self) -> str:
        """What a network is built for, in words."""
        return built_for(self.image_shape, len(self.labels["names"]))

    def build(self, network: params.Network) -> nn.Module:
        """A network for these images and labels, on the CPU, that is to be given weights."""
        return build(network, self.image_shape, len(self.labels["names"]))

    def features(self, network: nn.Module, split: str, layers: Sequence[str], batch_size: int) -> dict[str, Tensor]:
        """What the layers of a network, on the device, put out for all images of a split, in evaluation mode and in the
        study's precision: name -> float32 CPU tensor (N, ...)."""
        images = self.images[split]
        with autocast(self.device, self.precision):
            return extract(network, evaluation_batches(images, batch_size), layers, len(images.pixels))

    def initialise(self, network: params.Network, seed: Name) -> nn.Module:
        """A network for these images and labels, on the CPU, whose initial weights depend on the seed alone."""
        return initialise(network, self.image_shape, len(self.labels["names"]), seed)


def built_for(image_shape: tuple[int, ...], classes: int) -> str:
    height, width, channels = image_shape
    return f"{height} x {width} {'grey' if channels == 1 else 'colour'} images and {classes} classes"


def read(hardware: params.Hardware, supervision: str = "fine") -> Inputs:
    """Read everything, unless this process has, and set torch to deterministic algorithms and its number of threads.

    Raises InputError if the device is not there, or a file is missing or damaged.
    """
    compute_deterministically(hardware.threads)
    files = [path.resolve() for path in (paths.DATA, paths.labels(supervision)) if path.is_file()]
    stamps = tuple((file, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    return _read(hardware, supervision, stamps)


@lru_cache(maxsize=2)  # of forked tasks each has what was read before them
def _read(hardware: params.Hardware, supervision: str, stamps: tuple) -> Inputs:
    """stamps: tell the files from later ones of the same name."""
    device = pick_device(hardware)
    data, labels = artifacts.read_arrays(paths.DATA, paths.IMAGES), artifacts.read_labels(supervision)
    for split in ("train", "test"):
        if len(labels[split]) != len(data[f"{split}_images"]):
            raise artifacts.unfit("labels of another number of images", paths.labels(supervision))
    channels = data["train_images"].shape[3]
    if not len(data["mean"]) == len(data["std"]) == channels or not (data["std"] > 0).all():
        raise artifacts.unfit(f"no mean and positive std of each of {channels} channels", paths.DATA)
    images = {
        split: on_device(data[f"{split}_images"], data["mean"], data["std"], device) for split in ("train", "test")
    }
    return Inputs(device, pick_precision(hardware, device), data, labels, images)
