"""The section `finetune` of params.yaml."""

from typing import Annotated

from pydantic import Field

from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Train
from hidden_structure.frame.values import Alphas, Classes, Epochs, Seed, Set, Size, Some, Text

Classmates = Annotated[Set[Text], Field(min_length=2)]


class Finetune(Section):
    """The study's networks on fine labels, finetuned on two tasks, each a part of the classes."""

    seeds: Some[Seed]
    epoch: Epochs | None
    train: Train
    from_scratch: Train
    parts: Classes
    tasks: Annotated[list[Classmates], Field(min_length=2, max_length=2)] | None
    alphas: Alphas
    coefficients: Some[Annotated[float, Field(gt=0, le=10)]]
    samples: Size | None
    repair_samples: Annotated[int, Field(ge=2, le=10**6)] | None
