"""What is said of networks of several widths: does what a matching leaves of the barrier fall as they widen?"""

from collections.abc import Mapping, Sequence

from hidden_structure.frame.params import Study
from hidden_structure.permutation.methods import METHODS
from hidden_structure.report.claim import Claim, Criterion
from hidden_structure.report.connectivity import lines
from hidden_structure.report.connectivity.lines import REPAIRED, UNALIGNED, Rows
from hidden_structure.report.statistics import differences, mean

NOTICED_FROM = 0.02  # of the test error
SHARE_FROM = 0.05


def claims(idea: str, study: Study, every: Rows, unlearned: str, unlearnt: Mapping[float, str]) -> list[Claim]:
    """Of every matching, on pairs of the same seeds; none where there is one width.

    every: lines of all widths and weight decays; unlearned: why nothing can be said of any width, if so; unlearnt:
    width -> why nothing can be said of it.
    """
    repaired = lines.repairs(study)
    rows = lines.of_repair(every, repaired)
    found = []
    for method, label in lines.methods(rows).items():
        if method == UNALIGNED or not (compared := narrowest_and_widest(study, rows, method, unlearnt)):
            continue
        narrow, wide, why = compared
        bare = narrowest_and_widest(study, rows, UNALIGNED, unlearnt)[:2]
        ends = f"of the widest less that of networks of the same seeds and {narrow[0]['width']:g} times the width"
        own = {"idea": idea, "seeds": lines.names(wide), "source": narrow[0]["source"]}
        unmet = unlearned or why
        if not unmet and min(lines.heights(bare[0])) <= NOTICED_FROM:
            unmet = "the narrowest networks have no barrier that could fall"
        left = lines.heights(narrow)
        shares = [
            [
                matched / before
                for matched, before in zip(lines.heights(pairs), lines.heights(alone), strict=True)
                if before
            ]
            for pairs, alone in zip((narrow, wide), bare, strict=True)
        ]
        found += [
            Claim(
                id=f"{idea}.width.{method}",
                kind="published" if METHODS[method].published else "ours",
                statement=f"The wider independent networks are, the lower is the barrier that {label} leaves.",
                criterion=Criterion(
                    f"barrier in test error {ends}, {REPAIRED[repaired]}",
                    at_most=-NOTICED_FROM,
                    origin="ours: a change beyond Frankle et al.'s noise",
                ),
                values=tuple(differences(lines.heights(wide), left)),
                unmet=unmet or _too_little(left, NOTICED_FROM),
                **own,
            ),
            Claim(
                id=f"{idea}.width.{method}.share",
                kind="ours",
                statement=f"The wider independent networks are, the smaller a share {label} leaves of the barrier that "
                "the same networks have unaligned.",
                criterion=Criterion(
                    f"share of the barrier in test error that is left {ends}, both {REPAIRED[repaired]}",
                    at_most=-SHARE_FROM,
                    origin="ours: a twentieth",
                ),
                values=tuple(differences(shares[1], shares[0])) if len(shares[0]) == len(shares[1]) else (),
                unmet=unmet or _too_little(shares[0], SHARE_FROM),
                **own,
            ),
        ]
    return found


def narrowest_and_widest(
    study: Study, rows: Rows, method: str, unlearnt: Mapping[float, str]
) -> tuple[list[Mapping], list[Mapping], str] | None:
    """Disjoint pairs, aligned by that method, of the narrowest networks that have learnt the task and of the widest, by
    the study's own weight decay, and why nothing can be said of them, if so. None where there is one width."""
    decay = study.spawn.train.weight_decay
    own = lines.independent([row for row in rows if row["weight_decay"] == decay], method)
    widths = sorted({row["width"] for row in own})
    if len(widths) < 2:
        return None
    told = [width for width in widths[:-1] if width not in unlearnt] or widths[:1]
    ends = told[0], widths[-1]
    why = next((unlearnt[width] for width in reversed(ends) if width in unlearnt), "")
    return *([row for row in own if row["width"] == width] for width in ends), why


def _too_little(narrow: Sequence[float], fall: float) -> str:
    """Why what matching leaves between the narrowest networks cannot fall so far without all but vanishing."""
    return "" if mean(narrow) >= 2 * fall else "matching leaves the narrowest networks too little that could fall"
