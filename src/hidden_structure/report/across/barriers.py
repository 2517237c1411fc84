"""Barriers against layerwise linear feature connectivity, over every line between two networks of every study.

Zhou, Yang, Yang, Yan, Hu (NeurIPS 2023): linear features along a line and no barrier on it come together. Lines that
share a network are no replications, and networks of several widths and weight decays are not alike: a replication is
one group of networks that have lines to one another, with those of the same seeds at every width and weight decay.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Tables
from hidden_structure.report.claim import Claim, Criterion, unless
from hidden_structure.report.connectivity.claims import STABLE_AT_MOST, has_learnt
from hidden_structure.report.connectivity.lines import UNALIGNED
from hidden_structure.report.linearity.claims import BENT_AT_MOST, ZHOU
from hidden_structure.report.statistics import finite, mean

IDEA = "barriers"
STRONG_FROM = 0.5  # rank correlation
PARTED, MATCHED, BARE = "parted from one trunk", "matched", "independent, not aligned"
KINDS = (PARTED, MATCHED, BARE)


@dataclass(frozen=True)
class Line:
    """cell: width and weight decay. barrier: of the test error. bend: 1 - cos of merged with interpolated features over
    1 - cos of the two ends', at the worst layer. unit: the networks that its own have lines to, directly or by others.
    replication: these and those of the same seeds in other cells."""

    study: str
    cell: str
    unit: str
    replication: str
    kind: str
    method: str
    repaired: bool
    barrier: float
    bend: float

    @property
    def alike(self) -> bool:
        """Whether both say the same: connected and linear, or neither."""
        return (self.barrier <= STABLE_AT_MOST) == (self.bend <= BENT_AT_MOST)


def lines(study: Study, tables: Tables) -> list[Line]:
    """Those that are in both tables, `lines` and `features`; none where the study has either not.

    Raises InputError if a number is missing or not finite.
    """
    bends = {_key(row): row["bend"] for row in tables("features")}
    walked = tables("lines")
    units = _connected([[(*_cell(row), seed) for seed in row["seeds"]] for row in walked])
    seeds = _connected([row["seeds"] for row in walked])  # of all recipes, which share initialisations
    return [
        Line(
            study=study.study,
            cell="width {:g}, decay {:g}{}".format(*_cell(row)),
            unit="{}/width-{}-decay-{}{}-seed-{}".format(study.study, *units[(*_cell(row), row["seeds"][0])]),
            replication=f"{study.study}/seed-{seeds[row['seeds'][0]]}",
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


def correlation(own: Sequence[Line]) -> float | None:
    """Spearman's, of barrier with bend; None of fewer than three lines, or where all agree in one of the two."""
    barrier, bend = (np.array([getattr(line, name) for line in own]) for name in ("barrier", "bend"))
    if len(own) < 3 or not (np.ptp(barrier) and np.ptp(bend)):
        return None
    return float(spearmanr(barrier, bend).statistic)


def fisher(own: Sequence[Line]) -> float | None:
    """Fisher's z (1921) of the correlation, artanh rho, in which intervals end inside -1..1; None where there is none.

    Of a perfect order, whose z is infinite, that of half a step towards the next best, in which two neighbours are
    exchanged: rho = 1 - 6 / (m^3 - m) of m lines that differ.
    """
    if (rho := correlation(own)) is None:
        return None
    count = len({(line.barrier, line.bend) for line in own})
    most = 1 - 6 / (count**3 - count)
    return math.atanh(min(max(rho, -most), most))


def within(own: Sequence[Line], of: Callable[[Sequence[Line]], float | None] = correlation) -> float | None:
    """The mean of what `of` gives within studies, widths, weight decays, recipes and repairs, of those that have it:
    over several it may be nothing but the difference between them."""
    apart = grouped(own, lambda line: f"{line.study}, {line.cell}, {line.repaired}").values()
    found = [value for value in map(of, apart) if value is not None]
    return mean(found) if found else None


def replications(own: Sequence[Line]) -> dict[str, float]:
    """Fisher's z within the lines of each replication, of those that have one."""
    found = {name: within(lines, fisher) for name, lines in grouped(own, lambda line: line.replication).items()}
    return {name: z for name, z in found.items() if z is not None}


def claims(own: Sequence[Line], unmet: Mapping[str, str]) -> Iterator[Claim]:
    """Of each study, for those of different networks are no replications of one another, over all its lines, and over
    matched ones, for over several kinds it may be nothing but their difference. unmet: study -> why it says nothing,
    or ""."""
    for study, mine in grouped(own, lambda line: line.study).items():
        matched = [line for line in mine if line.kind == MATCHED]
        for of, who, lines in (("", "two networks", mine), (".matched", "two matched networks", matched)):
            found = replications(lines)
            yield Claim(
                id=f"{IDEA}.{study}{of}",
                idea=IDEA,
                kind="ours",
                statement=f"In {study}, the barrier between {who} and how far the features between them are from "
                "linear go strongly together.",
                criterion=Criterion(
                    "Fisher's z of the rank correlation of the barrier in test error with 1 - cos of merged with "
                    "interpolated features over 1 - cos of the ends', at the worst layer, over the lines of the same "
                    "seeds, mean over each width, weight decay, recipe and repair",
                    at_least=math.atanh(STRONG_FROM),
                    origin=f"ours: a correlation of {STRONG_FROM:g}, which is strong",
                ),
                values=tuple(found.values()),
                seeds=tuple(found),
                source=ZHOU,
                unmet=unmet[study] or ("" if found else "too few lines that differ"),
            )


def _key(row: Mapping) -> tuple:
    return row["pair"], row["method"], row["repaired"]


def _cell(row: Mapping) -> tuple[float, float, str]:
    """What networks have in common besides the study: width, weight decay, and a recipe other than the study's."""
    recipe = row.get("recipe")
    return row["width"], row["weight_decay"], f", recipe {recipe}" if recipe else ""


def _connected(lines: Sequence[Sequence[Any]]) -> dict[Any, Any]:
    """Network -> the least of the networks that lines connect it with, itself among them.

    lines: the networks at the ends of each, by what their seeds name: the trunk of a pair that parted is an end of
    other lines.
    """
    found: dict[Any, Any] = {}
    for ends in lines:
        firsts = [found.get(end, end) for end in ends]
        found |= dict.fromkeys(ends, min(firsts))
        found |= {end: min(firsts) for end, first in found.items() if first in firsts}
    return found


def grouped(own: Sequence[Line], key: Callable[[Line], str]) -> dict[str, list[Line]]:
    """In the order in which each first appears."""
    return {name: [line for line in own if key(line) == name] for name in dict.fromkeys(map(key, own))}
