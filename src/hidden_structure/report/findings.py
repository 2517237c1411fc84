"""Sentences of a chapter's findings, each with the verdict on its claim; what failed first."""

from collections.abc import Iterable

from hidden_structure.report.claim import VERDICTS, Claim


def in_order(sentences: Iterable[tuple[Claim, str]]) -> list[str]:
    """Each sentence, given without its full stop, ends with its claim's verdict and, where it is no plain one, why."""
    ordered = sorted(sentences, key=lambda one: VERDICTS.index(one[0].verdict))  # stable: else as they came
    return [f"{sentence} ({_judged(claim)})." for claim, sentence in ordered]


def signed(value: float, digits: int = 2) -> str:
    """The number with its sign, a true minus."""
    return f"{round(value, digits) or 0:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def interval_of(claim: Claim, scale: float = 1.0, digits: int = 2) -> str:
    """ ", 95 % interval -1.20 to +0.30" of the claim's values times the scale; "" with one."""
    ends = claim.row()["interval"]
    if ends is None:
        return ""
    low, high = (signed(scale * end, digits) for end in ends)
    return f", 95 % interval {low} to {high}"


def _judged(claim: Claim) -> str:
    verdict, reason = claim.judge()
    return f"{verdict}: {reason}" if reason else verdict
