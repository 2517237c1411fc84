"""A network that the user gives, in the place of one that is trained."""

import math
import sys

import numpy as np
from scipy.optimize import linear_sum_assignment
from torch import nn
from torch.nn.functional import cross_entropy

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Network
from hidden_structure.networks import checkpoints
from hidden_structure.networks.features import LOGITS, extract
from hidden_structure.networks.weights import load_state
from hidden_structure.training.batches import evaluation_batches
from hidden_structure.training.device import autocast
from hidden_structure.training.inputs import Inputs

BATCH_SIZE = 500  # changes no number


def restored(file: str, network: Network, inputs: Inputs, train_samples: int | None = None) -> tuple[nn.Module, dict]:
    """The network of a checkpoint, on the device, and a row of it: {<split>_loss (nats), <split>_accuracy}, file, notes
    on how it was read, and what its test accuracy would be were its outputs `reordered`.

    train_samples: how many training images it is judged on; None: all.

    Raises InputError if the file is no checkpoint of the network, or its loss is not finite.
    """
    made, row = inputs.build(network), {}
    found = checkpoints.read(file, made, inputs.built_for)
    if found.notes:
        print(f"{file}: {'; '.join(found.notes)}", file=sys.stderr, flush=True)
    load_state(made, found.state)
    made.to(inputs.device)
    for split, samples in (("train", train_samples), ("test", None)):
        images, labels = inputs.some(split, samples, "given")
        with autocast(inputs.device, inputs.precision):
            outputs = extract(made, evaluation_batches(images, BATCH_SIZE), [LOGITS], len(labels))[LOGITS]
        labels = labels.cpu()
        loss = cross_entropy(outputs.double(), labels).item()
        if not math.isfinite(loss):
            raise InputError(f"{file}: its loss is not finite: see to data.normalise")
        accuracy = (outputs.argmax(1) == labels).double().mean().item()
        row |= {f"{split}_loss": loss, f"{split}_accuracy": accuracy}
    row["reordered"] = reordered(outputs.argmax(1).numpy(), inputs.labels["test"], outputs.shape[1])
    print(f"{file}: test accuracy {row['test_accuracy']:.4f}", flush=True)
    return made, row | {"file": file, "notes": list(found.notes)}


def reordered(outputs: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """The accuracy if the outputs int (N,) stood for the classes in the order that fits the labels int (N,) best."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (outputs, labels), 1)
    return float(counts[linear_sum_assignment(counts, maximize=True)].sum() / len(labels))
