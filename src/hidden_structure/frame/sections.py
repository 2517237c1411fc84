"""The sections of params.yaml: what each key means, and which values are possible.

Upper bounds lie far beyond any published study. They stand between a slip of the keyboard and a run without end.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

T = TypeVar("T")

WIDEST = 65_536  # units of a layer
FREE_FEATURES = 10**7  # of the unconstrained features model: its solver keeps some forty vectors of that length


def distinct(values: list) -> list:
    if len(set(values)) != len(values):
        raise ValueError("must not repeat a value")
    return values


def ascending(values: list) -> list:
    if values != sorted(distinct(values)):
        raise ValueError("must be in ascending order")
    return values


Text = Annotated[str, Field(pattern=r"^[^\p{Cc}\p{Zl}\p{Zp}]+$", max_length=1000)]  # one line, nothing invisible in it
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)]  # also a folder of reports/
Set = Annotated[list[T], Field(max_length=1000), AfterValidator(distinct)]
Some = Annotated[list[T], Field(min_length=1, max_length=1000), AfterValidator(distinct)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Size = Annotated[int, Field(ge=1, le=10**6)]  # of a batch, or a number of images
Epochs = Annotated[int, Field(ge=1, le=100_000)]
Restarts = Annotated[int, Field(ge=1, le=10_000)]
Classes = Annotated[int, Field(ge=2, le=100_000)]
Points = Annotated[int, Field(ge=3, le=1000)]  # on a line between two networks, each a pass over the images
Width = Annotated[int, Field(ge=1, le=WIDEST)]
Inside = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(gt=0, le=1e3)]  # of learning
Weight = Annotated[float, Field(ge=0, le=1e3)]  # of a term of the loss, such as weight decay
Temperature = Annotated[float, Field(ge=1e-3, le=1e3)]  # beyond, a softmax is one-hot or uniform to float32


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Hardware(Section):
    """What computes: part of the recipe, because another device or precision gives other bytes."""

    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "float32", "bfloat16"]


class Data(Section):
    source: Literal["digits", "mnist", "fashion-mnist", "cifar10", "cifar100", "folder"]
    folder: Text | None  # where the files lie; null: the source's own default (its download, or none needed)
    size: (
        Annotated[int, Field(ge=1, le=4096)] | None
    )  # side in pixels to which a folder's images are resized; null: as they are
    test_fraction: Inside  # held out by sources that have no test set of their own
    superclasses: Text | None  # a folder's table of super-classes (YAML: super-class name -> class names)
    seed: Seed


class Merge(Section):
    method: Literal["modulo", "groups", "superclass", "semantic", "random"]
    classes: Classes | None  # coarse classes, for modulo and random
    groups: dict[Text, list[Text]] | None  # for groups: coarse name -> class names
    seed: Seed  # for random

    @property
    def name(self) -> str:
        """What tells it from other merges of the same data."""
        classes = [] if self.classes is None else [str(self.classes)]
        return "-".join([self.method, *classes, *([str(self.seed)] if self.method == "random" else [])])


class Network(Section):
    name: Annotated[str, Field(pattern=r"^(mlp|resnet|vgg|torchvision:[a-z0-9_]+)$", max_length=64)]
    depth: (
        Annotated[int, Field(ge=1, le=2000)] | None
    )  # hidden layers of mlp; 8, 20, 32, ... of resnet; 11, 13, 16, 19 of vgg
    width: Width | None  # units a layer of mlp; channels of the first stage of resnet (16) and vgg (64)
    norm: Literal["batch", "layer", "group", "none"] | None


class Train(Section):
    epochs: Epochs
    batch_size: Size
    optimizer: Literal["sgd", "adam"]
    lr: Rate
    momentum: Annotated[float, Field(ge=0, lt=1)]
    nesterov: bool
    weight_decay: Weight
    schedule: Literal["constant", "step", "cosine", "one-cycle"]
    warmup: Annotated[float, Field(ge=0, lt=1)]  # share of training in which lr rises linearly from 0
    milestones: Annotated[
        list[Inside], Field(max_length=100), AfterValidator(ascending)
    ]  # of step: the shares of training after which ...
    factor: Annotated[float, Field(gt=0, le=1)]  # ... lr is multiplied by this
    crop: Annotated[int, Field(ge=0, le=1024)]  # pixels of padding before a random crop; 0: no crop
    flip: bool
    snapshots: Annotated[
        int, Field(ge=2, le=1000)
    ]  # log-spaced epochs, first and last included, whose weights are kept

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "Train":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: true needs momentum above 0")
        return self


class Spawn(Section):
    """The networks whose connectivity is studied, all on fine labels; no seeds: this part of the study is left out."""

    seeds: Set[Seed]
    network: Network | None  # null: the study's own
    train: Train | None  # null: the study's own
    spawned: Annotated[int, Field(ge=1, le=1000)]  # as many of the seeds, from the first on, also have children
    epochs: Some[Annotated[int, Field(ge=0, lt=100_000)]]  # k: after how many epochs the two children part
    children: Annotated[
        list[dict[Text, Any]], Field(min_length=2, max_length=2)
    ]  # keys of train in which each child's recipe differs from the trunk's; {}: in none
    widths: Set[Annotated[float, Field(gt=0, le=1000)]]  # further networks: multiples of network.width ...
    weight_decays: Set[Weight]  # ... and other weight decays


class Merges(Section):
    """Other ways of merging the labels, a network trained on each; none: this part of the study is left out."""

    seeds: Some[Seed]
    train: Train | None  # null: the study's own
    kinds: Annotated[list[Merge], Field(max_length=1000)]

    @model_validator(mode="after")
    def _kinds_differ(self) -> "Merges":
        names = [kind.name for kind in self.kinds]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"kinds.{index}: there is another {name}")
        return self


class Split(Section):
    """Classes split at random into several labels each; no seeds: this part of the study is left out."""

    seeds: Set[Seed]
    train: Train | None  # null: the study's own
    classes: (
        Annotated[int, Field(ge=1, le=100_000)] | None
    )  # as many of the classes are split, the first ones; null: all
    parts: Annotated[int, Field(ge=2, le=1000)]  # labels that each is split into


class Sweep(Section):
    """The coarse network over a grid of recipes; an empty list: this part of the study is left out."""

    seeds: Some[Seed]
    train: Train | None  # null: the study's own
    lrs: Set[Rate]
    weight_decays: Set[Weight]
    address: Text | None  # of a Ray cluster; null: an instance on this machine ...
    workers: Annotated[int, Field(ge=1, le=1024)]  # ... of so many processes, each with its share of the cores


class Unconstrained(Section):
    """The unconstrained features model, under both losses, with and without bias."""

    classes: Annotated[int, Field(ge=3, le=1000)]
    per_class: Annotated[
        int, Field(ge=1, le=10**6)
    ]  # samples a class; of a minority class, where classes are imbalanced
    dimension: Annotated[int, Field(ge=1, le=10**6)]  # of the features; no less than classes
    weight_decay: Annotated[float, Field(gt=0, le=1e3)]  # lambda_W
    feature_decay: Annotated[float, Field(gt=0, le=1e3)]  # lambda_H
    bias_decay: Weight  # lambda_b
    starts: Annotated[int, Field(ge=1, le=1000)]  # random starts of each case
    ratios: Some[Annotated[int, Field(ge=1, le=10**6)]]  # majority to minority samples

    @model_validator(mode="after")
    def _features_can_be_solved_for(self) -> "Unconstrained":
        if self.dimension < self.classes:
            raise ValueError(f"dimension: {self.dimension} is less than classes, {self.classes}")
        majority = self.classes // 2 * max(self.ratios) + self.classes - self.classes // 2
        if self.per_class * majority * self.dimension > FREE_FEATURES:
            raise ValueError(
                f"per_class: times dimension and the largest of ratios, more than {FREE_FEATURES:,} numbers"
            )
        return self


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

    seeds: Set[Seed]
    merge: Merge | None  # what the teacher's classes are; null: the study's merge, whose coarse network is the teacher
    network: Network | None  # of the student; null: the study's own
    train: Train | None  # of the student; null: the study's own
    methods: Set[Literal[DISTILLATIONS]]
    lelp: Lelp
    subclasses: Some[Annotated[int, Field(ge=2, le=1000)]]  # S ...
    betas: Some[Temperature]  # ... temperature of the pieces
    temperatures: Some[Temperature]  # ... and of the classes,
    validation: Inside  # chosen on this share of the training images ...
    tuning: Epochs | None  # ... by students of so many epochs; null: as many as all
    augmented: bool  # the teacher sees images augmented as the student does; false: targets are computed once
    hint: Weight  # weight of FitNet's second loss
    contrast: Weight  # weight of the teacher's second loss in Subclass Distillation ...
    contrast_temperature: Temperature

    @model_validator(mode="after")
    def _something_to_compare_with(self) -> "Distill":
        if self.seeds and "kd" not in self.methods:
            raise ValueError("methods: kd is what all are compared with: add it, or leave seeds empty")
        return self


class StraightThrough(Section):
    epochs: Epochs
    batch_size: Annotated[int, Field(ge=2, le=10**6)]  # one image has no BatchNorm statistics
    lr: Rate  # of Adam, on the weights that are projected


class Permute(Section):
    methods: Set[Literal["weights", "activations", "correlations", "ste"]]
    restarts: Restarts  # random orders of coordinate ascent; the best is kept
    samples: Size  # training images whose activations are matched
    ste: StraightThrough


class Interpolate(Section):
    spawned_points: Points  # alphas, 0 and 1 among them, on the line of a spawned pair
    permuted_points: Points  # and of an independent one
    train_samples: Size | None  # training images that the loss is measured on; null: all
    repair_samples: Size | None  # training images that the repaired statistics come from; null: all
    plane_points: Annotated[int, Field(ge=3, le=200)]  # of each side of the plane through three networks


class Linearity(Section):
    alphas: Some[Inside]  # where on the line features are compared
    samples: Size | None  # test images that they are compared on; null: all


class Features(Section):
    layers: Set[Text]  # besides the penultimate one
    batch_size: Size


class Cluster(Section):
    reducers: Some[Literal["tsne", "pca", "raw"]]  # the first is the one that the claims speak of
    perplexity: Annotated[float, Field(ge=1, le=10_000)]
    components: Annotated[int, Field(ge=1, le=100_000)]  # of pca
    restarts: Restarts  # of k-means
    l2: Weight  # of the linear probe


class Report(Section):
    points: Size  # samples a super-class drawn in the maps
