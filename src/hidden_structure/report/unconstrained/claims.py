"""The claims on the unconstrained features model, rows of the same form as those of claims.py.

Every figure is the worst case over what its sentence names, so there is no spread; `seeds` lists the random starts.
"""

from collections.abc import Mapping

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Study
from hidden_structure.report.summary import Measured, mean_and_spread

ZHU = "Zhu, Ding, Zhou, Li, You, Sulam, Qu 2021"
FANG = "Fang, He, Long, Su 2021"

# What the optimum is known to: float64 gives nine digits more, a wrong formula would show in the first.
DIFFERENCE_AT_MOST = 1e-6
CURVATURE_BELOW = -1e-6
# "Nearly one direction": within 8 degrees.
MINORITY_FROM = 0.99


def measure(found: Mapping) -> Measured:
    """One value a claim, and the ratios that ufm.minority speaks of; found: the content of the unconstrained metrics.

    The minority's cosine is that of the largest ratio at which its rows are not zero.

    Raises InputError if they are zero at every ratio.
    """
    optima = [row["optimum"] for row in found["solutions"]]
    angles = [row["optimum"]["cosine"] for row in found["solutions"] if row["loss"] == "cross-entropy"]
    saddles, with_angle = found["saddles"], [row for row in found["imbalance"] if row["minority_cosine"] is not None]
    if not with_angle:
        raise InputError("unconstrained.ratios: the minority's rows are zero at every ratio: lower the ratios")
    imbalance = max(with_angle, key=lambda row: row["ratio"])
    return {
        "ufm.closed_form": [max(own["difference"] for optimum in optima for own in optimum.values())],
        "ufm.angle": [max(cosine["difference"] * abs(cosine["closed_form"]) for cosine in angles)],
        "ufm.saddle": [max(row["least_eigenvalue"] for row in saddles)],
        "ufm.escape": [max(abs(row["escaped"] - row["minimum"]) for row in saddles)],
        "ufm.minority": [imbalance["minority_cosine"]],
        "ufm.ratio": [imbalance["ratio"]],
        "ufm.merging_ratio": [found["merging_ratio"]],
    }


def table(study: Study, measured: Measured) -> list[dict]:
    """One row a claim: {id, claim, source, published, measured, spread, seeds, holds}."""
    classes, starts = study.unconstrained.classes, list(range(study.unconstrained.starts))

    def row(name: str, sentence: str, source: str, seeds: list[int], holds: bool) -> dict:
        mean, spread = mean_and_spread(measured[name])
        numbers = {"published": None, "measured": mean, "spread": spread}
        return {"id": name, "claim": sentence, "source": source} | numbers | {"seeds": seeds, "holds": holds}

    return [
        row(
            "ufm.closed_form",
            "Free features and a last layer under weight decay reach the closed form of the global optimum from every "
            "random start, under cross-entropy and mean squared error, with and without bias: objective, norms, "
            "angles, self-duality, bias and what wrong classes get are off by "
            f"{DIFFERENCE_AT_MOST:g} or less (relative, or absolute where the closed form is 0).",
            ZHU,
            starts,
            measured["ufm.closed_form"][0] <= DIFFERENCE_AT_MOST,
        ),
        row(
            "ufm.angle",
            f"Under cross-entropy two of the {classes} rows of the last layer end at the angle of a simplex, cosine "
            f"-1/({classes}-1) = {-1 / (classes - 1):.4g}: no cosine is off by more than {DIFFERENCE_AT_MOST:g}.",
            ZHU,
            starts,
            measured["ufm.angle"][0] <= DIFFERENCE_AT_MOST,
        ),
        row(
            "ufm.saddle",
            f"Critical points that are not the optimum (zero, and what is found in {classes - 2} dimensions) are "
            f"strict saddles: the Hessian's least eigenvalue is less than {CURVATURE_BELOW:g} at each of them.",
            ZHU,
            [0],
            measured["ufm.saddle"][0] < CURVATURE_BELOW,
        ),
        row(
            "ufm.escape",
            "Started at these saddles, moved by noise of a millionth, the descent ends at the global optimum: the "
            f"objective differs from its closed form by {DIFFERENCE_AT_MOST:g} or less.",
            ZHU,
            [0],
            measured["ufm.escape"][0] <= DIFFERENCE_AT_MOST,
        ),
        row(
            "ufm.minority",
            f"Minority collapse: when half of the classes have {measured['ufm.ratio'][0]:g} times as many samples, the "
            f"last layer's rows of the others point in nearly one direction, with a mean cosine of {MINORITY_FROM} or "
            f"more; by theory they are one from {measured['ufm.merging_ratio'][0]:.4g} times on.",
            FANG,
            [0],
            measured["ufm.minority"][0] >= MINORITY_FROM,
        ),
    ]
