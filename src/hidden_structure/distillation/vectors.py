"""Data that are no images: vectors of features, which networks see as images of one pixel with a channel a feature."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from hidden_structure.frame import artifacts, params
from hidden_structure.frame.errors import InputError
from hidden_structure.training.batches import Images
from hidden_structure.training.device import compute_deterministically, pick_device, pick_precision
from hidden_structure.training.inputs import Inputs

SPLITS = ("train", "test")
FAR, WIDEST = 1e3, 1e6  # means in deviations, and deviations or their inverses, beyond which float32 loses digits
ARRAYS = {
    f"{split}_{name}": kind for split in SPLITS for name, kind in {"inputs": ("f", 2), "labels": ("i", 1)}.items()
}


def read(file: Path, hardware: params.Hardware) -> Inputs:
    """The arrays of that file (`ARRAYS`), unless this process has read it; torch is set as `training.inputs.read` does.

    Each feature is normalised to mean 0 and variance 1 on the training samples; one that does not vary there is 0.

    Raises InputError if the device is not there, or the file is missing or damaged.
    """
    compute_deterministically(hardware.threads)
    return _read(file.resolve(), hardware)


@lru_cache(maxsize=2)
def _read(file: Path, hardware: params.Hardware) -> Inputs:
    device, arrays = pick_device(hardware), artifacts.read_arrays(file, ARRAYS)
    if device.type == "mps":
        raise InputError("hardware.device: mps has no doubles, which vectors are held in: write cpu")
    data = {f"{split}_images": arrays[f"{split}_inputs"].astype(np.float64)[:, None, None] for split in SPLITS}
    trained = data["train_images"]
    mean, std = (found(trained, (0, 1, 2)) for found in (np.mean, np.std))
    # Of equal numbers the computed deviation need not be 0, and what rounding leaves must not be taken for a unit.
    varies = trained.min((0, 1, 2)) < trained.max((0, 1, 2))
    inverse = np.divide(1, std, where=varies & (std > 0), out=np.zeros_like(std))
    hard = varies & ((np.abs(mean) > FAR * std) | (inverse > WIDEST) | (inverse < 1 / WIDEST))
    for own in data.values():
        own[..., ~varies] = 0
        own[..., hard] = (own[..., hard] - mean[hard]) * inverse[hard]
    mean, scale = (torch.from_numpy(np.where(hard, done, own)) for done, own in ((0.0, mean), (1.0, inverse)))
    # Doubles, of which `Images.normalise` makes a copy; of floats it would change these very ones.
    images = {
        split: Images(
            torch.from_numpy(data[f"{split}_images"]).to(device, torch.float64),
            scale.float().to(device),
            (-mean * scale).float().to(device),
        )
        for split in SPLITS
    }
    labels = {split: arrays[f"{split}_labels"].astype(np.int64) for split in SPLITS}
    names = np.arange(max(own.max() for own in labels.values()) + 1).astype(str)
    return Inputs(device, pick_precision(hardware, device), data, labels | {"names": names}, images)
