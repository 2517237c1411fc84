"""The unconstrained features model: where descents end, beside the closed form, how they get there, and imbalance."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from hidden_structure.frame.params import Study

ROUNDING = 1e-12  # what lies below is rounding, other on every processor, and written as this
SHAPE = ("cosine", "duality")  # the quantities of the optimum that make it a simplex; the others are its size


def tabulate(study: Study, results: Callable[[str], Any]) -> dict[str, list[dict]]:
    """Table -> rows; none where the study leaves the model out.

    `unconstrained`: one a descent: how far its end lies from the closed form, in what is furthest off (relative, or
    absolute where the closed form is 0): in `shape`, the angles and self-duality, and in `size`, all else.
    `descents`: one a descent, lists over its steps: NC1, and how far NC2 (mean |cos + 1/(C-1)| of rows) and NC3 lie
    from their values at the optimum of that loss, which is a simplex or not.
    `saddles`: one a critical point that is no minimum.
    `imbalance`: one a ratio of samples; `apart` is 1 less the mean cosine of the minority's rows.
    `bounds`, `bounds_imbalance`: the same with norms bounded instead of decayed; results of earlier versions have none.
    """
    found = results("unconstrained")
    if not found:
        return {}
    tables = {
        "unconstrained": [_end(row) for row in found["solutions"]],
        "descents": [_descent(row, study.unconstrained.classes) for row in found["solutions"]],
        "saddles": list(found["saddles"]),
        "imbalance": [_ratio(row, found["merging_ratio"]) for row in found["imbalance"]],
    }
    if bounds := found.get("bounds"):
        tables["bounds"] = [{"start": row["start"]} | _off(row) for row in bounds["solutions"]]
        tables["bounds_imbalance"] = [_ratio(row, bounds["merging_ratio"]) for row in bounds["imbalance"]]
    return tables


def at_the_optimum(cosine: float, classes: int) -> tuple[float, float]:
    """NC2 and NC3 of an optimum whose rows meet at that cosine; both 0 for a simplex, cosine -1/(C-1).

    Rows and features are one up to scale, but NC3 compares rows with *centred* class means. Of the rows' squared norm
    the share (C-1)/C (1 - cosine) sums to zero over classes, and is all that centring leaves.
    """
    centred = min(1.0, (classes - 1) / classes * (1 - cosine))
    return abs(cosine + 1 / (classes - 1)), math.sqrt(max(0.0, 2 - 2 * math.sqrt(centred)))


def _case(row: Mapping) -> dict:
    return {name: row[name] for name in ("loss", "bias", "start")}


def _end(row: Mapping) -> dict:
    cosine = row["optimum"]["cosine"]
    own = {"cosine": {"found": cosine["found"], "optimum": cosine["closed_form"]}}
    return _case(row) | own | _off(row)


def _off(row: Mapping) -> dict:
    off = {name: own["difference"] for name, own in row["optimum"].items()}
    shape = {name: off.pop(name) for name in SHAPE}
    return {"shape": max(ROUNDING, *shape.values()), "size": max(ROUNDING, *off.values())}


def _descent(row: Mapping, classes: int) -> dict:
    angles, duality = at_the_optimum(row["optimum"]["cosine"]["closed_form"], classes)
    steps = row["trajectory"]
    return _case(row) | {
        "step": [one["step"] for one in steps],
        "nc1": [max(ROUNDING, one["nc1"]) for one in steps],
        "nc2": [max(ROUNDING, abs(one["nc2_angle_rows"] - angles)) for one in steps],
        "nc3": [max(ROUNDING, abs(one["nc3"] - duality)) for one in steps],
    }


def _ratio(row: Mapping, merging_ratio: float | None) -> dict:
    groups = {
        name: {quantity: row[f"{name}_{quantity}"] for quantity in ("cosine", "norm")}
        for name in ("majority", "minority")
    }
    cosine = row["minority_cosine"]
    apart = None if cosine is None else max(0.0, 1 - cosine)
    return {"ratio": row["ratio"], "merging_ratio": merging_ratio} | groups | {"apart": apart}
