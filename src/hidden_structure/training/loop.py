"""Supervised training as one plain loop.

A run is a TrainingState that `fit` carries forward epoch by epoch. Everything an epoch draws comes from generators
named by (seed, epoch), so a state needs no random state to be resumed, copied or forked, not even inside an epoch.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Train
from hidden_structure.frame.progress import track
from hidden_structure.networks.features import evaluation_mode
from hidden_structure.seeding import Name, torch_generator
from hidden_structure.training import averaging, distributed
from hidden_structure.training.averaging import Average
from hidden_structure.training.batches import (
    Images,
    alternating_flips,
    check_labels,
    check_takes,
    evaluation_batches,
    laid_out_for,
    told_apart,
    training_batches,
)
from hidden_structure.training.convolutions import weight_gradients
from hidden_structure.training.device import autocast, place
from hidden_structure.training.noise import noise
from hidden_structure.training.optimizers import MuonAndSGD, optimizer, set_rate
from hidden_structure.training.updates import Optimizer


@dataclass
class TrainingState:
    network: nn.Module
    optimizer: Optimizer | MuonAndSGD
    average: Average | None = None  # of the weights
    epoch: int = 0  # epochs done
    batch: int = 0  # and batches of the next
    history: list[dict[str, float | int]] = field(default_factory=lambda: [{"epoch": 0}])


def start(network: nn.Module, train: Train, device: torch.device) -> TrainingState:
    """An untrained network on its device, and the optimizer of the recipe."""
    network = place(network, device)
    return TrainingState(network, optimizer(network, train), averaging.start(network, train))


def learning_rate(train: Train, progress: float) -> float:
    """The rate after that share of training, in [0, 1): a linear warm-up, and times it the schedule.

    step multiplies by `factor` at each of `milestones` (Papyan, Han, Donoho 2020: 1/3 and 2/3, factor 0.1); cosine
    and one-cycle fall from the end of the warm-up to 0, along half a cosine and along a line.
    """
    warmup = min(1.0, progress / train.warmup) if train.warmup else 1.0
    fall = max(0.0, progress - train.warmup) / (1 - train.warmup)
    decay = {
        "constant": 1.0,
        "step": train.factor ** sum(progress >= milestone for milestone in train.milestones),
        "cosine": (1 + math.cos(math.pi * fall)) / 2,
        "one-cycle": 1 - fall,
    }
    return train.lr * warmup * decay[train.schedule]


def snapshot_epochs(epochs: int, count: int) -> list[int]:
    """At most count epochs, 0 and the last among them, evenly spaced in log(1 + epoch); early ones may coincide."""
    return sorted({round(math.expm1(math.log1p(epochs) * i / (count - 1))) for i in range(count)})


def nothing(state: TrainingState) -> None:
    """Do nothing after an epoch or step: the default, where a caller has nothing to add."""


# (outputs float32 (b, ...), inputs, labels) to the loss, and bool (b,): where the outputs are right.
Objective = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def classify(logits: Tensor, inputs: Tensor, labels: Tensor, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """Cross-entropy to labels int64 (b,): the objective, unless a caller has another.

    smoothing: of the target, spread evenly over all classes (Szegedy et al. 2016).
    """
    return cross_entropy(logits, labels, label_smoothing=smoothing), logits.detach().argmax(1) == labels


def fit(
    state: TrainingState,
    images: Images,
    labels: Tensor,
    train: Train,
    seed: Name,
    precision: torch.dtype,
    share: tuple[int, int] = (0, 1),
    after_epoch: Callable[[TrainingState], None] = nothing,
    objective: Objective | None = None,
    section: str = "train",
    after_step: Callable[[TrainingState], None] = nothing,
) -> None:
    """Train until train.epochs are done, in place; after_epoch sees the state after each, after_step after each step.

    A state inside an epoch goes on with the batch that its place says of the epoch that `seed` draws: samples that it
    has seen in this epoch by another seed may come again.

    Each epoch appends {epoch, lr, train_loss, train_accuracy} to the history: the rate at its end, and averages over
    its batches as they were trained on, from the state's place on.

    Args:
        labels: int64 (N,), on the images' device: whatever the objective is to see of a sample.
        seed: names the generators of order, augmentation and what layers draw; the initialisation is the caller's.
        share: (rank, processes) of data-parallel training.
        objective: None: classify, with the recipe's label smoothing.
        section: where in params.yaml the recipe stands, for messages.

    Raises:
        InputError: the batch size or the crop does not fit the data, the network or the processes, the network's
            precision is not that of the images, a label to classify is of no class, the loss or at the end the weights
            are not finite, or the state lies beyond the end of an epoch.
    """
    check_sizes(train, images.pixels.shape, share[1], section)
    check_takes(state.network, images)
    check_batch(train, state.network, images.pixels.shape, share[1], section)
    images = laid_out_for(state.network, images)
    model = distributed.parallel(state.network, images.pixels.device)
    if objective is None:
        check_labels(labels, told_apart(state.network, images, precision))
    objective = objective or partial(classify, smoothing=train.label_smoothing)
    batches = len(labels) // train.batch_size
    if state.batch >= batches:
        raise InputError(f"the state is {state.batch} batches into an epoch of {batches}: it is of another training")
    epochs = range(state.epoch, train.epochs)
    for _ in track(epochs, f"training, seed {seed}") if share[0] == 0 else epochs:
        order, augmentation = (torch_generator(name, seed, state.epoch) for name in ("order", "augmentation"))
        augmenting = state.epoch < train.epochs - train.clean
        flip: bool | Tensor = train.flip and augmenting
        if flip and train.flips == "alternating":
            flip = alternating_flips(len(labels), state.epoch, torch_generator("flips", seed))
        crop = train.crop if augmenting else 0
        epoch = training_batches(
            images, labels, train.batch_size, order, augmentation, crop, flip, share, train.padding, state.batch
        )
        model.train()
        losses, hits = [], []
        with (
            noise(images.pixels.device, seed, state.epoch, share[0]) as begin,
            weight_gradients(state.network, images.pixels.device, precision),
        ):
            for inputs, targets in epoch:
                begin(state.batch)
                rate = learning_rate(train, (state.epoch + (state.batch + 0.5) / batches) / train.epochs)
                loss, right = step(model, state.optimizer, inputs, targets, rate, precision, objective)
                state.batch += 1
                if state.average is not None:
                    done = state.epoch * batches + state.batch
                    averaging.after_step(state.average, state.network, train, done, train.epochs * batches)
                losses.append(loss)
                hits.append(right)
                after_step(state)
        averages = torch.stack([torch.stack(losses).mean(), torch.cat(hits).float().mean()])
        loss, accuracy = distributed.average(averages).tolist()
        state.epoch, state.batch = state.epoch + 1, 0
        if not math.isfinite(loss):
            raise diverged(f"the training loss became {loss} in epoch {state.epoch}", train, section)
        row = {"epoch": state.epoch, "lr": rate, "train_loss": loss, "train_accuracy": accuracy}
        state.history.append(row)
        if state.epoch == train.epochs and not all(parameter.isfinite().all() for parameter in model.parameters()):
            raise diverged("the last step made weights infinite or NaN", train, section)
        after_epoch(state)


class Diverged(InputError):
    """A loss or weights that are not finite."""


def diverged(what: str, train: Train, section: str = "train") -> Diverged:
    """Names the keys that can be the cause, the likeliest first.

    Weight decay d multiplies weights by 1 - lr d a step, which makes them grow without end once lr d is above 2. Adam
    does not mind: it takes the decay for a gradient, whose size it divides by.
    """
    causes = ["lr"]
    if train.optimizer == "sgd" and train.lr * train.weight_decay > 1:
        causes = sorted(["lr", "weight_decay"], key=lambda key: getattr(train, key), reverse=True)
    if train.momentum > 0.95:
        causes.append("momentum")
    return Diverged(f"{what}: lower {' or '.join(f'{section}.{key} ({getattr(train, key)})' for key in causes)}")


def step(
    model: nn.Module,
    optimizer: Optimizer | MuonAndSGD,
    inputs: Tensor,
    targets: Tensor,
    rate: float,
    precision: torch.dtype,
    objective: Objective = classify,
) -> tuple[Tensor, Tensor]:
    """One update at that learning rate; gives the batch's loss, detached, and hits before it."""
    set_rate(optimizer, rate)
    with autocast(inputs.device, precision):
        outputs = model(inputs).float()
    loss, hits = objective(outputs, inputs, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach(), hits


def check_sizes(train: Train, shape: tuple[int, ...], processes: int, section: str) -> None:
    """Raises InputError if the recipe cannot be followed on images of that shape, (N, H, W, channels)."""
    samples, height, width, _ = shape
    if train.batch_size > samples:
        raise InputError(
            f"{section}.batch_size: {train.batch_size} is more than the {samples} training samples: lower it"
        )
    steps = train.epochs * (samples // train.batch_size)
    if train.averaging != "none" and steps < train.averaging_every:
        raise InputError(
            f"{section}.averaging_every: {train.averaging_every} is more than the {steps} steps of the training, which "
            "would end as it began: lower it"
        )
    if train.batch_size % processes:
        raise InputError(
            f"{section}.batch_size: {train.batch_size} is not a multiple of the {processes} processes: change one"
        )
    if train.crop > min(height, width):
        raise InputError(
            f"{section}.crop: {train.crop} pixels are more than an image of {width} x {height} has: lower it"
        )


def check_batch(train: Train, network: nn.Module, shape: tuple[int, ...], processes: int, section: str) -> None:
    """Raises InputError if a process gets one image of that shape, (N, H, W, channels), at a time and the network
    cannot be trained by it: BatchNorm has no variance of a single value."""
    if train.batch_size > processes:
        return
    _, height, width, channels = shape
    tried = copy.deepcopy(network).train()  # of which running statistics change
    image = torch.zeros(1, channels, height, width, device=next(iter(tried.parameters())).device)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            tried(image)
    except ValueError as error:
        raise InputError(
            f"{section}.batch_size: one image has no variance, which the network's norms ask of a batch: raise it"
        ) from error


@torch.no_grad()
def evaluate(
    network: nn.Module,
    images: Images,
    labels: Tensor,
    precision: torch.dtype,
    batch_size: int = 500,
    said: Callable[[str], InputError] = InputError,
    both_sides: bool = False,
) -> tuple[float, float]:
    """Mean cross-entropy (nats) and accuracy of the network in evaluation mode; its modes are put back.

    both_sides: of the mean of the logits of every image and its mirror image (test-time averaging).

    Raises InputError if the network's precision is not that of the images or a label is of no class, and the error that
    `said` makes of a sentence if the loss is not finite.
    """
    check_takes(network, images)
    loss = hits = 0.0
    with evaluation_mode(network):
        for inputs, targets in zip(evaluation_batches(images, batch_size), labels.split(batch_size), strict=True):
            with autocast(inputs.device, precision):
                logits = network(inputs).float()
                if both_sides:
                    logits = (logits + network(inputs.flip(3)).float()) / 2
            check_labels(targets, logits.shape[1])
            loss += cross_entropy(logits, targets, reduction="sum").item()
            hits += (logits.argmax(1) == targets).sum().item()
    if not math.isfinite(loss):
        raise said(f"the network's loss is {loss}")
    return loss / len(labels), hits / len(labels)
