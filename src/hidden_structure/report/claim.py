"""A claim as data, and the one function that turns it and what was measured into a verdict.

A verdict is read off the interval of the mean over replications, never off the mean alone: a mean may lie on the right
side of a bound by luck of the seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hidden_structure.report import statistics
from hidden_structure.report.statistics import rounded

Kind = Literal["published", "precondition", "control", "ours"]
Verdict = Literal["supported", "contradicted", "undecided", "not assessable"]
KINDS: tuple[Kind, ...] = ("published", "ours", "control", "precondition")
VERDICTS: tuple[Verdict, ...] = ("contradicted", "undecided", "supported", "not assessable")  # as the page lists them
COLUMNS = (
    *("id", "idea", "kind", "claim", "criterion", "source", "published", "measured", "n", "standard_error"),
    *("interval", "seeds", "verdict", "reason", "p"),
)


@dataclass(frozen=True)
class Criterion:
    """That a quantity lies beyond a bound, or, with both bounds, between them."""

    quantity: str  # in words, with its unit: "barrier in test error (fraction)"
    at_least: float | None = None
    at_most: float | None = None
    origin: str = ""  # where the bounds come from: "Frankle et al.'s line between stable and not", "ours: half the gap"

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"the criterion on {self.quantity} has no bound")

    def __str__(self) -> str:
        low, high = (None if bound is None else f"{bound:.4g}" for bound in (self.at_least, self.at_most))
        bounds = f"at least {low}" if high is None else f"at most {high}" if low is None else f"from {low} to {high}"
        return f"{self.quantity}: {bounds}" + (f" ({self.origin})" if self.origin else "")

    def meets(self, interval: statistics.Interval) -> bool | None:
        """Whether all of the interval fulfils it (True), none of it (False), or a part (None)."""
        low = -float("inf") if self.at_least is None else self.at_least
        high = float("inf") if self.at_most is None else self.at_most
        if low <= interval[0] and interval[1] <= high:
            return True
        return False if interval[1] < low or interval[0] > high else None


@dataclass(frozen=True)
class Published:
    """What the source found, and with what: never to be read without its network and budget."""

    value: float
    setting: str  # "ResNet-20 x1, 250 epochs, CIFAR-10"


@dataclass(frozen=True)
class Claim:
    """One hypothesis, posed once.

    kind: published, of the source; precondition, without which others are not assessable; control, that must not show
    the effect; ours, the source states no criterion or it is our question.
    """

    id: str  # of the idea and within it: "recovery.gain"
    idea: str  # the chapter
    kind: Kind
    statement: str  # one sentence without the criterion's numbers
    criterion: Criterion
    values: tuple[float, ...]  # of the criterion's quantity, one a replication; none: it was not measured
    seeds: tuple[str, ...] = ()  # what the replications are, one name each: "0", "0-1"
    source: str = ""  # paper
    published: Published | None = None
    unmet: str = ""  # the precondition that failed, in words; then nothing can be said
    every: bool = False  # it speaks of every case, and the values are these: one that fails contradicts it
    passing: str = ""  # controls that fulfil the criterion as well, whatever was measured

    def judge(self) -> tuple[Verdict, str]:
        """The verdict, and why it is no plain yes or no ("" where it is)."""
        return decide(self.criterion, self.values, self.unmet, self.kind == "precondition", self.every)

    @property
    def verdict(self) -> Verdict:
        return self.judge()[0]

    @property
    def measured(self) -> float | None:
        return statistics.mean(self.values) if self.values else None

    def p_value(self) -> float | None:
        """Two-sided, of Student's t-test of the mean against the bound that decides: below .05 where the verdict is
        decided. None where no interval decides, as of preconditions, of what is claimed of every case and of one
        replication, or where the values do not vary, as counts and shares may by their kind: such a test would be
        infinitely sure of them."""
        if self.kind == "precondition" or self.every or self.verdict == "not assessable":
            return None
        low, high = self.criterion.at_least, self.criterion.at_most
        each = {bound: statistics.p_value(self.values, bound) for bound in (low, high) if bound is not None}
        if None in each.values():
            return None
        if low is not None and self.measured < low:
            return each[low]
        return each[high] if high is not None and self.measured > high else max(each.values())

    def row(self) -> dict:
        """The claim with what was measured, in the order of COLUMNS; numbers have six significant digits."""
        verdict, reason = self.judge()
        interval = statistics.interval(self.values) if self.values else None
        error = statistics.standard_error(self.values) if self.values else None
        p = self.p_value()
        return {
            "id": self.id,
            "idea": self.idea,
            "kind": self.kind,
            "claim": self.statement,
            "criterion": str(self.criterion),
            "source": self.source,
            "published": f"{self.published.value:.4g} ({self.published.setting})" if self.published else None,
            "measured": None if self.measured is None else rounded(self.measured),
            "n": len(self.values),
            "standard_error": None if error is None else rounded(error),
            "interval": None if interval is None else [rounded(end) for end in interval],
            "seeds": " ".join(self.seeds),
            "verdict": verdict,
            "reason": reason,
            "p": None if p is None else float(f"{p:.3g}"),
        }


def decide(
    criterion: Criterion, values: Sequence[float], unmet: str = "", each: bool = False, every: bool = False
) -> tuple[Verdict, str]:
    """The verdict, and why it is no plain yes or no ("" where it is).

    Supported: the whole 95 % interval of the mean fulfils the criterion. Contradicted: none of it does. Undecided: a
    part of it does, or there is one replication. Not assessable: a precondition failed, or nothing was measured.

    each: of the very networks at hand, not of others like them, as preconditions are: every value must fulfil it.
    every: of all cases, these and others: one that does not fulfil it contradicts it, and the interval may support it.
    """
    if unmet:
        return "not assessable", unmet
    if not values:
        return "not assessable", "not measured in this study"
    failing = sum(not criterion.meets((value, value)) for value in values)
    if failing and (each or every):
        return "contradicted", f"{failing} of {len(values)} do not"
    if each:
        return "supported", ""
    interval = statistics.interval(values)
    if interval is None:
        return "undecided", "one replication has no interval"
    met = criterion.meets(interval)
    if met is None:
        return "undecided", "the interval holds the bound"
    return ("supported", "") if met else ("contradicted", "")


def unless(precondition: Claim) -> str:
    """What `unmet` of a claim is that rests on a precondition: "" where that is supported."""
    verdict, reason = precondition.judge()
    return "" if verdict == "supported" else f"{precondition.id} is {verdict}" + (f": {reason}" if reason else "")
