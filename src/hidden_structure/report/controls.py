"""What a control says of a claim: a criterion that it fulfils as well shows nothing."""

from collections.abc import Mapping, Sequence

from hidden_structure.report.claim import Criterion
from hidden_structure.report.statistics import mean


def unless_control(criterion: Criterion, values: Sequence[float], controls: Mapping[str, Sequence[float]]) -> str:
    """What `unmet` of a claim is: "" if no control fulfils its criterion on average, or what was measured does not.

    For that speaks against the claim whatever controls do.

    Args:
        values: of the claim, one a replication.
        controls: in words -> the same quantity of the control; not measured where there is none.
    """

    def fulfils(measured: Sequence[float]) -> bool:
        return bool(measured) and bool(criterion.meets((mean(measured),) * 2))

    fulfilling = [words for words, own in controls.items() if fulfils(own)] if fulfils(values) else []
    return f"controls fulfil it as well: {', '.join(fulfilling)}" if fulfilling else ""
