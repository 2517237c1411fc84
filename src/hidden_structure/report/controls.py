"""What a control says of a claim: a criterion that it fulfils as well shows nothing."""

from collections.abc import Mapping, Sequence

from hidden_structure.report.claim import Criterion, decide
from hidden_structure.report.statistics import mean


def unless_control(criterion: Criterion, values: Sequence[float], controls: Mapping[str, Sequence[float]]) -> str:
    """What `unmet` of a claim is: "" if no control fulfils its criterion on average, or if the claim does not either.

    For what is contradicted is so whatever controls do.

    Args:
        values: of the claim, one a replication.
        controls: in words -> the same quantity of the control; not measured where there is none.
    """
    if not values or decide(criterion, values)[0] == "contradicted":
        return ""
    fulfilling = [words for words, own in controls.items() if own and criterion.meets((mean(own),) * 2)]
    return f"controls fulfil it as well: {', '.join(fulfilling)}" if fulfilling else ""
