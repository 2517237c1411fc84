"""A network that the user gives, in the place of one that is trained."""

import numpy as np
from scipy.optimize import linear_sum_assignment
from torch import nn

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Network
from hidden_structure.networks import checkpoints
from hidden_structure.networks.features import LOGITS
from hidden_structure.networks.weights import load_state
from hidden_structure.training.inputs import Inputs
from hidden_structure.training.loop import evaluate

BATCH_SIZE = 500  # changes no number


def restored(file: str, network: Network, inputs: Inputs) -> tuple[nn.Module, dict]:
    """The network of a checkpoint, on the device, and a row of it: {<split>_loss (nats), <split>_accuracy}, file, notes
    on how it was read, and what its test accuracy would be were its outputs `reordered`.

    Raises InputError if the file is no checkpoint of the network, or its loss is not finite.
    """
    made, row = inputs.build(network), {}
    found = checkpoints.read(file, made, inputs.built_for)
    load_state(made, found.state)
    made.to(inputs.device)
    for split, images in inputs.images.items():
        try:
            loss, accuracy = evaluate(made, images, inputs.targets(split), inputs.precision)
        except InputError as error:
            raise InputError(f"{file}: its loss is not finite: see to data.normalise") from error
        row |= {f"{split}_loss": loss, f"{split}_accuracy": accuracy}
    outputs = inputs.features(made, "test", [LOGITS], BATCH_SIZE)[LOGITS]
    row["reordered"] = reordered(outputs.argmax(1).numpy(), inputs.labels["test"], outputs.shape[1])
    print(f"{file}: test accuracy {row['test_accuracy']:.4f}", flush=True)
    return made, row | {"file": file, "notes": list(found.notes)}


def reordered(outputs: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """The accuracy if the outputs int (N,) stood for the classes in the order that fits the labels int (N,) best."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (outputs, labels), 1)
    return float(counts[linear_sum_assignment(counts, maximize=True)].sum() / len(labels))
