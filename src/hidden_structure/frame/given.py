"""Sections of params.yaml on networks that were trained elsewhere."""

from typing import Annotated, Literal

from pydantic import Field

from hidden_structure.frame.section import Section
from hidden_structure.frame.values import Some, Text

Mean = Annotated[float, Field(ge=0, le=1)]
Scale = Annotated[float, Field(ge=1e-6, le=1e6)]


class Normalise(Section):
    """By what such networks normalise pixels scaled to [0, 1]: a number a channel, or one for all."""

    mean: Annotated[list[Mean], Field(min_length=1, max_length=3, description="What is subtracted from each channel")]
    std: Annotated[list[Scale], Field(min_length=1, max_length=3, description="What it is then divided by")]


class Inspect(Section):
    """Networks that are looked into."""

    checkpoints: Some[Text]
    labels: Literal["fine", "coarse"]
