"""The methods of distillation that are compared, in one table, and how each splits the teacher's classes into pieces.

A further method is a row of `METHODS`, a function where it splits classes as no other does, and its name among the
`DISTILLATIONS` of `frame/values.py`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import nn

from hidden_structure.distillation.embeddings import Embeddings
from hidden_structure.distillation.lelp import Projections, Splitter, assign, lelp, need_room, whole
from hidden_structure.frame import params
from hidden_structure.frame.distilling import Lelp
from hidden_structure.frame.errors import InputError, about
from hidden_structure.networks.features import head
from hidden_structure.recovery.clustering import TSNE_SAMPLES, kmeans
from hidden_structure.seeding import numpy_generator, seed_of, torch_generator

LOO = "Loo, Iliopoulos, Hu, Vee 2024"
OURS = "ours: a control"
CLUSTERED = ("kmeans", "kmeans-soft", "tsne-kmeans")  # with as many clusters in a class as subclasses

Invention = tuple[int, float]  # how many pieces a class a teacher invents, and the weight of the loss that makes it


@dataclass(frozen=True)
class Choice:
    """One value of each hyper-parameter; a method heeds those that it has."""

    subclasses: int
    beta: float
    softness: float
    temperature: float
    hint: float
    contrast: float

    @classmethod
    def first(cls, settings: params.Distill) -> "Choice":
        """Those that the parameters name first."""
        return cls(**{name: values(settings, name)[0] for name in TRIED})

    @property
    def name(self) -> str:
        return "-".join(map(str, vars(self).values()))

    @property
    def invention(self) -> Invention:
        return self.subclasses, self.contrast

    def of(self, method: str) -> dict[str, float | None]:
        """The hyper-parameters that the method has, and None for those that it has not."""
        had = METHODS[method].hyperparameters
        return {name: value if name in had else None for name, value in vars(self).items()}


Split = Callable[[Embeddings, Choice, Lelp], Splitter]


def whole_classes(embeddings: Embeddings, choice: Choice, steps: Lelp) -> Splitter:
    """Classes left whole."""
    return whole(embeddings.classes)


def invented_pieces(embeddings: Embeddings, choice: Choice, steps: Lelp) -> Splitter:
    """Pieces that are outputs of the teacher itself, and are not split any further."""
    return whole(embeddings.classes * choice.subclasses)


def projections(embeddings: Embeddings, choice: Choice, steps: Lelp, name: str) -> Splitter:
    """The pieces of LELP; name: of its random generator."""
    generator = torch_generator("distill", name, embeddings.teacher, choice.subclasses)
    arrays = embeddings.values, embeddings.labels, embeddings.weight
    return lelp(*arrays, choice.subclasses, choice.beta, generator, **steps.model_dump())


def random_projections(embeddings: Embeddings, choice: Choice, steps: Lelp, name: str) -> Splitter:
    """LELP with random axes in place of the principal ones: so they keep to the null space, too."""
    return projections(embeddings, choice, steps.model_copy(update={"pca": False}), name)


def random_pieces(embeddings: Embeddings, choice: Choice, steps: Lelp) -> Splitter:
    """Every training image in a piece drawn at random."""
    generator = numpy_generator("distill", "random", embeddings.teacher, choice.subclasses)
    return _assigned(embeddings, choice, generator.permutation(len(embeddings.labels)) % choice.subclasses)


def likeliest_projections(embeddings: Embeddings, choice: Choice, steps: Lelp, name: str) -> Splitter:
    """Each training image in the likeliest of the pieces of LELP of its own class, and of other classes in all alike,
    just as clusters are: so what is lost against LELP is lost by hardness, and what is gained on clusters is gained by
    projections."""
    every = torch.arange(len(embeddings.labels), device=embeddings.labels.device)
    q = projections(embeddings, choice, steps, name)(embeddings.values, every)
    return _assigned(embeddings, choice, q[every, embeddings.labels].argmax(1).cpu().numpy())


def clusters(embeddings: Embeddings, choice: Choice, steps: Lelp) -> Splitter:
    """The clusters of k-means on the embeddings, inside each class."""
    return _assigned(embeddings, choice, _clusters(embeddings, choice))


def near_clusters(embeddings: Embeddings, choice: Choice, steps: Lelp) -> Splitter:
    """The same, soft: softmax over s of minus the squared distance from the centre of s, over beta.

    A sample's own length is of no consequence, so what is left is linear in it. Scaled as projections are, by one
    number a class: the root mean square, over samples and s, of what differs between pieces.
    """
    values, labels, pieces = embeddings.values.cpu().double(), embeddings.labels.cpu(), _clusters(embeddings, choice)
    directions, offsets = [], []
    for label in range(embeddings.classes):
        own, cluster = values[labels == label], torch.from_numpy(pieces)[labels == label]
        middle = own.mean(0)
        centres = torch.stack([own[cluster == one].mean(0) for one in range(choice.subclasses)]) - middle
        lengths = centres.square().sum(1)
        nearness = 2 * (own - middle) @ centres.T - lengths
        scale = (nearness - nearness.mean(1, keepdim=True)).square().mean().sqrt()
        directions.append(2 * centres / scale)
        offsets.append((2 * centres @ middle + lengths) / scale)
    found = (torch.stack(each).to(embeddings.values) for each in (directions, offsets))
    return Projections(*found, choice.beta)


def clusters_of_map(embeddings: Embeddings, choice: Choice, steps: Lelp) -> Splitter:
    """The clusters of k-means on t-SNE's map of each class."""
    return _assigned(embeddings, choice, _kmeans_within(embeddings, embeddings.tsne, choice, "tsne-kmeans"))


