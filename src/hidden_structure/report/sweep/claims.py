"""The claims on the grid of recipes, one a cell, rows of the same form as those of claims.py."""

from collections.abc import Mapping, Sequence
from itertools import product

from hidden_structure.frame.params import Study
from hidden_structure.report.recovery.claims import YANG
from hidden_structure.report.summary import Measured, mean_and_spread, rounded

QUANTITIES = {  # name in the summary -> name in the metrics
    "accuracy": "probe_accuracy",
    "agreement": "agreement",
    "oracle_accuracy": "oracle_accuracy",
    "coarse_accuracy": "test_accuracy",
    "nc1": "nc1",
}


def power(value: float) -> str:
    """A rate as a part of a name, mostly without a point: 0.05 is 5e-2."""
    mantissa, exponent = f"{value:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}" if value else "0"


def measure(rows: Sequence[Mapping]) -> Measured:
    """`grid.<lr>.<weight decay>.<quantity>`: a value for every seed, less those where it could not be measured."""
    measured: Measured = {}
    for row in rows:
        for name, column in QUANTITIES.items():
            if row[column] is not None:
                quantity = f"{_cell(row['lr'], row['weight_decay'])}.{name}"
                measured.setdefault(quantity, []).append(row[column])
    return measured


def table(study: Study, measured: Measured, fine_classes: int, coarse_classes: int) -> list[dict]:
    """One row a cell: {id, claim, source, published, measured, spread, seeds, holds}; none if the grid is empty.

    The criterion is the same in every cell, and no part of it comes from the grid. A claim does not hold where training
    failed for a seed; its numbers are those of the other seeds, or None.

    Args:
        measured: what `measure` gives, and `fine.test_accuracy`, of the network trained on fine labels.
    """
    if not (cells := list(product(study.sweep.lrs, study.sweep.weight_decays))):
        return []
    seeds, guess = study.sweep.seeds, rounded(coarse_classes / fine_classes)
    fine = mean_and_spread(measured["fine.test_accuracy"])[0]
    floor = round((guess + fine) / 2, 4)  # as printed
    rows = []
    for lr, weight_decay in cells:
        name = _cell(lr, weight_decay)
        found = measured.get(f"{name}.accuracy", [])
        sentence = (
            f"Trained on coarse labels at a learning rate of {lr:g} with a weight decay of {weight_decay:g}, the "
            "network keeps the fine structure: a linear layer on recovered labels classifies a fraction of "
            f"{floor:g} or more of the test set into the {fine_classes} original classes, midway between {guess:.4g} "
            f"(coarse labels and a guess inside each) and {fine:.4g} (the network trained on fine labels)."
        )
        if failed := len(seeds) - len(found):
            sentence += f" Training or clustering failed for {failed} of {len(seeds)} seeds, so it does not hold."
        mean, spread = mean_and_spread(found) if found else (None, None)
        numbers = {"published": None, "measured": mean, "spread": spread, "seeds": seeds}
        holds = not failed and mean >= floor
        rows.append({"id": name, "claim": sentence, "source": YANG} | numbers | {"holds": holds})
    return rows


def _cell(lr: float, weight_decay: float) -> str:
    return f"grid.{power(lr)}.{power(weight_decay)}"
