"""params.yaml as typed, validated sections: an unknown key or a bad value is an error that names it.

Every key must be present (null where it has no meaning), so that two studies compare line by line.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML

from hidden_structure.errors import InputError

PositiveInt = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


def _distinct(values: list) -> list:
    if len(set(values)) != len(values):
        raise ValueError("must not repeat a value")
    return values


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Hardware(Section):
    """What computes: part of the recipe, because another device or precision gives other bytes."""

    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "float32", "bfloat16"]


class Data(Section):
    source: Literal["digits", "mnist", "fashion-mnist", "cifar10", "cifar100", "folder"]
    folder: str | None  # where the files lie; null: the source's own default (its download, or none needed)
    size: PositiveInt | None  # side in pixels to which a folder's images are resized; null: as they are
    test_fraction: Annotated[float, Field(gt=0, lt=1)]  # held out by sources that have no test set of their own
    superclasses: str | None  # a folder's table of super-classes (YAML: super-class name -> class names)
    seed: Annotated[int, Field(ge=0)]


class Merge(Section):
    method: Literal["modulo", "groups", "superclass", "semantic", "random"]
    classes: Annotated[int, Field(ge=2)] | None  # coarse classes, for modulo and random
    groups: dict[str, list[str]] | None  # for groups: coarse name -> class names
    seed: Annotated[int, Field(ge=0)]  # for random

    @property
    def name(self) -> str:
        """What tells it from other merges of the same data."""
        classes = [] if self.classes is None else [str(self.classes)]
        return "-".join([self.method, *classes, *([str(self.seed)] if self.method == "random" else [])])


class Network(Section):
    name: Annotated[str, Field(pattern=r"^(mlp|resnet|vgg|torchvision:[a-z0-9_]+)$")]
    depth: PositiveInt | None  # hidden layers of mlp; 8, 20, 32, ... of resnet; 11, 13, 16, 19 of vgg
    width: PositiveInt | None  # units a layer of mlp; channels of the first stage of resnet (16) and vgg (64)
    norm: Literal["batch", "layer", "group", "none"] | None


class Train(Section):
    epochs: PositiveInt
    batch_size: PositiveInt
    optimizer: Literal["sgd", "adam"]
    lr: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)]
    nesterov: bool
    weight_decay: NonNegative
    schedule: Literal["constant", "step", "cosine", "one-cycle"]
    warmup: Annotated[float, Field(ge=0, lt=1)]  # share of training in which lr rises linearly from 0
    milestones: list[Annotated[float, Field(gt=0, lt=1)]]  # of step: the shares of training after which ...
    factor: Annotated[float, Field(gt=0, le=1)]  # ... lr is multiplied by this
    crop: Annotated[int, Field(ge=0)]  # pixels of padding before a random crop; 0: no crop
    flip: bool
    snapshots: Annotated[int, Field(ge=2)]  # log-spaced epochs, first and last included, whose weights are kept

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "Train":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: true needs momentum above 0")
        return self


class Spawn(Section):
    """The networks whose connectivity is studied, all on fine labels; no seeds: this part of the study is left out."""

    seeds: Annotated[list[Annotated[int, Field(ge=0)]], AfterValidator(_distinct)]
    network: Network | None  # null: the study's own
    train: Train | None  # null: the study's own
    spawned: PositiveInt  # as many of the seeds, from the first on, also have children
    epochs: Annotated[
        list[Annotated[int, Field(ge=0)]], Field(min_length=1), AfterValidator(_distinct)
    ]  # k: after how many epochs the two children part
    children: Annotated[
        list[dict[str, Any]], Field(min_length=2, max_length=2)
    ]  # keys of train in which each child's recipe differs from the trunk's; {}: in none
    widths: Annotated[list[Positive], AfterValidator(_distinct)]  # further networks: multiples of network.width ...
    weight_decays: Annotated[list[NonNegative], AfterValidator(_distinct)]  # ... and other weight decays


class Merges(Section):
    """Other ways of merging the labels, a network trained on each; none: this part of the study is left out."""

    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), AfterValidator(_distinct)]
    train: Train | None  # null: the study's own
    kinds: list[Merge]

    @model_validator(mode="after")
    def _kinds_differ(self) -> "Merges":
        _distinct([kind.name for kind in self.kinds])
        return self


class Split(Section):
    """Classes split at random into several labels each; no seeds: this part of the study is left out."""

    seeds: Annotated[list[Annotated[int, Field(ge=0)]], AfterValidator(_distinct)]
    train: Train | None  # null: the study's own
    classes: PositiveInt | None  # as many of the classes are split, the first ones; null: all
    parts: Annotated[int, Field(ge=2)]  # labels that each is split into


class Sweep(Section):
    """The coarse network over a grid of recipes; an empty list: this part of the study is left out."""

    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), AfterValidator(_distinct)]
    train: Train | None  # null: the study's own
    lrs: Annotated[list[Positive], AfterValidator(_distinct)]
    weight_decays: Annotated[list[NonNegative], AfterValidator(_distinct)]
    address: str | None  # of a Ray cluster; null: an instance on this machine ...
    workers: PositiveInt  # ... of so many processes, each with its share of the cores


class Unconstrained(Section):
    """The unconstrained features model, under both losses, with and without bias."""

    classes: Annotated[int, Field(ge=3)]
    per_class: PositiveInt  # samples a class; of a minority class, where classes are imbalanced
    dimension: PositiveInt  # of the features; no less than classes
    weight_decay: Positive  # lambda_W
    feature_decay: Positive  # lambda_H
    bias_decay: NonNegative  # lambda_b
    starts: PositiveInt  # random starts of each case
    ratios: Annotated[list[PositiveInt], Field(min_length=1), AfterValidator(_distinct)]  # majority to minority samples


class StraightThrough(Section):
    epochs: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]  # one image has no BatchNorm statistics
    lr: Positive  # of Adam, on the weights that are projected


class Permute(Section):
    methods: Annotated[list[Literal["weights", "activations", "correlations", "ste"]], AfterValidator(_distinct)]
    restarts: PositiveInt  # random orders of coordinate ascent; the best is kept
    samples: PositiveInt  # training images whose activations are matched
    ste: StraightThrough


class Interpolate(Section):
    spawned_points: Annotated[int, Field(ge=3)]  # alphas, 0 and 1 among them, on the line of a spawned pair
    permuted_points: Annotated[int, Field(ge=3)]  # and of an independent one
    train_samples: PositiveInt | None  # training images that the loss is measured on; null: all
    repair_samples: PositiveInt | None  # training images that the repaired statistics come from; null: all
    plane_points: Annotated[int, Field(ge=3)]  # of each side of the plane through three networks


class Linearity(Section):
    alphas: Annotated[
        list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1), AfterValidator(_distinct)
    ]  # where on the line features are compared
    samples: PositiveInt | None  # test images that they are compared on; null: all


class Features(Section):
    layers: Annotated[list[str], AfterValidator(_distinct)]  # besides the penultimate one
    batch_size: PositiveInt


class Cluster(Section):
    reducers: Annotated[
        list[Literal["tsne", "pca", "raw"]], Field(min_length=1), AfterValidator(_distinct)
    ]  # the first is the one that the claims speak of
    perplexity: Annotated[float, Field(ge=1, allow_inf_nan=False)]
    components: PositiveInt  # of pca
    restarts: PositiveInt  # of k-means
    l2: NonNegative  # of the linear probe


class Report(Section):
    points: PositiveInt  # samples a super-class drawn in the maps


class Study(Section):
    study: Name
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), AfterValidator(_distinct)]
    hardware: Hardware
    data: Data
    merge: Merge
    network: Network
    train: Train
    features: Features
    cluster: Cluster
    merges: Merges
    split: Split
    sweep: Sweep
    unconstrained: Unconstrained
    spawn: Spawn
    permute: Permute
    interpolate: Interpolate
    linearity: Linearity
    report: Report

    @model_validator(mode="after")
    def _spawning_is_possible(self) -> "Study":
        if not self.spawn.seeds:
            return self
        if len(self.spawn.seeds) == 1:
            raise ValueError("spawn.seeds: one network makes no pair: give two seeds or more, or none")
        if self.spawn.spawned > len(self.spawn.seeds):
            raise ValueError(f"spawn.spawned: there are only {len(self.spawn.seeds)} spawn.seeds")
        trunk = trunk_recipe(self)
        if 1 in self.spawn.widths:
            raise ValueError("spawn.widths: 1 is the network itself, which is always there: leave it out")
        if trunk.weight_decay in self.spawn.weight_decays:
            raise ValueError(f"spawn.weight_decays: {trunk.weight_decay:g} is the recipe's own: leave it out")
        for index in range(2):
            recipe = child_recipe(self, index)
            if recipe.optimizer != trunk.optimizer:
                raise ValueError(f"spawn.children.{index}: a child keeps its trunk's optimizer, {trunk.optimizer}")
            if max(self.spawn.epochs) >= recipe.epochs:
                raise ValueError(f"spawn.epochs: children must part before the last of {recipe.epochs} epochs")
        return self


def trunk_recipe(study: Study) -> Train:
    return study.spawn.train or study.train


def child_recipe(study: Study, index: int) -> Train:
    """The recipe of child 0 or 1. Raises ValueError if spawn.children makes no valid recipe of the trunk's."""
    try:
        return Train.model_validate(trunk_recipe(study).model_dump() | study.spawn.children[index])
    except ValidationError as error:
        raise ValueError(f"spawn.children.{index}: {_first_problem(error, Train)}") from error


