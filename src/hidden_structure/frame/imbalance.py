"""The section `imbalance` of params.yaml."""

from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Train
from hidden_structure.frame.values import Classes, Seed, Size, Some, ascending


class Imbalance(Section):
    """Fine labels, the last classes with few of their training images."""

    seeds: Some[Seed]
    train: Train
    classes: Classes | None
    ratios: Annotated[
        list[Annotated[int, Field(ge=1, le=10**6)]], Field(min_length=2, max_length=100), AfterValidator(ascending)
    ]
    least: Size

    @field_validator("train")
    @classmethod
    def _as_the_model(cls, train: Train) -> Train:
        if train.label_smoothing:
            raise ValueError(
                "label_smoothing must be 0: the model of classes with few images knows plain cross-entropy"
            )
        return train

    @field_validator("ratios")
    @classmethod
    def _balanced_first(cls, ratios: list[int]) -> list[int]:
        if ratios[0] != 1:
            raise ValueError("the first must be 1, balanced classes, with which the others are compared")
        return ratios
