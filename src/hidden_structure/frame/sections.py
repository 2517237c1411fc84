"""The sections of params.yaml: what each key means, and which values are possible.

Upper bounds lie far beyond any published study. They stand between a slip of the keyboard and a run without end.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from hidden_structure.frame.problems import first_problem

T = TypeVar("T")

WIDEST = 65_536  # units of a layer
NETWORKS = r"^(mlp|resnet|vgg|torchvision:[a-z0-9_]+|[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*)$"
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


class Cut(Section):
    """Some keys of a section."""


def only(section: type[Section], *names: str) -> type[Cut]:
    """The section cut down to these keys: what a stage declares that reads nothing else of it."""
    fields = {name: (section.__annotations__[name], section.model_fields[name]) for name in names}
    return create_model(section.__name__, __base__=Cut, **fields)


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

    def same_as(self, other: "Merge") -> bool:
        """A seed makes a difference to random alone, and a study has one way of merging by groups."""
        seeds = self.seed == other.seed or self.method != "random"
        return (self.method, self.classes) == (other.method, other.classes) and seeds


class Network(Section):
    name: Annotated[str, Field(pattern=NETWORKS, max_length=200)]
    depth: (
        Annotated[int, Field(ge=1, le=2000)] | None
    )  # hidden layers of mlp; 8, 20, 32, ... of resnet; 11, 13, 16, 19 of vgg
    width: Width | None  # units a layer of mlp; channels of the first stage of resnet (16) and vgg (64)
    norm: Literal["batch", "layer", "group", "none"] | None
    options: dict[Text, Any] = Field(default_factory=dict, max_length=100)  # of an import path: further arguments


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

    @model_validator(mode="after")
    def _epochs_suffice(self) -> "Train":
        if self.snapshots > self.epochs + 1:
            raise ValueError(f"snapshots: at most {self.epochs + 1}, the start and every epoch")
        return self


class Spawn(Section):
    """The networks whose connectivity is studied, all on fine labels."""

    seeds: Some[Seed]
    network: Network
    train: Train
    spawned: Annotated[int, Field(ge=1, le=1000)]  # as many of the seeds, from the first on, also have children
    epochs: Some[Annotated[int, Field(ge=0, lt=100_000)]]  # k: after how many epochs the two children part
    children: Annotated[
        list[dict[Text, Any]], Field(min_length=2, max_length=2)
    ]  # keys of train in which each child's recipe differs from the trunk's; {}: in none
    widths: Set[Annotated[float, Field(gt=0, le=1000)]]  # further networks: multiples of network.width ...
    weight_decays: Set[Weight]  # ... and other weight decays

    @model_validator(mode="after")
    def _children_part_from_their_trunk(self) -> "Spawn":
        for index, changed in enumerate(self.children):
            try:
                recipe = Train.model_validate(self.train.model_dump() | changed)
            except ValidationError as error:
                raise ValueError(f"children.{index}: {first_problem(error, Train)}") from error
            if recipe.optimizer != self.train.optimizer:
                raise ValueError(f"children.{index}: a child keeps its trunk's optimizer, {self.train.optimizer}")
            if max(self.epochs) >= recipe.epochs:
                raise ValueError(f"epochs: children must part before the last of {recipe.epochs} epochs")
        if len(self.seeds) % 2:
            raise ValueError("seeds: two networks make a pair, and no two pairs share one: give an even number")
        if self.spawned > len(self.seeds):
            raise ValueError(f"spawned: there are only {len(self.seeds)} seeds")
        return self

    @model_validator(mode="after")
    def _further_networks_are_others(self) -> "Spawn":
        if 1 in self.widths:
            raise ValueError("widths: 1 is the network itself, which is always there: leave it out")
        if self.train.weight_decay in self.weight_decays:
            raise ValueError(f"weight_decays: {self.train.weight_decay:g} is the recipe's own: leave it out")
        width = self.network.width or 0
        if self.widths and width * max(self.widths) > WIDEST:
            raise ValueError(f"widths: {max(self.widths):g} times {width} is more than {WIDEST:,} units")
        return self


class Merges(Section):
    """Other ways of merging the labels, a network trained on each."""

    seeds: Some[Seed]
    train: Train
    kinds: Annotated[list[Merge], Field(min_length=1, max_length=1000)]

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
    classes: (
        Annotated[int, Field(ge=1, le=100_000)] | None
    )  # as many of the classes are split, the first ones; null: all
    parts: Annotated[int, Field(ge=2, le=1000)]  # labels that each is split into


class Sweep(Section):
    """The coarse network over a grid of recipes."""

    seeds: Some[Seed]
    train: Train
    lrs: Some[Rate]
    weight_decays: Some[Weight]
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
    """Students of a teacher that knows few classes."""

    seeds: Some[Seed]
    teacher: Literal["coarse", "own"]  # the study's coarse network, or one trained for this by the study's recipe
    merge: Merge  # what the teacher's classes are; those of the study, if its coarse network is the teacher
    network: Network  # of the student
    train: Train  # of the student
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
        if "kd" not in self.methods:
            raise ValueError("methods: kd is what all are compared with: add it")
        if (self.tuning or 0) > self.train.epochs:
            raise ValueError(f"tuning: the students themselves have only {self.train.epochs} epochs")
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
    repair_samples: Size | None  # training images that the repaired statistics come from; null: all


class Features(Section):
    layers: Set[Text]  # besides the penultimate one
    batch_size: Size


class Cluster(Section):
    reducers: Some[Literal["tsne", "pca", "raw"]]  # the first is the one that the claims speak of
    perplexity: Annotated[float, Field(ge=1, le=10_000)]
    components: Annotated[int, Field(ge=1, le=100_000)]  # of pca
    restarts: Restarts  # of k-means
    l2: Weight  # of the linear probe


class Style(Section):
    """How figures are drawn and saved: what a journal asks for."""

    width: Annotated[float, Field(ge=2, le=20)]  # inches of the text that figures are set in
    font: Text  # serif, sans-serif or the name of an installed family
    size: Annotated[float, Field(ge=4, le=24)]  # points
    formats: Set[Literal["pdf", "svg", "png", "pgf"]]  # of paper/; the page has its own png in any case
    dpi: Annotated[int, Field(ge=72, le=2400)]  # of png; images inside the other formats have 600 or more
    mplstyle: Text | None  # file of more of matplotlib's settings; those above stand, as does what keeps bytes the same


class Report(Section):
    points: Size  # samples a super-class drawn in the maps
    style: Style
