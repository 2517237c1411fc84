"""A chapter of the report: one idea's findings in words, its claims, its figures and its numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure

from hidden_structure.report.claim import Claim

Tables = Callable[[str], list[dict]]  # name -> rows of tables/<name>.csv, as frame.tables reads them


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure with its texts. Drawn by calling `draw`, so that style is the writer's."""

    name: str  # of its file
    title: str
    reading: str  # how to read it
    making: str  # how it was made
    draw: Callable[[], Figure]


@dataclass(frozen=True)
class Numbers:
    """A table for readers; cells are text or numbers, None where there is none."""

    name: str
    title: str
    meaning: str  # what it holds, in a sentence or two
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, eq=False)
class Chapter:
    idea: str  # also the prefix of its claims' ids
    title: str
    question: str  # what the chapter asks, for a reader who knows the field
    findings: Sequence[str]  # what it found, in sentences with numbers; what failed first
    claims: Sequence[Claim]
    pictures: Sequence[Picture]
    numbers: Sequence[Numbers] = ()
    headline: Mapping[str, float | None] = field(default_factory=dict)  # at most 4, of metrics.json
