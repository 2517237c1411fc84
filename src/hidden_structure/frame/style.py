"""The section of params.yaml that says how figures look."""

from typing import Annotated, Literal

from pydantic import Field

from hidden_structure.frame.section import Section
from hidden_structure.frame.values import Set, Text


class Style(Section):
    """How figures are drawn and saved: what a journal asks for."""

    width: Annotated[float, Field(ge=2, le=20)]
    font: Text
    size: Annotated[float, Field(ge=4, le=24)]
    formats: Set[Literal["pdf", "svg", "png", "pgf"]]
    dpi: Annotated[int, Field(ge=72, le=2400)]
    mplstyle: Text | None
