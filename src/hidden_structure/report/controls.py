"""What a control says of a claim: a criterion that it fulfils as well shows nothing."""

from collections.abc import Mapping, Sequence

from hidden_structure.report.claim import Criterion
from hidden_structure.report.statistics import mean


def fulfilling(criterion: Criterion, controls: Mapping[str, Sequence[float]]) -> str:
    """The controls that fulfil a criterion on average, in words.

    controls: in words -> the claim's quantity of the control; not measured where there is none.
    """
    return ", ".join(words for words, own in controls.items() if _fulfils(criterion, own))


def unless_control(criterion: Criterion, values: Sequence[float], controls: Mapping[str, Sequence[float]]) -> str:
    """What `unmet` of a claim is: "" if no control fulfils its criterion, or what was measured does not.

    For that speaks against the claim whatever controls do.

    values: of the claim, one a replication; controls: as of `fulfilling`.
    """
    passing = fulfilling(criterion, controls) if _fulfils(criterion, values) else ""
    return f"controls fulfil it as well: {passing}" if passing else ""


def _fulfils(criterion: Criterion, measured: Sequence[float]) -> bool:
    return bool(measured) and bool(criterion.meets((mean(measured),) * 2))
