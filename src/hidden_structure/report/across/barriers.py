"""Barriers against layerwise linear feature connectivity, over every line between two networks of every study.

Zhou, Yang, Yang, Yan, Hu (NeurIPS 2023): linear features along a line and no barrier on it come together. Lines that
share a network are no replications: what is left out in turn are groups of networks that have no line to any other.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Tables
from hidden_structure.report.claim import Claim, Criterion, unless
from hidden_structure.report.connectivity.claims import STABLE_AT_MOST, has_learnt
from hidden_structure.report.connectivity.lines import UNALIGNED
from hidden_structure.report.linearity.claims import BENT_AT_MOST, ZHOU
from hidden_structure.report.statistics import finite, pseudovalues

IDEA = "barriers"
STRONG_FROM = 0.5  # rank correlation
PARTED, MATCHED, BARE = "parted from one trunk", "matched", "independent, not aligned"
KINDS = (PARTED, MATCHED, BARE)


@dataclass(frozen=True)
class Line:
    """barrier: of the test error. bend: 1 - cos of merged with interpolated features over 1 - cos of the two ends', at
    the worst layer. unit: the networks that its own have lines to, directly or by others."""

    study: str
    unit: str
    kind: str
    method: str
    repaired: bool
    barrier: float
    bend: float

    @property
    def alike(self) -> bool:
        """Whether both say the same: connected and linear, or neither."""
        return (self.barrier <= STABLE_AT_MOST) == (self.bend <= BENT_AT_MOST)


@dataclass(frozen=True)
class Correlation:
    rho: float  # Spearman's
    units: tuple[str, ...]
    values: tuple[float, ...]  # of the jackknife, one a unit


def lines(study: Study, tables: Tables) -> list[Line]:
    """Those that are in both tables, `lines` and `features`; none where the study has either not.

    Raises InputError if a number is missing or not finite.
    """
    bends = {_key(row): row["bend"] for row in tables("features")}
    walked = tables("lines")
    units = _units(walked)
    return [
        Line(
            study=study.study,
            unit=f"{study.study}/{units[_ends(row)[0]]}",
            kind=PARTED if row["k"] is not None else BARE if row["method"] == UNALIGNED else MATCHED,
            method=row["method"],
            repaired=row["repaired"],
            barrier=finite(row["barrier"]["test_error"], f"{study.study}: barrier of {row['pair']}"),
            bend=finite(bends[_key(row)], f"{study.study}: bend of {row['pair']}"),
        )
        for row in walked
        if _key(row) in bends
    ]


def learnt(study: Study, tables: Tables) -> str:
    """ "" if the networks have learnt their task, else why nothing can be said."""
    return unless(has_learnt(study, tables))


def correlation(own: Sequence[Line]) -> Correlation | None:
    """Of barrier with bend; None of fewer than three lines, or where all agree in one of the two."""
    rho = _rho(own)
    units = tuple(dict.fromkeys(line.unit for line in own))
    without = [_rho([line for line in own if line.unit != unit]) for unit in units]
    if rho is None or (len(units) > 1 and None in without):
        return None
    return Correlation(rho, units, pseudovalues(rho, without))


def claims(own: Sequence[Line], unmet: Mapping[str, str]) -> Iterator[Claim]:
    """Over all studies, then in each where there are several; unmet: study -> why it says nothing, or ""."""
    good = [line for line in own if not unmet[line.study]]
    yield _claim(f"{IDEA}.all", "Over all studies, the", good, "" if good else "no networks have learnt their task")
    for study in dict.fromkeys(line.study for line in own):
        mine = [line for line in own if line.study == study]
        yield _claim(f"{IDEA}.{study}", f"In {study}, the", mine, unmet[study])


def _claim(id: str, where: str, own: Sequence[Line], unmet: str) -> Claim:
    found = correlation(own)
    return Claim(
        id=id,
        idea=IDEA,
        kind="ours",
        statement=f"{where} higher the barrier between two networks, the less linear are the features between them.",
        criterion=Criterion(
            "rank correlation of the barrier in test error with 1 - cos of merged with interpolated features over "
            "1 - cos of the ends', at the worst layer",
            at_least=STRONG_FROM,
            origin="ours: strong; jackknife over groups of networks that share no line",
        ),
        values=found.values if found else (),
        seeds=found.units if found else (),
        source=ZHOU,
        unmet=unmet or ("" if found else "too few lines that differ"),
    )


def _rho(own: Sequence[Line]) -> float | None:
    barrier, bend = (np.array([getattr(line, name) for line in own]) for name in ("barrier", "bend"))
    if len(own) < 3 or not (np.ptp(barrier) and np.ptp(bend)):
        return None
    return float(spearmanr(barrier, bend).statistic)


def _key(row: Mapping) -> tuple:
    return row["pair"], row["method"], row["repaired"]


def _ends(row: Mapping) -> list[tuple]:
    """The networks at the ends by what their seeds name: the trunk of a pair that parted is an end of other lines."""
    return [(row["width"], row["weight_decay"], seed) for seed in row["seeds"]]


def _units(rows: Sequence[Mapping]) -> dict[tuple, str]:
    """Network -> the group of networks that lines connect it with, named by the first of them."""
    found: dict[tuple, str] = {}
    for row in rows:
        ends = _ends(row)
        names = [found.get(end) or "width-{:g}-decay-{:g}-seed-{}".format(*end) for end in ends]
        found |= dict.fromkeys(ends, names[0])
        found |= {end: names[0] for end, name in found.items() if name in names}
    return found


def grouped(own: Sequence[Line], key: Callable[[Line], str]) -> dict[str, list[Line]]:
    """In the order in which each first appears."""
    return {name: [line for line in own if key(line) == name] for name in dict.fromkeys(map(key, own))}
