"""Networks trained on other labels than the study's, or by another recipe, and what they make of the images."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from hidden_structure.frame import artifacts, params
from hidden_structure.networks.build import initialise
from hidden_structure.networks.features import LOGITS, PENULTIMATE, head_tensors
from hidden_structure.training import loop, run
from hidden_structure.training.inputs import Inputs

BATCH_SIZE = 500  # images at once when features are read


@dataclass(frozen=True, eq=False)
class Variant:
    """A network to be trained.

    labels: int64 (N,) of the training split, and of the test split where it has such labels too. section: where in
    params.yaml the recipe stands. samples: of the training split, which alone are labelled and learnt; None: all.
    """

    name: str
    seed: int
    network: params.Network
    train: params.Train
    labels: dict[str, np.ndarray]
    classes: int
    section: str = "train"
    samples: np.ndarray | None = None


def train(variant: Variant, inputs: Inputs, folder: Path, epochs: Collection[int]) -> list[dict]:
    """Train the network; after each of these epochs (0: untrained) write what `features_file` names.

    That file holds the penultimate features of both splits, float32 (N, d), as "train" and "test", and the last
    layer's "weight" and, where it has one, "bias". Killed and started again on the same folder it goes on where it was.

    Returns a row an epoch: name, seed, epoch, and of every labelled split the accuracy, in evaluation mode.

    Raises InputError if training fails.
    """
    network = initialise(variant.network, inputs.image_shape, variant.classes, variant.seed)
    labels = torch.from_numpy(variant.labels["train"]).to(inputs.device)
    own = {"name": variant.name, "seed": variant.seed}
    file = folder / f"{variant.name}-{variant.seed}.safetensors"

    def write_features(state: loop.TrainingState) -> None:
        if state.epoch in epochs:
            state.history[-1] |= _write(state, variant, inputs, features_file(folder, *own.values(), state.epoch))

    images = inputs.images["train"]
    if variant.samples is not None:
        images = replace(images, pixels=images.pixels[torch.from_numpy(variant.samples).to(inputs.device)])
    data, options = (images, labels, inputs.precision), {"after": write_features}
    state = run.train(network, variant.train, variant.seed, *data, file, section=variant.section, **options)
    rows = {row["epoch"]: row for row in state.history}
    measured = [f"{split}_accuracy" for split in variant.labels]
    with artifacts.content_of([file]):
        return [own | {"epoch": epoch} | {name: rows[epoch][name] for name in measured} for epoch in sorted(epochs)]


def features_file(folder: Path, name: str, seed: int, epoch: int) -> Path:
    return folder / name / str(seed) / f"{epoch:05d}.safetensors"


def _write(state: loop.TrainingState, variant: Variant, inputs: Inputs, file: Path) -> dict[str, float]:
    tensors, accuracies = head_tensors(state.network), {}
    for split in inputs.images:
        found = inputs.features(state.network, split, [PENULTIMATE, LOGITS], BATCH_SIZE)
        tensors[split] = found[PENULTIMATE]
        if split in variant.labels:
            decided = found[LOGITS].argmax(1).numpy()
            if split == "train" and variant.samples is not None:
                decided = decided[variant.samples]
            accuracies[f"{split}_accuracy"] = float((decided == variant.labels[split]).mean())
    artifacts.write_tensors(file, tensors)
    said = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in accuracies.items())
    print(f"{variant.name}, seed {variant.seed}, epoch {state.epoch}: {said}", flush=True)
    return accuracies
