"""One training that survives a kill, whatever the network is taught: what every stage that trains is made of."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from hidden_structure.frame.params import Train
from hidden_structure.seeding import Name
from hidden_structure.training import averaging, distributed, loop, resume
from hidden_structure.training.batches import Images
from hidden_structure.training.loop import Objective, TrainingState, nothing
from hidden_structure.training.whitening import whiten

SECONDS = 5.0  # between two states that are kept: what a kill may cost


def train(
    network: nn.Module,
    recipe: Train,
    noise: Name,
    images: Images,
    labels: Tensor,
    precision: torch.dtype,
    file: Path,
    objective: Objective | None = None,
    after: Callable[[TrainingState], None] = nothing,
    section: str = "train",
    after_step: Callable[[TrainingState], None] = nothing,
) -> TrainingState:
    """Train the network in place, where the images are; killed and started again with the same file it goes on.

    Args:
        network: newly initialised, or to be overwritten by the state that the file holds.
        noise: names the generators of order, augmentation and what layers such as dropout draw.
        labels: int64 (N,), on the images' device: whatever the objective is to see of a sample.
        objective: None: cross-entropy, with the recipe's label smoothing.
        file: where the state is kept every few seconds, between epochs, and at the end.
        after: called with the state after each epoch, and before the first: what it writes and adds to the history is
            there whenever training goes on. What was lost by a kill it is called with once more. Of several processes
            the first alone calls it.
        section: where in params.yaml the recipe stands, for messages.
        after_step: likewise after each step.

    Raises InputError as `loop.fit` does, if the file holds anything else, or the processes do not share it.
    """
    state = loop.start(network, recipe, images.pixels.device)
    rank, processes = distributed.share()
    last = time.monotonic()

    def keep(state: TrainingState) -> None:
        nonlocal last
        after(state)
        if state.epoch == recipe.epochs or time.monotonic() - last >= SECONDS:  # an epoch may take milliseconds
            resume.save(file, state)
            last = time.monotonic()

    kept, stepped = (keep, after_step) if rank == 0 else (nothing, nothing)
    if not resume.load(file, state):
        whiten(network, images)
        state.average = averaging.start(network, recipe)  # of the network as training finds it
        kept(state)
    distributed.check_same(state.epoch, "epochs to resume from: share artifacts/resume between the machines")
    loop.fit(state, images, labels, recipe, noise, precision, (rank, processes), kept, objective, section, stepped)
    return state


def evaluate(
    network: nn.Module,
    splits: Mapping[str, tuple[Images, Tensor]],
    precision: torch.dtype,
    recipe: Train,
    section: str = "train",
) -> dict[str, float]:
    """{<split>_loss (nats), <split>_accuracy} of images and their labels int64 (N,), in evaluation mode.

    Raises InputError if a loss is not finite: training by this recipe has diverged.
    """
    found = {}
    for split, (images, labels) in splits.items():
        loss, accuracy = loop.evaluate(
            network, images, labels, precision, said=lambda what: loop.diverged(what, recipe, section)
        )
        found |= {f"{split}_loss": loss, f"{split}_accuracy": accuracy}
    return found
