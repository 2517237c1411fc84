"""Networks that the user gives, in the place of those that the connectivity study trains."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hidden_structure.connectivity.spawning import Run, kept
from hidden_structure.frame import artifacts
from hidden_structure.frame.params import Hardware
from hidden_structure.networks import checkpoints
from hidden_structure.training.given import restored
from hidden_structure.training.inputs import read


def take(run: Run, train_samples: int | None, hardware: Hardware, folder: Path) -> dict:
    """Keep a network's weights as those of trained ones are kept; a row of what it does on both splits, and of what was
    done to its checkpoint.

    Raises InputError as `restored` does.
    """
    network, row = restored(run.checkpoint, run.cell.network, read(hardware), train_samples)
    artifacts.write_tensors(kept(folder, run, f"{run.name}-end"), network.state_dict())
    return run.row | {"network": run.seed} | row


def content(plan: list[Run]) -> Iterator[np.ndarray]:
    """The bytes of all files, which whatever is measured of them depends on."""
    return (checkpoints.content(run.checkpoint) for run in plan if run.checkpoint)
