"""What is said of networks of several widths: does what a matching leaves of the barrier fall as they widen?

Narrow networks err more, and are farther apart without any matching. So the fall stands beside that of the same pairs
not aligned, under the same repair, and beside the share of their barrier that is left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hidden_structure.frame.params import Study
from hidden_structure.report.claim import Claim, Criterion
from hidden_structure.report.connectivity import lines, planted
from hidden_structure.report.connectivity.lines import NOTICED_FROM, REPAIRED, UNALIGNED, Rows
from hidden_structure.report.controls import unless_control
from hidden_structure.report.statistics import differences, mean

SHARE_FROM = 0.05
SOURCES = ("weights", "correlations")  # methods of which their papers show what width does


@dataclass(frozen=True)
class Ends:
    """The narrowest and the widest networks. widths: theirs. lines: of each method -> seeds of a pair -> its line, no
    two sharing a network. unmet: why nothing can be said of them, or ""."""

    widths: tuple[float, float]
    lines: tuple[Mapping[str, Mapping], Mapping[str, Mapping]]
    unmet: str

    @property
    def apart(self) -> str:
        """In words, of a criterion."""
        narrow, wide = self.widths
        return f"of networks of {wide:g} times the width less that of the same seeds and {narrow:g} times"

    def pairs(self, method: str) -> list[tuple[Mapping, Mapping, Mapping, Mapping]]:
        """Of each pair of seeds of which there are all four: narrow and wide by that method, narrow and wide not
        aligned."""
        four = [one.get(name, {}) for name in (method, UNALIGNED) for one in self.lines]
        return [tuple(one[seeds] for one in four) for seeds in four[2] if all(seeds in one for one in four)]


def ends(study: Study, rows: Rows, unlearnt: Mapping[float, str]) -> Ends | None:
    """Of the study's own weight decay, the narrowest that have learnt the task; None of one width.

    rows: lines of all widths, as merged or with REPAIR; unlearnt: width -> why nothing can be said of it.
    """
    own = [row for row in rows if row["weight_decay"] == study.spawn.train.weight_decay]
    widths = sorted({row["width"] for row in lines.independent(own, UNALIGNED)})
    if len(widths) < 2:
        return None
    chosen = ([width for width in widths[:-1] if width not in unlearnt] or widths)[0], widths[-1]
    found = tuple(
        {
            method: {tuple(row["seeds"]): row for row in lines.independent(of_width, method)}
            for method in lines.methods(of_width)
        }
        for of_width in ([row for row in own if row["width"] == width] for width in chosen)
    )
    return Ends(chosen, found, next((unlearnt[width] for width in reversed(chosen) if width in unlearnt), ""))


def claims(
    idea: str, study: Study, every: Rows, trained: Claim, known: Rows, unmet: str, unlearnt: Mapping[float, str]
) -> list[Claim]:
    """Of every matching; none where there is one width. Barriers are of the test error, in fractions of 1.

    every: lines of all widths and weight decays; trained: that the networks have learnt the task; known: of the table
    `planted`; unmet: why nothing can be said of any width, or ""; unlearnt: width -> why nothing can be said of it.

    Raises InputError if a barrier is missing or not finite.
    """
    repaired, decay = lines.repairs(study), study.spawn.train.weight_decay
    rows = lines.of_repair(every, repaired)
    compared = ends(study, rows, unlearnt)
    if not compared:
        return []
    fall = Criterion(
        f"barrier in test error {compared.apart}, {REPAIRED[repaired]}",
        at_most=-NOTICED_FROM,
        origin="ours: a change beyond Frankle et al.'s noise",
    )
    smaller = Criterion(
        f"share of the barrier in test error that is left {compared.apart}, both {REPAIRED[repaired]}",
        at_most=-SHARE_FROM,
        origin="ours: a twentieth",
    )
    found = []
    for method, label in lines.methods(rows).items():
        pairs = compared.pairs(method)
        if method == UNALIGNED or not pairs:
            continue
        narrow, wide, bare_narrow, bare_wide = map(lines.heights, zip(*pairs, strict=True))
        about = {"idea": idea, "seeds": lines.names([pair[0] for pair in pairs]), "source": pairs[0][0]["source"]}
        why = unmet or compared.unmet
        for width in compared.widths:
            why = why or planted.unfound(idea, known, trained, method, width, decay)
        barriers = min(bare_narrow + bare_wide) > NOTICED_FROM
        why = why or ("" if barriers else "some of the networks have no barrier before they are matched")
        falls = tuple(differences(wide, narrow))
        controls = {"the same pairs not aligned": differences(bare_wide, bare_narrow)}
        shares = [
            [left / whole for left, whole in zip(*of, strict=True)] if barriers else []
            for of in ((narrow, bare_narrow), (wide, bare_wide))
        ]
        found += [
            Claim(
                id=f"{idea}.width.{method}",
                kind="published" if method in SOURCES else "ours",
                statement=f"The barrier that is left by {label} is lower between the widest networks than between the "
                "narrowest.",
                criterion=fall,
                values=falls,
                unmet=why or _too_little(narrow, wide, NOTICED_FROM) or unless_control(fall, falls, controls),
                **about,
            ),
            Claim(
                id=f"{idea}.width.{method}.share",
                kind="ours",
                statement=f"The share of the unaligned networks' barrier that is left by {label} is smaller between "
                "the widest networks than between the narrowest.",
                criterion=smaller,
                values=tuple(differences(shares[1], shares[0])),
                unmet=why or _too_little(*shares, SHARE_FROM),
                **about,
            ),
        ]
    return found


def _too_little(narrow: Sequence[float], wide: Sequence[float], fall: float) -> str:
    """Why what matching leaves between the narrowest networks cannot fall so far without all but vanishing; a rise
    speaks against the claim from wherever it starts."""
    if mean(narrow) >= 2 * fall or mean(wide) > mean(narrow):
        return ""
    return "matching leaves the narrowest networks too little that could fall"
