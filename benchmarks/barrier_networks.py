"""The networks of benchmarks/barrier.py, and what they are trained on."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from hidden_structure.datasets.load import load
from hidden_structure.frame import artifacts, params, paths, studies
from hidden_structure.networks.build import initialise
from hidden_structure.seeding import torch_generator
from hidden_structure.training import loop, run
from hidden_structure.training.batches import on_device

SAMPLES, TEST, BATCH = 1000, 2000, 250  # images that are matched and repaired on; tested on; at once
KEPT = Path("artifacts/barrier")


def network(name: str, width: int, norm: str, depth: int | None = None) -> params.Network:
    return params.Network(name=name, depth=depth, width=width, norm=norm)


def recipe(**own: object) -> params.Train:
    common = {"snapshots": 2, "crop": 0, "flip": False, "batch_size": 100, "weight_decay": 5e-4}
    return params.Train.model_validate(studies.defaults()["train"] | common | own)


KINDS = {  # name -> data, network, recipe
    "MLP 3 x 64, digits": ("digits", network("mlp", 64, "none", 3), recipe(epochs=40, lr=0.03, weight_decay=0.0)),
    "ResNet-8 x 8, digits": ("digits", network("resnet", 8, "batch", 8), recipe(epochs=15, lr=0.1)),
    "ResNet-8 x 8, LayerNorm, digits": ("digits", network("resnet", 8, "layer", 8), recipe(epochs=15, lr=0.1)),
    "speedrun x 8, photographs": (
        "photographs",
        network("speedrun", 8, "batch"),
        recipe(epochs=4, lr=0.1, flip=True, batch_size=200),
    ),
}


@cache
def pixels_of(data: str, folder: str | None) -> dict[str, np.ndarray]:
    """Images uint8 and labels of both splits, and the mean and std of training pixels."""
    if data == "digits":
        digits = load_digits()
        images, labels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None], digits.target.astype(np.int64)
        chosen = torch.randperm(len(images), generator=torch_generator("barrier", "digits")).numpy()
        found = {"train": (images[chosen[:1297]], labels[chosen[:1297]])}
        found["test"] = images[chosen[1297:]], labels[chosen[1297:]]
    else:
        file = Path("artifacts/presets/cifar10.npz")
        if not file.is_file():
            own = studies.complete({"study": "barrier", "data": {"source": "cifar10", "folder": folder}})
            artifacts.write_arrays(file, load(params.Study.model_validate(own).data).arrays())
        arrays, found = artifacts.read_arrays(file, paths.IMAGES), {}
        for split, count in (("train", 10_000), ("test", TEST)):
            images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
            chosen = torch.randperm(len(images), generator=torch_generator("barrier", split))[:count].numpy()
            halved = images[chosen].reshape(count, 16, 2, 16, 2, 3).mean((2, 4))
            found[split] = halved.round().astype(np.uint8), labels[chosen]
    scaled = found["train"][0] / 255
    arrays = {"mean": scaled.mean((0, 1, 2)), "std": scaled.std((0, 1, 2))}
    for split, (images, labels) in found.items():
        arrays |= {f"{split}_images": images, f"{split}_labels": labels}
    return arrays


def checkpoint(kind: str, seed: int) -> Path:
    return KEPT / f"{kind.lower().replace(' ', '-').replace(',', '')}-{seed}.safetensors"


def train(kind: str, seed: int, arrays: Mapping[str, np.ndarray]) -> None:
    _, network, recipe = KINDS[kind]
    images = on_device(arrays["train_images"], arrays["mean"], arrays["std"], torch.device("cpu"))
    built = initialise(network, arrays["train_images"].shape[1:], 10, seed)
    run.whiten(built, images)
    state = loop.start(built, recipe, torch.device("cpu"))
    precision = torch.float32 if network.name == "mlp" else torch.bfloat16
    loop.fit(state, images, torch.from_numpy(arrays["train_labels"]), recipe, seed, precision)
    artifacts.write_tensors(checkpoint(kind, seed), state.network.state_dict())
