"""The sections of params.yaml: which values each key may have; defaults.yaml says what it means."""

import os
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from hidden_structure.frame.given import Normalise
from hidden_structure.frame.section import Section
from hidden_structure.frame.style import Style
from hidden_structure.frame.values import (
    FREE_FEATURES,
    MATCHINGS,
    Alphas,
    Classes,
    Epochs,
    Inside,
    NetworkName,
    Points,
    Rate,
    Restarts,
    Seed,
    Set,
    Size,
    Some,
    Text,
    Weight,
    Width,
    ascending,
    plain,
)


class Hardware(Section):
    """What computes: part of the recipe, because another device or precision gives other bytes."""

    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "float32", "bfloat16"]
    threads: Annotated[int, Field(ge=1, le=1024)]


class Tasks(Section):
    """Where independent computations run: no part of the recipe, because it changes no byte."""

    workers: Annotated[int, Field(ge=1, le=1024)] | None
    address: Text | None

    @property
    def keep(self) -> bool:
        """Whether a stage keeps what it has done (`workplace`): of the environment, for it belongs to no study."""
        return os.environ.get("HIDDEN_STRUCTURE_KEEP", "0") not in ("", "0")


class Data(Section):
    source: Literal["digits", "mnist", "fashion-mnist", "cifar10", "cifar100", "folder"]
    folder: Text | None
    size: Annotated[int, Field(ge=1, le=4096)] | None
    test_fraction: Inside
    superclasses: Text | None
    normalise: Normalise | None
    seed: Seed


class Merge(Section):
    method: Literal["modulo", "groups", "superclass", "semantic", "random"]
    classes: Classes | None
    groups: dict[Text, list[Text]] | None
    seed: Seed

    def same_as(self, other: "Merge") -> bool:
        """A seed makes a difference to random alone, and groups by what is in them, whatever their names and order."""
        if self.method == other.method == "groups":
            return self._parts() == other._parts()
        seeds = self.seed == other.seed or self.method != "random"
        return (self.method, self.classes) == (other.method, other.classes) and seeds

    def _parts(self) -> set[frozenset[str]]:
        return {frozenset(members) for members in (self.groups or {}).values()}


class Network(Section):
    name: NetworkName
    depth: Annotated[int, Field(ge=1, le=2000)] | None
    width: Width | None
    norm: Literal["batch", "layer", "group", "none"] | None
    options: Annotated[dict[Text, Any], AfterValidator(plain)] = Field(default_factory=dict)


class Train(Section):
    epochs: Epochs
    batch_size: Size
    optimizer: Literal["sgd", "adam", "muon"]
    lr: Rate
    momentum: Annotated[float, Field(ge=0, lt=1)]
    nesterov: bool
    weight_decay: Weight
    schedule: Literal["constant", "step", "cosine", "one-cycle"]
    warmup: Annotated[float, Field(ge=0, lt=1)]
    milestones: Annotated[list[Inside], Field(max_length=100), AfterValidator(ascending)]
    factor: Annotated[float, Field(gt=0, le=1)]
    crop: Annotated[int, Field(ge=0, le=1024)]
    flip: bool
    padding: Literal["zero", "reflect"]
    flips: Literal["random", "alternating"]
    clean: Annotated[int, Field(ge=0, le=100_000)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    decay_vectors: bool
    shift_rate: Annotated[float, Field(gt=0, le=1e3)]
    others_rate: Annotated[float, Field(gt=0, le=1e3)]
    averaging: Literal["none", "exponential", "lookahead"]
    averaging_every: Annotated[int, Field(ge=1, le=100_000)]
    averaging_decay: Inside
    snapshots: Annotated[int, Field(ge=2, le=1000)]

    @model_validator(mode="after")
    def _keys_go_together(self) -> "Train":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: true needs momentum above 0")
        if self.snapshots > self.epochs + 1:
            raise ValueError(f"snapshots: at most {self.epochs + 1}, the start and every epoch")
        if self.clean > self.epochs:
            raise ValueError(f"clean: there are only {self.epochs} epochs")
        return self


class Merges(Section):
    """Other ways of merging the labels, a network trained on each."""

    seeds: Some[Seed]
    train: Train
    kinds: Annotated[list[Merge], Field(min_length=1, max_length=1000)]
    priced: bool

    @model_validator(mode="after")
    def _kinds_differ(self) -> "Merges":
        for index, kind in enumerate(self.kinds):
            if any(kind.same_as(other) for other in self.kinds[:index]):
                raise ValueError(f"kinds.{index}: there is another {kind.method} before it that is the same")
        return self


class Split(Section):
    """Classes split at random into several labels each."""

    seeds: Some[Seed]
    train: Train
    classes: Annotated[int, Field(ge=1, le=100_000)] | None
    parts: Annotated[int, Field(ge=2, le=1000)]


class Sweep(Section):
    """The coarse network over a grid of recipes."""

    seeds: Some[Seed]
    train: Train
    lrs: Some[Rate]
    weight_decays: Some[Weight]


class Unconstrained(Section):
    """The unconstrained features model, under both losses, with and without bias."""

    classes: Annotated[int, Field(ge=3, le=1000)]
    per_class: Annotated[int, Field(ge=1, le=10**6)]
    dimension: Annotated[int, Field(ge=1, le=10**6)]
    weight_decay: Annotated[float, Field(gt=0, le=1e3)]
    feature_decay: Annotated[float, Field(gt=0, le=1e3)]
    bias_decay: Weight
    starts: Annotated[int, Field(ge=1, le=1000)]
    ratios: Some[Annotated[int, Field(ge=1, le=10**6)]]

    @model_validator(mode="after")
    def _features_can_be_solved_for(self) -> "Unconstrained":
        if self.dimension < self.classes:
            raise ValueError(f"dimension: {self.dimension} is less than classes, {self.classes}")
        majority = self.classes // 2 * max(self.ratios) + self.classes - self.classes // 2
        if self.per_class * majority * self.dimension > FREE_FEATURES:
            raise ValueError(f"per_class: times dimension and largest of ratios, more than {FREE_FEATURES:,} numbers")
        return self


class StraightThrough(Section):
    epochs: Epochs
    batch_size: Annotated[int, Field(ge=2, le=10**6)]
    lr: Rate


class Permute(Section):
    methods: Set[Literal[MATCHINGS]]
    restarts: Restarts
    samples: Size
    ste: StraightThrough


class Interpolate(Section):
    spawned_points: Points
    permuted_points: Points
    train_samples: Size | None
    test_samples: Size | None
    repair_samples: Size | None
    plane_points: Annotated[int, Field(ge=3, le=200)] | None


class Average(Section):
    """Means of several networks of spawn."""

    counts: Annotated[
        list[Annotated[int, Field(ge=2, le=1000)]], Field(min_length=1, max_length=100), AfterValidator(ascending)
    ]
    widths: Some[Annotated[float, Field(gt=0, le=1000)]]
    restarts: Restarts


class Linearity(Section):
    alphas: Alphas
    samples: Size | None
    repair_samples: Size | None


class Features(Section):
    layers: Set[Text]
    batch_size: Size


class Cluster(Section):
    reducers: Some[Literal["tsne", "pca", "raw"]]
    followed: Literal["tsne", "pca", "raw"] | None
    perplexity: Annotated[float, Field(ge=1, le=10_000)]
    components: Annotated[int, Field(ge=1, le=100_000)]
    restarts: Restarts
    l2: Weight | None


class Memorised(Section):
    train: Train


class Report(Section):
    points: Size
    style: Style
