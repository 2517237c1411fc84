import math
from statistics import stdev

import pytest
import synthetic_results as synthetic

from hidden_structure.frame.errors import InputError
from hidden_structure.report import summary

FINE, COARSE, COARSE_OF = list("abcdef"), ["x", "y", "z"], [0, 1, 2, 0, 1, 2]


def results(seeds: list[int]) -> tuple:
    training = {supervision: synthetic.training(supervision, seeds) for supervision in ("fine", "coarse")}
    collapse = synthetic.collapse({"fine": 6, "coarse": 3}, seeds)
    return training, collapse, synthetic.cluster(COARSE_OF, FINE, COARSE, seeds), seeds, synthetic.REDUCERS


def summarised(seeds: list[int]) -> dict:
    return summary.summarise(summary.measure(*results(seeds)), synthetic.labels(COARSE_OF, FINE, COARSE))


def leaves(tree: dict, prefix: str = "") -> dict:
    found = {}
    for key, value in tree.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def test_every_number_stands_beside_its_spread():
    numbers = leaves(summarised([0, 1, 2]))
    names = {name for name in numbers if not name.endswith("_spread") and not name.startswith("labels.")}
    assert {f"{name}_spread" for name in names} == {name for name in numbers if name.endswith("_spread")}
    assert all(math.isfinite(value) for value in numbers.values())
    assert numbers["labels.fine_bits"] > numbers["labels.coarse_bits"]


def test_one_seed_has_no_spread():
    numbers = leaves(summarised([7]))
    assert {value for name, value in numbers.items() if name.endswith("_spread")} == {None}


def test_the_last_epoch_counts_whatever_the_order_of_the_rows():
    training, collapse, *rest = results([0, 1])
    backwards = {supervision: rows[::-1] for supervision, rows in training.items()}
    assert summary.measure(backwards, collapse[::-1], *rest) == summary.measure(training, collapse, *rest)
    last = [row["test_accuracy"] for row in training["fine"] if row["epoch"] == synthetic.EPOCHS[-1]]
    assert summary.measure(training, collapse, *rest)["fine.test_accuracy"] == last


def test_the_gap_is_paired_by_seed():
    measured = summary.measure(*results([0, 1, 2]))
    for gap, fine, recovered in zip(
        measured["recovery.gap"], measured["fine.test_accuracy"], measured["recovery.accuracy"], strict=True
    ):
        assert gap == fine - recovered


def test_recovery_is_that_of_the_first_reducer():
    *content, seeds, _ = results([0, 1])
    measured = summary.measure(*content, seeds, ["pca", "tsne"])
    assert measured["recovery.accuracy"] == measured["reducer.pca.accuracy"] != measured["reducer.tsne.accuracy"]


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
@pytest.mark.parametrize("where", ["collapse", "cluster", "oracle", "training"])
def test_a_value_that_is_no_number_is_refused(where: str, value: float | None):
    training, collapse, cluster, *rest = results([0, 1])
    if where == "collapse":
        collapse[-1]["nc1"] = value
    elif where == "cluster":
        cluster["rows"][0]["probe_accuracy"] = value
    elif where == "oracle":
        cluster["oracle"][1]["probe_accuracy"] = value
    else:
        training["fine"][-1]["test_accuracy"] = value
    with pytest.raises(InputError, match="not a number"):
        summary.measure(training, collapse, cluster, *rest)


def test_a_seed_without_a_row_is_named():
    training, collapse, cluster, _, reducers = results([0, 1])
    with pytest.raises(InputError, match="seed 5"):
        summary.measure(training, collapse, cluster, [0, 5], reducers)


def test_curves_skip_what_was_not_measured_and_refuse_what_is_no_number():
    rows = [
        {"seed": 0, "epoch": 0},
        {"seed": 0, "epoch": 2, "loss": 1.0},
        {"seed": 0, "epoch": 1, "loss": None},
        {"seed": 1, "epoch": 2, "loss": 3.0},
    ]
    epochs, mean, spread = summary.over_training(rows, "loss")
    assert (epochs.tolist(), mean.tolist(), spread.tolist()) == ([2], [2.0], [stdev([1.0, 3.0])])
    rows[0]["loss"] = math.nan
    with pytest.raises(InputError, match="epoch 0"):
        summary.over_training(rows, "loss")
