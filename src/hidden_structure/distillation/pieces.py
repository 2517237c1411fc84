"""How each method of distillation splits the classes, and which hyper-parameters it has."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from hidden_structure.distillation.lelp import Splitter, assign, lelp, need_room, whole
from hidden_structure.frame import params
from hidden_structure.frame.errors import about
from hidden_structure.networks.features import head
from hidden_structure.recovery.clustering import kmeans, reduce_within
from hidden_structure.seeding import numpy_generator, seed_of, torch_generator

HYPERPARAMETERS = {  # of each method, in the order in which they are chosen
    "alone": (),
    "kd": ("temperature",),
    "fitnet": ("temperature",),
    "subclass": ("temperature", "subclasses"),
    "random": ("temperature", "subclasses"),
    "random-projections": ("temperature", "subclasses", "beta"),
    "kmeans": ("temperature", "subclasses"),
    "tsne-kmeans": ("temperature", "subclasses"),
    "lelp": ("temperature", "subclasses", "beta"),
    "oracle": ("temperature",),
}


@dataclass(frozen=True)
class Choice:
    """One value of each hyper-parameter; a method heeds those that it has."""

    subclasses: int
    beta: float
    temperature: float

    @property
    def name(self) -> str:
        return f"{self.subclasses}-{self.beta}-{self.temperature}"

    def of(self, method: str) -> dict[str, float | None]:
        """The hyper-parameters that the method has, and None for those that it has not."""
        return {name: value if name in HYPERPARAMETERS[method] else None for name, value in vars(self).items()}


@dataclass(frozen=True, eq=False)
class Teacher:
    """What splitting needs of a teacher: embeddings (N, d) and labels int64 (N,) of the training images, the weight
    (C, d) of its last layer; and fine labels int64 (N,), which only the oracle sees."""

    embeddings: Tensor
    labels: Tensor
    weight: Tensor
    fine: Tensor
    cluster: params.Cluster

    @property
    def classes(self) -> int:
        return len(self.weight)

    @cached_property
    def tsne(self) -> np.ndarray:
        """(N, 2), every class by itself."""
        features, settings = self.embeddings.cpu().numpy(), self.cluster
        labels = self.labels.cpu().numpy()
        return reduce_within(features, labels, "tsne", settings.perplexity, settings.components, "distill")


def check_room(settings: params.Distill, teacher: nn.Module) -> None:
    """Before anything is trained: raises InputError if the teacher's embeddings have no room for the pieces of LELP or
    of random projections. Trained weights read as many dimensions as there are classes."""
    layer = head(teacher)
    width = layer.in_features
    read = min(width, layer.out_features) if settings.lelp.null_space else 0
    for method in settings.methods:
        if method in ("lelp", "random-projections"):
            with _named(method, subclasses := max(settings.subclasses)):
                need_room(subclasses, width, read)


def _named(method: str, subclasses: int) -> AbstractContextManager[None]:
    return about(f"{method}, with distill.subclasses {subclasses}")


def splitter(method: str, choice: Choice, teacher: Teacher, steps: Mapping[str, bool]) -> Splitter:
    """The pieces of a method whose teacher is one of classes: of any but subclass.

    steps: of LELP. Random projections are LELP with random axes in place of the principal ones, and so keep to the null
    space too.

    Raises InputError, naming the method and the number of pieces, where the embeddings cannot be split so.
    """
    with _named(method, choice.subclasses):
        return _split(method, choice, teacher, steps)


def _split(method: str, choice: Choice, teacher: Teacher, steps: Mapping[str, bool]) -> Splitter:
    if method in ("alone", "kd", "fitnet"):
        return whole(teacher.classes)
    subclasses, labels = choice.subclasses, teacher.labels
    if method in ("lelp", "random-projections"):
        steps = dict(steps) | ({} if method == "lelp" else {"pca": False})
        generator = torch_generator("distill", method, subclasses)
        return lelp(teacher.embeddings, labels, teacher.weight, subclasses, choice.beta, generator, **steps)
    if method == "oracle":
        pieces = _within(teacher.fine.cpu().numpy(), labels.cpu().numpy())
    elif method == "random":
        pieces = numpy_generator("distill", "random", subclasses).permutation(len(labels)) % subclasses
    else:
        points = teacher.tsne if method == "tsne-kmeans" else teacher.embeddings.cpu().numpy()
        pieces = _clusters(points, labels.cpu().numpy(), subclasses, teacher.cluster.restarts, method)
    return assign(labels, torch.from_numpy(pieces).to(labels.device), teacher.classes)


def _within(fine: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Fine labels numbered 0, 1, ... inside each class."""
    pieces = np.empty_like(fine)
    for label in np.unique(labels):
        own = labels == label
        pieces[own] = np.unique(fine[own], return_inverse=True)[1]
    return pieces


def _clusters(points: np.ndarray, labels: np.ndarray, count: int, restarts: int, method: str) -> np.ndarray:
    found = np.empty(len(points), np.int64)
    for label in np.unique(labels):
        own = labels == label
        found[own] = kmeans(points[own], count, restarts, seed_of("distill", method, count, int(label)))
    return found


def candidates(settings: params.Distill, best: Choice, name: str) -> list[Choice]:
    """The best choice so far, with every value of one hyper-parameter in turn."""
    values = {"subclasses": settings.subclasses, "beta": settings.betas, "temperature": settings.temperatures}[name]
    return [replace(best, **{name: value}) for value in values]
