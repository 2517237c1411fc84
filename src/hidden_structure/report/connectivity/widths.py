"""What is said of networks of several widths: does what a matching leaves of the barrier fall as they widen?

Narrow networks err more, and are farther apart without any matching. So the fall stands beside that of the same pairs
not aligned, under the same repair, and beside the share of their barrier that is left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hidden_structure.frame.params import Study
from hidden_structure.report.claim import Claim, Criterion
from hidden_structure.report.connectivity import lines, planted
from hidden_structure.report.connectivity.lines import REPAIRED, UNALIGNED, Rows
from hidden_structure.report.controls import unless_control
from hidden_structure.report.statistics import differences, mean

NOTICED_FROM = 0.02  # of the test error
SHARE_FROM = 0.05
SOURCES = ("weights", "correlations")  # methods of which their papers show what width does


@dataclass(frozen=True)
class Ends:
    """Disjoint pairs of the narrowest and of the widest networks: method -> seeds of a pair -> its line.

    unmet: why nothing can be said of them, or "".
    """

    narrow: Mapping[str, Mapping]
    wide: Mapping[str, Mapping]
    widths: tuple[float, float]
    unmet: str

    @property
    def apart(self) -> str:
        """In words, of a criterion."""
        narrow, wide = self.widths
        return f"of networks of {wide:g} times the width less that of the same seeds and {narrow:g} times"

    def of(self, method: str, beside: str = UNALIGNED) -> tuple[Rows, Rows]:
        """The lines of the narrowest and of the widest, of those pairs that are there with the other method as well."""
        whole = [one.get(name, {}) for one in (self.narrow, self.wide) for name in (method, beside)]
        seeds = [pair for pair in whole[0] if all(pair in lines for lines in whole)]
        return tuple([one[method][pair] for pair in seeds] for one in (self.narrow, self.wide))


def ends(study: Study, rows: Rows, unlearnt: Mapping[float, str]) -> Ends | None:
    """Of the study's own weight decay, the narrowest that have learnt the task; None of one width.

    rows: lines of all widths, as merged or with REPAIR; unlearnt: width -> why nothing can be said of it.
    """
    own = [row for row in rows if row["weight_decay"] == study.spawn.train.weight_decay]
    widths = sorted({row["width"] for row in lines.independent(own, UNALIGNED)})
    if len(widths) < 2:
        return None
    chosen = ([width for width in widths[:-1] if width not in unlearnt] or widths)[0], widths[-1]
    narrow, wide = (
        {
            method: {tuple(row["seeds"]): row for row in lines.independent(of_width, method)}
            for method in lines.methods(of_width)
        }
        for of_width in ([row for row in own if row["width"] == width] for width in chosen)
    )
    return Ends(narrow, wide, chosen, next((unlearnt[width] for width in reversed(chosen) if width in unlearnt), ""))


def claims(
    idea: str, study: Study, every: Rows, trained: Claim, known: Rows, unmet: str, unlearnt: Mapping[float, str]
) -> list[Claim]:
    """Of every matching; none where there is one width.

    every: lines of all widths and weight decays; known: of the table `planted`; unmet: why nothing can be said of any
    width, or "".
    """
    repaired, decay = lines.repairs(study), study.spawn.train.weight_decay
    rows = lines.of_repair(every, repaired)
    compared = ends(study, rows, unlearnt)
    if not compared:
        return []
    found = []
    for method, label in lines.methods(rows).items():
        before, after = map(lines.heights, compared.of(method))
        if method == UNALIGNED or not before:
            continue
        bare_before, bare_after = map(lines.heights, compared.of(UNALIGNED, beside=method))
        narrow, _ = compared.of(method)
        about = {"idea": idea, "seeds": lines.names(narrow), "source": narrow[0]["source"]}
        why = unmet or compared.unmet
        for width in compared.widths:
            why = why or planted.unfound(idea, known, trained, method, width, decay)
        if not why and min(bare_before + bare_after) <= NOTICED_FROM:
            why = "some of the networks have no barrier before they are matched"
        fall = Criterion(
            f"barrier in test error {compared.apart}, {REPAIRED[repaired]}",
            at_most=-NOTICED_FROM,
            origin="ours: a change beyond Frankle et al.'s noise",
        )
        falls = tuple(differences(after, before))
        controls = {"the same pairs not aligned": differences(bare_after, bare_before)}
        found.append(
            Claim(
                id=f"{idea}.width.{method}",
                kind="published" if method in SOURCES else "ours",
                statement=f"The barrier that {label} leaves is lower between the widest networks than between the "
                "narrowest.",
                criterion=fall,
                values=falls,
                **about,
                unmet=why or _too_little(before, NOTICED_FROM) or unless_control(fall, falls, controls),
            )
        )
        share_before, share_after = (
            [left / whole if whole else 1.0 for left, whole in zip(*of, strict=True)]
            for of in ((before, bare_before), (after, bare_after))
        )
        found.append(
            Claim(
                id=f"{idea}.width.{method}.share",
                kind="ours",
                statement=f"{label.capitalize()} leaves a smaller share of the barrier between networks not aligned of "
                "the widest than of the narrowest.",
                criterion=Criterion(
                    f"share of the barrier in test error that is left {compared.apart}, both {REPAIRED[repaired]}",
                    at_most=-SHARE_FROM,
                    origin="ours: a twentieth",
                ),
                values=tuple(differences(share_after, share_before)),
                **about,
                unmet=why or _too_little(share_before, SHARE_FROM),
            )
        )
    return found


def _too_little(narrow: Sequence[float], fall: float) -> str:
    """Why what matching leaves between the narrowest networks cannot fall so far without all but vanishing."""
    return "" if mean(narrow) >= 2 * fall else "matching leaves the narrowest networks too little that could fall"
