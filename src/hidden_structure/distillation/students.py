"""Students: networks trained by one loop, with one loss, on what a teacher says about every image."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, one_hot

from hidden_structure.distillation import lelp
from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.networks.features import LOGITS, PENULTIMATE, activations, evaluation_mode, head
from hidden_structure.seeding import Name, torch_generator
from hidden_structure.training import loop, run
from hidden_structure.training.batches import Images, evaluation_batches, training_batches
from hidden_structure.training.device import autocast
from hidden_structure.training.inputs import Inputs

BATCH_SIZE = 500  # images at once when nothing is trained

# Images float (b, channels, H, W) and their numbers int64 (b,) to targets (b, C * S), or to embeddings (b, d).
OfImages = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Task:
    """Images and their classes, which networks are trained or tested on. labels: int64 (N,) in 0..classes-1."""

    images: Images
    labels: Tensor
    classes: int
    precision: torch.dtype

    def part(self, chosen: Tensor) -> "Task":
        """The images with these numbers alone."""
        return replace(self, images=replace(self.images, pixels=self.images.pixels[chosen]), labels=self.labels[chosen])


def tasks_of(inputs: Inputs, coarse_of: np.ndarray) -> dict[str, Task]:
    """Both splits with the classes that coarse_of, int64 (C,), makes of the labels of the inputs."""
    merged, classes = torch.from_numpy(coarse_of).to(inputs.device), int(coarse_of.max()) + 1
    return {
        split: Task(images, merged[inputs.targets(split)], classes, inputs.precision)
        for split, images in inputs.images.items()
    }


@torch.no_grad()
def forward(network: nn.Module, images: Tensor, precision: torch.dtype) -> tuple[Tensor, Tensor]:
    """Embeddings (b, d) and logits (b, outputs) of images (b, channels, H, W), float32, in evaluation mode."""
    with evaluation_mode(network), autocast(images.device, precision):
        found = activations(network, images, [PENULTIMATE, LOGITS])
    return found[PENULTIMATE].float(), found[LOGITS].float()


def forward_all(network: nn.Module, task: Task) -> tuple[Tensor, Tensor]:
    """Embeddings (N, d) and logits (N, outputs) of all the task's images, as `forward` gives them."""
    found = [forward(network, images, task.precision) for images in evaluation_batches(task.images, BATCH_SIZE)]
    embeddings, logits = (torch.cat(each) for each in zip(*found, strict=True))
    return embeddings, logits


def label_targets(task: Task, smoothing: float = 0.0) -> OfImages:
    """The labels themselves, one-hot; smoothing: the share that is spread evenly over all classes."""
    targets = one_hot(task.labels, task.classes).float() * (1 - smoothing) + smoothing / task.classes
    return lambda images, index: targets[index]


def fixed_targets(embeddings: Tensor, logits: Tensor, split: lelp.Splitter, temperature: float) -> OfImages:
    """Targets computed once, from the teacher's embeddings (N, d) and logits (N, outputs) of all images as they are."""
    every = torch.arange(len(logits), device=logits.device).split(BATCH_SIZE)
    targets = torch.cat([_targets(embeddings[index], logits[index], index, split, temperature) for index in every])
    return lambda images, index: targets[index]


def online_targets(teacher: nn.Module, split: lelp.Splitter, precision: torch.dtype, temperature: float) -> OfImages:
    """Targets of each image as the student sees it, augmented; pieces that only training samples have stay theirs."""

    def targets(images: Tensor, index: Tensor) -> Tensor:
        return _targets(*forward(teacher, images, precision), index, split, temperature)

    return targets


def _targets(embeddings: Tensor, logits: Tensor, index: Tensor, split: lelp.Splitter, temperature: float) -> Tensor:
    pieces = split(embeddings, index, lelp.probabilities(logits, temperature))
    return lelp.targets(logits, pieces, temperature)


def fixed_embeddings(embeddings: Tensor) -> OfImages:
    """The teacher's embeddings (N, d) of the images as they are."""
    return lambda images, index: embeddings[index]


def online_embeddings(teacher: nn.Module, precision: torch.dtype) -> OfImages:
    """The teacher's embeddings of each image as the student sees it, augmented."""
    return lambda images, index: forward(teacher, images, precision)[0]


