"""The methods of distillation that are compared, in one table, and how each splits the teacher's classes into pieces.

A further method is a row of `METHODS`, a function where it splits classes as no other does, and its name among the
values that `frame/sections.py` allows.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hidden_structure.distillation.lelp import Splitter, assign, lelp, need_room, whole
from hidden_structure.frame import artifacts, params
from hidden_structure.frame.errors import about
from hidden_structure.frame.sections import Lelp
from hidden_structure.networks.features import head
from hidden_structure.recovery.clustering import kmeans, reduce_within
from hidden_structure.seeding import numpy_generator, seed_of, torch_generator

LOO = "Loo, Iliopoulos, Hu, Vee 2024"


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
        had = METHODS[method].hyperparameters
        return {name: value if name in had else None for name, value in vars(self).items()}


@dataclass(frozen=True, eq=False)
class Embeddings:
    """A teacher's embeddings of the training images, and what else classes may be split by.

    values: (N, d). labels: int64 (N,). weight: (C, d), of the teacher's last layer. fine: int64 (N,), the classes
    before the merge, which only the oracle sees. map: where t-SNE's map is kept, for it takes long; None: nowhere.
    """

    values: Tensor
    labels: Tensor
    weight: Tensor
    fine: Tensor
    cluster: params.Cluster
    map: Path | None = None

    @property
    def classes(self) -> int:
        return len(self.weight)

    @cached_property
    def tsne(self) -> np.ndarray:
        """(N, 2), every class by itself."""
        if self.map is not None and self.map.is_file():
            return artifacts.read_arrays(self.map, {"points": ("f", 2)})["points"]
        values, labels = self.values.cpu().numpy(), self.labels.cpu().numpy()
        points = reduce_within(values, labels, "tsne", self.cluster.perplexity, self.cluster.components, "distill")
        if self.map is not None:
            artifacts.write_arrays(self.map, {"points": points})
        return points


Split = Callable[[Embeddings, Choice, Lelp], Splitter]


def whole_classes(embeddings: Embeddings, choice: Choice, steps: Lelp) -> Splitter:
    """Classes left whole."""
    return whole(embeddings.classes)


def invented_pieces(embeddings: Embeddings, choice: Choice, steps: Lelp) -> Splitter:
    """Pieces that are outputs of the teacher itself, and are not split any further."""
    return whole(embeddings.classes * choice.subclasses)


def projections(embeddings: Embeddings, choice: Choice, steps: Lelp, name: str) -> Splitter:
    """The pieces of LELP; name: of its random generator."""
    generator = torch_generator("distill", name, choice.subclasses)
    arrays = embeddings.values, embeddings.labels, embeddings.weight
    return lelp(*arrays, choice.subclasses, choice.beta, generator, **steps.model_dump())


def random_projections(embeddings: Embeddings, choice: Choice, steps: Lelp, name: str) -> Splitter:
    """LELP with random axes in place of the principal ones: so they keep to the null space, too."""
    return projections(embeddings, choice, steps.model_copy(update={"pca": False}), name)


def random_pieces(embeddings: Embeddings, choice: Choice, steps: Lelp) -> Splitter:
    """Every training image in a piece drawn at random."""
    generator, count = numpy_generator("distill", "random", choice.subclasses), len(embeddings.labels)
    return _assigned(embeddings, generator.permutation(count) % choice.subclasses)


def clusters(embeddings: Embeddings, choice: Choice, steps: Lelp) -> Splitter:
    """The clusters of k-means on the embeddings, inside each class."""
    return _assigned(embeddings, _kmeans_within(embeddings, embeddings.values.cpu().numpy(), choice, "kmeans"))


def clusters_of_map(embeddings: Embeddings, choice: Choice, steps: Lelp) -> Splitter:
    """The clusters of k-means on t-SNE's map of each class."""
    return _assigned(embeddings, _kmeans_within(embeddings, embeddings.tsne, choice, "tsne-kmeans"))


def true_subclasses(embeddings: Embeddings, choice: Choice, steps: Lelp) -> Splitter:
    """The classes before the merge, numbered 0, 1, ... inside each class."""
    fine, labels = embeddings.fine.cpu().numpy(), embeddings.labels.cpu().numpy()
    pieces = np.empty_like(fine)
    for label in np.unique(labels):
        inside = labels == label
        pieces[inside] = np.unique(fine[inside], return_inverse=True)[1]
    return _assigned(embeddings, pieces)


