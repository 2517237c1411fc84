"""Many claims at once: which verdicts stand if each of a report's claims is counted (Holm 1979).

Of claims that lie on their bound one of twenty is decided by luck. Holm's procedure holds the chance that any of those
that it lets stand is such a one at 5 %, however the claims depend on one another.
"""

from collections.abc import Sequence

from hidden_structure.report.claim import Claim
from hidden_structure.report.statistics import CONFIDENCE


def standing(claims: Sequence[Claim]) -> list[bool | None]:
    """Of each claim whether its verdict stands; None where it has no p-value, and so is not counted.

    An undecided claim is counted, for it was asked, and never stands.
    """
    asked = [(p, place) for place, claim in enumerate(claims) if (p := claim.p_value()) is not None]
    found: list[bool | None] = [None] * len(claims)
    stands = True
    for rank, (p, place) in enumerate(sorted(asked)):
        stands = stands and p <= (1 - CONFIDENCE) / (len(asked) - rank)
        found[place] = stands
    return found


def rows(claims: Sequence[Claim]) -> list[dict]:
    """The claims of one report as `Claim.row` gives them, with `holm`: yes, no, or "" where it is not counted."""
    words = {True: "yes", False: "no", None: ""}
    return [claim.row() | {"holm": words[own]} for claim, own in zip(claims, standing(claims), strict=True)]


def told(claims: Sequence[Claim]) -> str:
    """A sentence on all of them; "" where there is nothing to count."""
    found = standing(claims)
    counted = sum(one is not None for one in found)
    if not counted:
        return ""
    decided = sum(
        one is not None and claim.verdict in ("supported", "contradicted")
        for claim, one in zip(claims, found, strict=True)
    )
    return (
        f"Each verdict is of its own claim. Of {counted} claims that a t-test can be asked of, those of more than one "
        f"replication and of values that vary that speak of a mean, it decides {decided}; counting all {counted}, "
        f"{sum(map(bool, found))} of these verdicts stand (Holm 1979, 5 %; column holm of claims.csv)."
    )