def classification_loss(task: Task, smoothing: float) -> loop.Objective:
    """Cross-entropy to the labels, of a teacher; smoothing: of labels, as its recipe says."""
    return lambda outputs, images, index: loop.classify(outputs, images, task.labels[index], smoothing)


def invention_loss(task: Task, smoothing: float, weight: float, temperature: float) -> loop.Objective:
    """The loss of Subclass Distillation's teacher: the classes, summed over pieces, and the use of all its pieces."""

    def objective(outputs: Tensor, images: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        merged, labels = lelp.merge_logits(outputs, task.classes), task.labels[index]
        value, right = loop.classify(merged, images, labels, smoothing)
        return value + weight * lelp.contrast(outputs, temperature), right

    return objective


def distillation_loss(targets: OfImages, task: Task, temperature: float) -> loop.Objective:
    """The loss of every student: cross-entropy of its outputs to the targets."""

    def objective(outputs: Tensor, images: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        merged = lelp.merge_logits(outputs.detach(), task.classes, temperature)
        right = merged.argmax(1) == task.labels[index]
        return lelp.loss(outputs, targets(images, index), temperature), right

    return objective


class Hinted(nn.Module):
    """A student that also foretells the teacher's embedding: (B, outputs + dimension)."""

    def __init__(self, network: nn.Module, dimension: int) -> None:
        super().__init__()
        self.hint = nn.Linear(head(network).in_features, dimension)
        self.network = network  # the last, so that its head is the head of both

    def forward(self, images: Tensor) -> Tensor:
        found = activations(self.network, images, [LOGITS, PENULTIMATE])
        return torch.cat([found[LOGITS], self.hint(found[PENULTIMATE])], 1)


def hint_loss(
    objective: loop.Objective, embeddings: OfImages, reference: Tensor, outputs: int, weight: float
) -> loop.Objective:
    """FitNet (Romero et al. 2015): besides, the student's guess is to be near the teacher's embedding, standardised.

    Our reading: one stage instead of two, and the penultimate layer, which every network has.

    Args:
        embeddings: gives the teacher's, (b, d), of a batch.
        reference: (N, d), those whose mean and spread standardise.
        outputs: as many of what the student puts out come before its guess.
    """
    mean, spread = reference.mean(0), reference.std(0).clamp(min=1e-6)

    def hinted(found: Tensor, images: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        value, right = objective(found[:, :outputs], images, index)
        target = (embeddings(images, index) - mean) / spread
        return value + weight * mse_loss(found[:, outputs:], target), right

    return hinted


def train(
    network: nn.Module,
    recipe: params.Train,
    seed: Name,
    task: Task,
    objective: loop.Objective,
    file: Path,
    section: str = "train",
    advice: str = "",
) -> None:
    """Train the network in place. Killed and started again with the same file it goes on where it was.

    Order and augmentation depend on the seed alone, so that students of one seed see the same batches.

    Args:
        objective: sees the numbers of images in the task in place of their labels.
        section: where in params.yaml the recipe stands.
        advice: what besides the recipe can be changed where the objective does not stay finite.

    Raises InputError if training fails.
    """
    index = torch.arange(len(task.labels), device=task.labels.device)
    try:
        run.train(network, recipe, seed, task.images, index, task.precision, file, objective, section=section)
    except loop.Diverged as error:
        raise InputError(f"{error}{advice and f', or {advice}'}") from error


def merged_accuracy(logits: Tensor, task: Task, temperature: float) -> float:
    """Share of the task's images whose logits (N, outputs) merge into the right class."""
    merged = lelp.merge_logits(logits, task.classes, temperature)
    return (merged.argmax(1) == task.labels).sum().item() / len(task.labels)


def accuracy(network: nn.Module, task: Task, temperature: float) -> float:
    """The same of a network's logits, in evaluation mode."""
    return merged_accuracy(forward_all(network, task)[1], task, temperature)


def augmented_accuracy(network: nn.Module, task: Task, recipe: params.Train) -> float:
    """A teacher's share of right classes in one epoch of the images that a student by this recipe sees."""
    generators = torch_generator("distill", "augmented", "order"), torch_generator("distill", "augmented")
    own = task.images, task.labels, recipe.batch_size, *generators, recipe.crop, recipe.flip
    right = [
        (forward(network, images, task.precision)[1].argmax(1) == labels).double().mean().item()
        for images, labels in training_batches(*own, padding=recipe.padding)
    ]
    return fmean(right)
