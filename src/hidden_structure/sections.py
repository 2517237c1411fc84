"""The sections of params.yaml: what each key means, and which values are possible."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

PositiveInt = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


def distinct(values: list) -> list:
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

    seeds: Annotated[list[Annotated[int, Field(ge=0)]], AfterValidator(distinct)]
    network: Network | None  # null: the study's own
    train: Train | None  # null: the study's own
    spawned: PositiveInt  # as many of the seeds, from the first on, also have children
    epochs: Annotated[
        list[Annotated[int, Field(ge=0)]], Field(min_length=1), AfterValidator(distinct)
    ]  # k: after how many epochs the two children part
    children: Annotated[
        list[dict[str, Any]], Field(min_length=2, max_length=2)
    ]  # keys of train in which each child's recipe differs from the trunk's; {}: in none
    widths: Annotated[list[Positive], AfterValidator(distinct)]  # further networks: multiples of network.width ...
    weight_decays: Annotated[list[NonNegative], AfterValidator(distinct)]  # ... and other weight decays


class Merges(Section):
    """Other ways of merging the labels, a network trained on each; none: this part of the study is left out."""

    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), AfterValidator(distinct)]
    train: Train | None  # null: the study's own
    kinds: list[Merge]

    @model_validator(mode="after")
    def _kinds_differ(self) -> "Merges":
        distinct([kind.name for kind in self.kinds])
        return self


class Split(Section):
    """Classes split at random into several labels each; no seeds: this part of the study is left out."""

    seeds: Annotated[list[Annotated[int, Field(ge=0)]], AfterValidator(distinct)]
    train: Train | None  # null: the study's own
    classes: PositiveInt | None  # as many of the classes are split, the first ones; null: all
    parts: Annotated[int, Field(ge=2)]  # labels that each is split into


class Sweep(Section):
    """The coarse network over a grid of recipes; an empty list: this part of the study is left out."""

    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), AfterValidator(distinct)]
    train: Train | None  # null: the study's own
    lrs: Annotated[list[Positive], AfterValidator(distinct)]
    weight_decays: Annotated[list[NonNegative], AfterValidator(distinct)]
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
    ratios: Annotated[list[PositiveInt], Field(min_length=1), AfterValidator(distinct)]  # majority to minority samples


DISTILLATIONS = (  # methods
    "alone",  # the student on the labels
    "kd",
    "fitnet",
    "subclass",
    "random",  # pieces at random: the control
    "random-projections",
    "kmeans",
    "tsne-kmeans",
    "lelp",
    "oracle",  # the true fine classes
)


class Lelp(Section):
    """The steps of the projections that can be left out."""

    null_space: bool  # of the teacher's output weights
    pca: bool  # false: random axes
    rotate: bool
    standardise: bool


class Distill(Section):
    """Students of a teacher that knows few classes; no seeds: this part of the study is left out."""

    seeds: Annotated[list[Annotated[int, Field(ge=0)]], AfterValidator(distinct)]
    merge: Merge | None  # what the teacher's classes are; null: the study's merge, whose coarse network is the teacher
    network: Network | None  # of the student; null: the study's own
    train: Train | None  # of the student; null: the study's own
    methods: Annotated[list[Literal[DISTILLATIONS]], AfterValidator(distinct)]
    lelp: Lelp
    subclasses: Annotated[list[Annotated[int, Field(ge=2)]], Field(min_length=1), AfterValidator(distinct)]  # S ...
    betas: Annotated[list[Positive], Field(min_length=1), AfterValidator(distinct)]  # ... temperature of the pieces
    temperatures: Annotated[list[Positive], Field(min_length=1), AfterValidator(distinct)]  # ... and of the classes,
    validation: Annotated[float, Field(gt=0, lt=1)]  # chosen on this share of the training images ...
    tuning: PositiveInt | None  # ... by students of so many epochs; null: as many as all
    augmented: bool  # the teacher sees images augmented as the student does; false: targets are computed once
    hint: NonNegative  # weight of FitNet's second loss
    contrast: NonNegative  # weight of the teacher's second loss in Subclass Distillation ...
    contrast_temperature: Positive

    @model_validator(mode="after")
    def _something_to_compare_with(self) -> "Distill":
        if self.seeds and "kd" not in self.methods:
            raise ValueError("methods: kd is what all are compared with: add it, or leave seeds empty")
        return self


class StraightThrough(Section):
    epochs: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]  # one image has no BatchNorm statistics
    lr: Positive  # of Adam, on the weights that are projected


class Permute(Section):
    methods: Annotated[list[Literal["weights", "activations", "correlations", "ste"]], AfterValidator(distinct)]
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
        list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1), AfterValidator(distinct)
    ]  # where on the line features are compared
    samples: PositiveInt | None  # test images that they are compared on; null: all


class Features(Section):
    layers: Annotated[list[str], AfterValidator(distinct)]  # besides the penultimate one
    batch_size: PositiveInt


class Cluster(Section):
    reducers: Annotated[
        list[Literal["tsne", "pca", "raw"]], Field(min_length=1), AfterValidator(distinct)
    ]  # the first is the one that the claims speak of
    perplexity: Annotated[float, Field(ge=1, allow_inf_nan=False)]
    components: PositiveInt  # of pca
    restarts: PositiveInt  # of k-means
    l2: NonNegative  # of the linear probe


class Report(Section):
    points: PositiveInt  # samples a super-class drawn in the maps