def true_subclasses(embeddings: Embeddings, choice: Choice, steps: Lelp) -> Splitter:
    """The classes before the merge."""
    return _assigned(embeddings, choice, embeddings.true_pieces)


def probed_subclasses(embeddings: Embeddings, choice: Choice, steps: Lelp) -> Splitter:
    """What the teacher's embeddings say of them: a linear softmax layer inside each class, its logits over beta.

    Its probabilities, at beta 1, are those that fit the training samples best, so they are not scaled. Of other classes
    they say which of their subclasses an image is most like, which hard pieces cannot.
    """
    weight, bias = embeddings.probe
    return Projections(weight, -bias, choice.beta)


def _clusters(embeddings: Embeddings, choice: Choice) -> np.ndarray:
    return _kmeans_within(embeddings, embeddings.values.cpu().numpy(), choice, "kmeans")


def _kmeans_within(embeddings: Embeddings, points: np.ndarray, choice: Choice, name: str) -> np.ndarray:
    labels, count, pieces = embeddings.labels.cpu().numpy(), choice.subclasses, np.empty(len(points), np.int64)
    for label in np.unique(labels):
        inside, seed = labels == label, seed_of("distill", name, embeddings.teacher, count, int(label))
        pieces[inside] = kmeans(points[inside], count, embeddings.cluster.restarts, seed)
    return pieces


def _assigned(embeddings: Embeddings, choice: Choice, pieces: np.ndarray) -> Splitter:
    labels = embeddings.labels
    return assign(labels, torch.from_numpy(pieces).to(labels.device), embeddings.classes, choice.softness)


@dataclass(frozen=True)
class Method:
    """A method of distillation.

    label, source: what it is called, and whose it is.
    hyperparameters: names of `Choice`'s values that it has, in the order in which they are chosen.
    split: makes the pieces of the classes.
    axes: each piece needs a dimension of the embeddings for itself.
    taught: by a teacher; False: by the labels, at any temperature alike.
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
        """The temperature of the student's outputs: 1 where the method has none to be chosen."""
        return choice.temperature if "temperature" in self.hyperparameters else 1.0


TRIED = {
    "subclasses": "subclasses",
    "beta": "betas",
    "softness": "softnesses",
    "temperature": "temperatures",
    "hint": "hint",
    "contrast": "contrast",
}
TEMPERED = ("temperature",)
INVENTED = (*TEMPERED, "subclasses")
HARD = (*INVENTED, "softness")
SOFT = (*INVENTED, "beta")
METHODS = {
    "alone": Method("student alone", "", (), taught=False),
    # What a temperature does by itself: the loss grows with it as a rate would.
    "labels": Method("labels, at a temperature", OURS, TEMPERED, taught=False),
    "kd": Method("KD", "Hinton, Vinyals, Dean 2015", TEMPERED),
    "fitnet": Method("FitNet", "Romero et al. 2015", (*TEMPERED, "hint"), hint=True),
    "subclass": Method(
        "Subclass Distillation",
        "Müller, Kornblith, Hinton 2020",
        (*INVENTED, "contrast"),
        invented_pieces,
        invented=True,
    ),
    "random": Method("random pieces", LOO, HARD, random_pieces),
    "random-projections": Method(
        "random projections", LOO, SOFT, partial(random_projections, name="random-projections"), axes=True
    ),
    "kmeans": Method("k-means", LOO, HARD, clusters),
    "kmeans-soft": Method("k-means, soft", OURS, SOFT, near_clusters),
    "tsne-kmeans": Method("t-SNE + k-means", LOO, HARD, clusters_of_map),
    "lelp": Method("LELP", LOO, SOFT, partial(projections, name="lelp"), axes=True),
    "lelp-hard": Method("LELP, hard", OURS, HARD, partial(likeliest_projections, name="lelp"), axes=True),
    "oracle": Method("oracle", LOO, (*TEMPERED, "softness"), true_subclasses),
    "oracle-soft": Method("oracle, soft", OURS, (*TEMPERED, "beta"), probed_subclasses),
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


def divided(settings: params.Distill, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the training samples that hyper-parameters are chosen on, and of all others."""
    order, count = numpy_generator("distill", "validation").permutation(samples), settings.held_out(samples)
    return order[:count], order[count:]


def check_samples(settings: params.Distill, labels: np.ndarray) -> None:
    """Raises InputError, before anything is trained, if a method needs more training samples of a class than the
    smallest class has, without those that are held out. labels: int64 (N,), the teacher's classes."""
    _, kept = divided(settings, len(labels))
    most, fewest = max(settings.subclasses), int(np.bincount(labels[kept], minlength=labels.max() + 1).min())
    for method in settings.methods:
        if method in CLUSTERED and most > fewest:
            raise InputError(
                f"distill.subclasses: {most} are more than the {fewest} training samples of a class that are not held "
                f"out: {method}"
            )
        needed = TSNE_SAMPLES if method == "tsne-kmeans" else 2 if METHODS[method].axes else 1
        if needed > fewest:
            raise InputError(
                f"distill.methods: {method} needs {needed} training samples of each class, and one has {fewest} that "
                "are not held out: leave it out"
            )


def candidates(settings: params.Distill, best: Choice, name: str) -> list[Choice]:
    """The best choice so far, with every value of one hyper-parameter in turn."""
    return [replace(best, **{name: value}) for value in values(settings, name)]


def values(settings: params.Distill, name: str) -> list:
    """Those of a hyper-parameter that are tried; those that are mostly left alone may be written without a list."""
    given = getattr(settings, TRIED[name])
    return given if isinstance(given, list) else [given]


def _about(method: str, subclasses: int) -> AbstractContextManager[None]:
    return about(f"{method}, with distill.subclasses {subclasses}")