def _kmeans_within(embeddings: Embeddings, points: np.ndarray, choice: Choice, name: str) -> np.ndarray:
    labels, count, pieces = embeddings.labels.cpu().numpy(), choice.subclasses, np.empty(len(points), np.int64)
    for label in np.unique(labels):
        inside, seed = labels == label, seed_of("distill", name, count, int(label))
        pieces[inside] = kmeans(points[inside], count, embeddings.cluster.restarts, seed)
    return pieces


def _assigned(embeddings: Embeddings, pieces: np.ndarray) -> Splitter:
    return assign(embeddings.labels, torch.from_numpy(pieces).to(embeddings.labels.device), embeddings.classes)


@dataclass(frozen=True)
class Method:
    """A method of distillation.

    label, source: what it is called, and whose it is.
    hyperparameters: names of `Choice`'s values that it has, in the order in which they are chosen.
    split: makes the pieces of the classes.
    axes: each piece needs a dimension of the embeddings for itself.
    taught: by a teacher; False: by the labels.
    invented: the teacher is another one, trained to invent as many pieces a class as are asked for.
    hint: besides, the student is to foretell the teacher's embeddings.
    """

    label: str
    source: str
    hyperparameters: tuple[str, ...]
    split: Split = whole_classes
    axes: bool = False
    taught: bool = True
    invented: bool = False
    hint: bool = False

    def temperature(self, choice: Choice) -> float:
        """The temperature of the student's outputs, which labels have none of."""
        return choice.temperature if self.taught else 1.0


TEMPERED = ("temperature",)
SPLIT = (*TEMPERED, "subclasses")
SOFTLY_SPLIT = (*SPLIT, "beta")
METHODS = {
    "alone": Method("student alone", "", (), taught=False),
    "kd": Method("KD", "Hinton, Vinyals, Dean 2015", TEMPERED),
    "fitnet": Method("FitNet", "Romero et al. 2015", TEMPERED, hint=True),
    "subclass": Method(
        "Subclass Distillation", "Müller, Kornblith, Hinton 2020", SPLIT, invented_pieces, invented=True
    ),
    "random": Method("random pieces", LOO, SPLIT, random_pieces),
    "random-projections": Method(
        "random projections", LOO, SOFTLY_SPLIT, partial(random_projections, name="random-projections"), axes=True
    ),
    "kmeans": Method("k-means", LOO, SPLIT, clusters),
    "tsne-kmeans": Method("t-SNE + k-means", LOO, SPLIT, clusters_of_map),
    "lelp": Method("LELP", LOO, SOFTLY_SPLIT, partial(projections, name="lelp"), axes=True),
    "oracle": Method("oracle", LOO, TEMPERED, true_subclasses),
}


def splitter(method: str, choice: Choice, embeddings: Embeddings, steps: Lelp) -> Splitter:
    """The pieces of a method.

    steps: of LELP.

    Raises InputError, naming the method and the number of pieces, where the embeddings cannot be split so.
    """
    with _about(method, choice.subclasses):
        return METHODS[method].split(embeddings, choice, steps)


def check_room(settings: params.Distill, teacher: nn.Module) -> None:
    """Raises InputError, before anything is trained, if the teacher's embeddings have too few dimensions for the pieces
    of a method that needs one for each. Trained weights read as many dimensions as there are classes."""
    layer, subclasses = head(teacher), max(settings.subclasses)
    read = min(layer.in_features, layer.out_features) if settings.lelp.null_space else 0
    for method in settings.methods:
        if METHODS[method].axes:
            with _about(method, subclasses):
                need_room(subclasses, layer.in_features, read)


def candidates(settings: params.Distill, best: Choice, name: str) -> list[Choice]:
    """The best choice so far, with every value of one hyper-parameter in turn."""
    values = {"subclasses": settings.subclasses, "beta": settings.betas, "temperature": settings.temperatures}[name]
    return [replace(best, **{name: value}) for value in values]


def _about(method: str, subclasses: int) -> AbstractContextManager[None]:
    return about(f"{method}, with distill.subclasses {subclasses}")
