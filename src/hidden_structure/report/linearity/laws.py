"""Which of two laws describes features between networks better, LLFC or LEWC (`linearity/exponential.py`).

Both are held against the features of the merged network at their own worst layer and alpha, relative to the same pair's
ends; only where they differ, which is behind the first weights and at alphas other than 1/2.
"""

from collections.abc import Iterator, Sequence

from hidden_structure.frame.params import Study
from hidden_structure.report import statistics
from hidden_structure.report.chapter import Numbers
from hidden_structure.report.claim import Claim, Criterion
from hidden_structure.report.connectivity import lines
from hidden_structure.report.connectivity.calibrated import ITO
from hidden_structure.report.connectivity.lines import REPAIRED, UNALIGNED, Rows
from hidden_structure.report.statistics import differences, finite, mean, standard_error

BENT_AT_MOST = 0.2  # of how far the ends are apart, for features to be called linear
TOLD_FROM = 0.01
WHERE = "at the worst layer behind the first weights and the worst alpha other than 1/2, over that of the ends"
DIFFERENCE = f"1 - cos of merged features with LLFC's less that with LEWC's, each {WHERE}"
LAWS = {"linear": "LLFC", "exponential": "LEWC"}


def measured(rows: Rows) -> bool:
    """Whether LEWC was: not on lines of studies made earlier, nor where one half is the only alpha."""
    return bool(rows) and all("laws" in row for row in rows)


def claims(idea: str, study: Study, every: Rows, own: Rows, parted: str, unmet: str) -> list[Claim]:
    """None where LEWC was not measured. every: the lines of plain networks; own: as merged, those of the last k, after
    which its networks parted."""
    if not measured(every):
        return []
    repaired = lines.repairs(study)
    linear = Criterion(DIFFERENCE, at_most=-TOLD_FROM, origin="ours: a hundredth of how far the ends are apart")
    exponential = Criterion(DIFFERENCE, at_least=TOLD_FROM, origin=linear.origin)

    def claim(name: str, kind: str, statement: str, criterion: Criterion, rows: Rows) -> Claim:
        off = [fits(rows, law) for law in LAWS]
        values, failed = tuple(differences(*off)), unmet or neither(*off)
        return Claim(
            f"{idea}.law.{name}", idea, kind, statement, criterion, values, lines.names(rows), ITO, None, failed
        )

    found = [
        claim(
            name="parted",
            kind="ours",
            statement=f"LLFC describes the features between {parted} better than LEWC does.",
            criterion=linear,
            rows=own,
        )
    ]
    for method, label in lines.methods(every).items():
        if method != UNALIGNED:
            found.append(
                claim(
                    name=f"matched.{method}",
                    kind="ours",
                    statement=f"LLFC describes the features between independent networks aligned by {label} better "
                    f"than LEWC does, {REPAIRED[repaired]}.",
                    criterion=linear,
                    rows=lines.independent(lines.of_repair(every, repaired), method),
                )
            )
    return [
        *found,
        claim(
            name="unaligned",
            kind="ours",  # the source's are wide enough to be connected
            statement="LEWC describes the features between independent networks that are not aligned better than LLFC "
            f"does, {REPAIRED[repaired]}.",
            criterion=exponential,
            rows=lines.independent(lines.of_repair(every, repaired), UNALIGNED),
        ),
    ]


def neither(*off: Sequence[float]) -> str:
    """ "" if a law describes the features, else why nothing can be said: where the ends have nothing in common, their
    mean is nearer to whatever it is than one of them.

    off: of each law how far it is off, one a line.
    """
    least = min((mean(own) for own in off if own), default=0.0)
    return f"neither law describes them: the better one is off by {least:.2g}" if least > BENT_AT_MOST else ""


def fits(rows: Rows, law: str) -> tuple[float, ...]:
    """How far off the law is, one a line. Raises InputError if it is not finite."""
    return tuple(finite(row["laws"].get(law), f"{LAWS[law]} of {row['pair']}") for row in rows)


def groups(rows: Rows) -> Iterator[tuple[str, list]]:
    """Who, and their dated lines, no two of which share a network under one repair."""
    for row in lines.each_k(rows):
        yield lines.parted(row), lines.spawned(rows, row["k"])
    for method, label in lines.methods(rows).items():
        yield label, [row for on in REPAIRED for row in lines.independent(lines.of_repair(rows, on), method)]


def finding(rows: Rows) -> list[str]:
    """One sentence where LEWC was measured; rows: dated, of the plain networks."""
    if not measured(rows):
        return []
    said = []
    for who, own in groups(lines.of_repair(rows, False)):
        said.append(f"{_spread(fits(own, 'linear'))} against {_spread(fits(own, 'exponential'))} ({who})")
    return [
        "Features of merged networks lie off the linear interpolation of their ends' (LLFC) and off the exponentially "
        f"weighted one (LEWC), as merged and relative to the ends, by {'; '.join(said)}."
    ]


def numbers(rows: Rows) -> list[Numbers]:
    """A row for every way of making a pair of plain networks; rows: dated."""
    if not measured(rows):
        return []
    found = []
    for who, own in groups(rows):
        cells = [statistics.mean(fits(lines.of_repair(own, repaired), law)) for repaired in REPAIRED for law in LAWS]
        found.append([who, len(lines.of_repair(own, False)), *cells])
    return [
        Numbers(
            name="laws",
            title="LLFC and LEWC",
            meaning="How far the features of merged networks lie off what either law says of them: 1 - cos "
            f"{WHERE}; means over pairs that share no network.",
            columns=("networks", "pairs", *(f"{law}, {how}" for how in REPAIRED.values() for law in LAWS.values())),
            rows=found,
        )
    ]


def _spread(values: tuple[float, ...]) -> str:
    error = standard_error(values)
    return f"{mean(values):.3g}" + ("" if error is None else f" ± {error:.2g}")