def load(path: Path = Path("params.yaml")) -> Study:
    """Read and check one study.

    Raises InputError, in one line that names the key, if the file is missing or not YAML 1.2, a key is unknown,
    missing or repeated, or a value is of the wrong type or impossible.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing: run from the repository's root, or copy one of studies/ there") from error
    except Exception as error:  # besides YAMLError the reader lets KeyError, IndexError, RecursionError ... through
        raise InputError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} must map section names to sections")
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {_first_problem(error)}") from error


def _first_problem(error: ValidationError, whole: type[BaseModel] = Study) -> str:
    """The first problem in one line; an unknown key before a missing one, since it is mostly the same one misspelt."""
    problem = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    key = ".".join(map(str, problem["loc"])) or "the file"
    if problem["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(problem["loc"][-1]), _keys_beside(problem["loc"], whole), n=1)
        return f"unknown key {key}" + (f": did you mean {close[0]}?" if close else ": remove it")
    if problem["type"] == "missing":
        return f"key {key} is missing: add it (null where it has no meaning)"
    message = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:  # of the whole, so the message names its key itself
        return message
    return f"{key}: {message[0].lower() + message[1:]}, got {problem['input']!r:.80}"


def _keys_beside(location: tuple, section: type[BaseModel]) -> list[str]:
    for name in location[:-1]:
        annotation = section.model_fields[name].annotation if name in section.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        section = annotation
    return list(section.model_fields)
