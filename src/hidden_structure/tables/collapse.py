"""Neural collapse over training: how well the networks learned, and how near each of its four properties they came."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Study

SUPERVISIONS = ("fine", "coarse")
QUANTITIES = {  # column -> name in the results
    "nc1": "nc1",
    "norms": {"means": "nc2_norms_means", "rows": "nc2_norms_rows"},
    "cosine": {"means": "nc2_cosine_means", "rows": "nc2_cosine_rows"},
    "angle": {"means": "nc2_angle_means", "rows": "nc2_angle_rows"},
    "spread": {"means": "nc2_equiangular_means", "rows": "nc2_equiangular_rows"},
    "nc3": "nc3",
    "nc4": "nc4",
}
BESIDE = {  # the same, beside what the unconstrained features model says; results of earlier versions have none
    "wrong": {"network": "wrong", "model": "wrong_model"},
    "gap": {"network": "gap", "model": "gap_model"},
}


def tabulate(study: Study, results: Callable[[str], Any]) -> dict[str, list[dict]]:
    """Table -> rows, one a network of the study (`supervision`, `seed`) with lists over epochs.

    `training`: `epochs` 1, 2, ... with loss and accuracy in training (`train`), and the epochs whose weights were kept
    (`snapshots`) with loss and accuracy on the test set (`test`).
    `collapse`: the epochs whose weights were kept, 0 the initialisation, with what was measured of class means and of
    the last layer's rows at each: `norms` std / mean of their norms, `cosine` and `spread` mean and standard deviation
    over pairs of their cosines, `angle` mean |cos + 1/(C-1)|; C is `classes`, and `dimension` that of the features,
    None in results that do not hold it; `wrong`, the probability of a wrong class, and `gap`, of the logit of the right
    class over a wrong one's, of the network beside those of the unconstrained features model. Both tables are absent
    where the study trains no networks of its own.

    Raises InputError if a seed of the study is missing.
    """
    labels, measured = results("labels"), results("collapse")
    if not measured:
        return {}
    found: dict[str, list[dict]] = {"training": [], "collapse": []}
    for supervision in SUPERVISIONS:
        trained = results(f"train-{supervision}")
        collapse = [row for row in measured if row["supervision"] == supervision]
        for seed in study.seeds:
            network = {"supervision": supervision, "seed": seed}
            found["training"].append(network | _training(_of(trained, **network)))
            found["collapse"].append(network | _collapse(_of(collapse, **network), labels[supervision]["classes"]))
    return found


def _of(rows: Sequence[Mapping], supervision: str, seed: int) -> list[Mapping]:
    own = sorted((row for row in rows if row["seed"] == seed), key=lambda row: row["epoch"])
    if not own:
        raise InputError(f"the results hold nothing on the {supervision} network of seed {seed}: run `dvc repro`")
    return own


def _training(rows: Sequence[Mapping]) -> dict:
    tested = [row for row in rows if row.get("test_accuracy") is not None]
    trained = [row for row in rows if row.get("train_accuracy") is not None]
    return {
        "epochs": [row["epoch"] for row in trained],
        "train": {name: [row[f"train_{name}"] for row in trained] for name in ("loss", "accuracy")},
        "snapshots": [row["epoch"] for row in tested],
        "test": {name: [row[f"test_{name}"] for row in tested] for name in ("loss", "accuracy")},
        "both_sides": rows[-1].get("both_sides"),
    }


def _collapse(rows: Sequence[Mapping], classes: int) -> dict:
    def over_epochs(name: str | Mapping[str, str]) -> list[float] | dict[str, list[float]]:
        if isinstance(name, str):
            return [row[name] for row in rows]
        return {of: over_epochs(column) for of, column in name.items()}

    columns = QUANTITIES | (BESIDE if "wrong" in rows[0] else {})
    measured = {column: over_epochs(name) for column, name in columns.items()}
    shape = {"classes": classes, "dimension": rows[0].get("dimension")}
    return shape | {"epochs": [row["epoch"] for row in rows]} | measured
