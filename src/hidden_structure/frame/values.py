"""What a value of params.yaml may be: kinds of numbers, texts and lists with their bounds.

Upper bounds lie far beyond any published study. They stand between a slip of the keyboard and a run without end.
"""

import json
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

T = TypeVar("T")

FAMILIES = ("mlp", "resnet", "vgg", "speedrun")
LIBRARIES = r"torchvision:[a-z0-9_]+|timm:[a-z0-9_.]+"  # networks by name
NETWORKS = rf"^({'|'.join(FAMILIES)}|{LIBRARIES}|[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*)$"
LINE = r"^[^\p{Cc}\p{Zl}\p{Zp}]+$"  # with nothing invisible in it
NAME = r"^[a-z0-9][a-z0-9-]*$"
WIDEST = 65_536  # units of a layer
ALONE, LIST = "one-value", "several-values"  # forms of a value that may be several
FREE_FEATURES = 10**7  # of the unconstrained features model: its solver keeps some forty vectors of that length


def distinct(values: list) -> list:
    if len(set(values)) != len(values):
        raise ValueError("must not repeat a value")
    return values


def ascending(values: list) -> list:
    if values != sorted(distinct(values)):
        raise ValueError("must be in ascending order")
    return values


def odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("must be odd, so that one of the points is halfway")
    return value


def halfway(values: list) -> list:
    if 0.5 not in values:
        raise ValueError("must hold 0.5: claims speak of networks halfway")
    return values


def form(given: object) -> str:
    return LIST if isinstance(given, list) else ALONE


def plain(values: dict) -> dict:
    try:
        written = json.dumps(values, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        said = "may hold texts, finite numbers, true, false, null, lists and mappings"
        raise PydanticCustomError("plain", said) from error  # a ValueError of a mapping is taken for a section's
    if len(written) > 10_000:
        raise PydanticCustomError("plain", "must be shorter than 10,000 characters")
    return values


Text = Annotated[str, Field(pattern=LINE, max_length=1000)]
Name = Annotated[str, Field(pattern=NAME, max_length=64)]  # also a folder of reports/
Set = Annotated[list[T], Field(max_length=1000), AfterValidator(distinct)]
Some = Annotated[list[T], Field(min_length=1, max_length=1000), AfterValidator(distinct)]
OneOrSome = Annotated[Annotated[T, Tag(ALONE)] | Annotated[Some[T], Tag(LIST)], Discriminator(form)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Size = Annotated[int, Field(ge=1, le=10**6)]  # of a batch, or a number of images
Epochs = Annotated[int, Field(ge=1, le=100_000)]
Restarts = Annotated[int, Field(ge=1, le=10_000)]
Classes = Annotated[int, Field(ge=2, le=100_000)]
Points = Annotated[int, Field(ge=3, le=1001), AfterValidator(odd)]  # on a line between two networks, a pass each
Width = Annotated[int, Field(ge=1, le=WIDEST)]
Inside = Annotated[float, Field(gt=0, lt=1)]
Alphas = Annotated[Some[Inside], AfterValidator(halfway)]
Rate = Annotated[float, Field(gt=0, le=1e3)]  # of learning
Weight = Annotated[float, Field(ge=0, le=1e3)]  # of a term of the loss, such as weight decay
Pieces = Annotated[int, Field(ge=2, le=1000)]  # of a class
Share = Annotated[float, Field(ge=0, lt=1)]
Temperature = Annotated[float, Field(ge=1e-3, le=1e3)]  # beyond, a softmax is one-hot or uniform to float32
NetworkName = Annotated[str, Field(pattern=NETWORKS, max_length=200)]

MATCHINGS = ("weights", "activations", "correlations", "ste", "joint")  # methods of matching units
DISTILLATIONS = (
    "alone",  # the student on the labels
    "labels",  # the same, at the temperature of a teacher's outputs: the control of what a temperature does by itself
    "kd",
    "fitnet",
    "subclass",
    "random",  # pieces at random: the control
    "random-projections",
    "kmeans",
    "kmeans-soft",  # each image in all clusters, by its distance from them
    "tsne-kmeans",
    "lelp",
    "lelp-hard",  # each image in its likeliest piece alone
    "oracle",  # the true fine classes
    "oracle-soft",  # as a linear layer on the teacher's embeddings tells them
)
HARD_PIECES = {"random", "kmeans", "tsne-kmeans", "lelp-hard", "oracle"}  # which softnesses are tried with ...
SOFT_PIECES = {"random-projections", "kmeans-soft", "lelp", "oracle-soft"}  # ... and betas
