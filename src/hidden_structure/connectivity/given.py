"""Networks that the user gives, in the place of those that the connectivity study trains."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from hidden_structure.connectivity.spawning import Run, kept
from hidden_structure.frame import artifacts
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Hardware
from hidden_structure.networks import checkpoints
from hidden_structure.networks.features import LOGITS
from hidden_structure.networks.weights import load_state
from hidden_structure.training.inputs import read
from hidden_structure.training.run import evaluate

BATCH_SIZE = 500  # changes no number


def take(run: Run, forks: list[int], hardware: Hardware, folder: Path) -> dict:
    """Keep a network's weights as the others' are kept; a row of what it does on both splits, and of what was done to
    its checkpoint.

    Raises InputError if the file is no checkpoint of the network, or its loss is not finite.
    """
    inputs = read(hardware)
    network = inputs.build(run.cell.network)
    found = checkpoints.read(run.checkpoint, network, inputs.built_for)
    load_state(network, found.state)
    network.to(inputs.device)
    splits = {split: (images, inputs.targets(split)) for split, images in inputs.images.items()}
    try:
        row = run.row | evaluate(network, splits, inputs.precision, run.train, "spawn.train")
    except InputError as error:
        raise InputError(f"{run.checkpoint}: its loss is not finite: see to data.normalise") from error
    logits = inputs.features(network, "test", [LOGITS], BATCH_SIZE)[LOGITS]
    row["reordered"] = reordered(logits.argmax(1).numpy(), inputs.labels["test"], logits.shape[1])
    print(f"{run.checkpoint}: test accuracy {row['test_accuracy']:.4f}", flush=True)
    artifacts.write_tensors(kept(folder, run, f"{run.name}-end"), network.state_dict())
    return row | {"file": run.checkpoint, "notes": list(found.notes)}


def reordered(outputs: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """The accuracy if the outputs int (N,) stood for the classes in the order that fits the labels int (N,) best."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (outputs, labels), 1)
    return float(counts[linear_sum_assignment(counts, maximize=True)].sum() / len(labels))


def content(plan: list[Run]) -> Iterator[np.ndarray]:
    """The bytes of all files, which whatever is measured of them depends on."""
    return (checkpoints.content(run.checkpoint) for run in plan if run.checkpoint)
