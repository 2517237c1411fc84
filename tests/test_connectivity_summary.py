import math
from pathlib import Path

import pytest
import synthetic_results as synthetic

from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.report import summary
from hidden_structure.report.connectivity import measure as connectivity_summary

STUDY = synthetic.connected(params.load(Path(__file__).parent.parent / "studies/digits.yaml"))
LABELS = synthetic.labels([0, 1], ["a", "b"], ["x", "y"])


def index_of(rows: list[dict], **wanted: object) -> int:
    """The first row with these values, among those of the plain cell."""
    plain = {"width": 1.0, "weight_decay": rows[0]["weight_decay"]} | wanted
    return next(place for place, row in enumerate(rows) if all(row[name] == value for name, value in plain.items()))


def test_a_value_a_pair():
    measured = connectivity_summary.measure(synthetic.interpolate(STUDY), STUDY)
    for quantity, values in measured.items():
        assert len(values) == (STUDY.spawn.spawned if quantity.startswith("spawn.") else 3)
    for ending in ("", "_repaired"):
        for name in ("barrier", "instability", "loss_barrier"):
            assert {f"spawn.{name}.k{k}{ending}" for k in (0, 1, 5)} <= set(measured)
        for method in ("none", *STUDY.permute.methods):
            assert {f"permute.{method}.{name}{ending}" for name in ("barrier", "loss_barrier", "midpoint")} <= set(
                measured
            )


def test_a_value_is_that_of_its_own_row_whatever_the_order():
    rows = synthetic.interpolate(STUDY)
    row = rows[index_of(rows, kind="independent", seeds=[1, 2], method="ste", repaired=True)]
    row["barrier"] |= {"test_error": 0.123, "test_loss": 4.5}
    row["test_accuracy"][12] = 0.678  # of 25
    other = rows[index_of(rows, kind="spawned", k=1, seeds=[1, 1], repaired=False)]
    other["instability"]["test_error"] = 0.456
    measured = connectivity_summary.measure(rows[::-1], STUDY)
    assert measured == connectivity_summary.measure(rows, STUDY)
    assert measured["permute.ste.barrier_repaired"][1] == 0.123
    assert measured["permute.ste.loss_barrier_repaired"][1] == 4.5
    assert measured["permute.ste.midpoint_repaired"][1] == 0.678
    assert measured["spawn.instability.k1"][1] == 0.456
    found = [name for name, values in measured.items() if {0.123, 4.5, 0.678, 0.456} & set(values)]
    assert len(found) == 4


def test_other_cells_do_not_count():
    rows = synthetic.interpolate(STUDY)
    plain = rows[0]["width"], rows[0]["weight_decay"]
    own = [row for row in rows if (row["width"], row["weight_decay"]) == plain]
    assert len(own) < len(rows)
    assert connectivity_summary.measure(own, STUDY) == connectivity_summary.measure(rows, STUDY)


def test_the_summary_nests_plain_beside_repaired():
    measured = connectivity_summary.measure(synthetic.interpolate(STUDY), STUDY)
    numbers = summary.summarise(measured, LABELS)
    names = [f"k{k}{ending}" for k in (0, 1, 5) for ending in ("", "_spread", "_repaired", "_repaired_spread")]
    assert sorted(numbers["spawn"]["barrier"]) == sorted(names)
    barrier = measured["permute.weights.barrier"]
    assert numbers["permute"]["weights"]["barrier"] == pytest.approx(sum(barrier) / len(barrier), rel=1e-5)


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"kind": "spawned", "k": 1, "repaired": True}, "spawned after epoch 1 of seeds 0 and 0"),
        ({"kind": "independent", "seeds": [1, 2], "method": "weights"}, "seeds 1 and 2, method weights, not repaired"),
        ({"kind": "independent", "method": "none", "repaired": True}, "method none, repaired"),
    ],
)
def test_a_pair_without_a_row_is_named(wanted: dict, named: str):
    rows = synthetic.interpolate(STUDY)
    del rows[index_of(rows, **wanted)]
    with pytest.raises(InputError, match=named):
        connectivity_summary.measure(rows, STUDY)


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
@pytest.mark.parametrize("where", ["barrier", "instability", "midpoint"])
def test_a_value_that_is_no_number_is_refused(where: str, value: float | None):
    rows = synthetic.interpolate(STUDY)
    row = rows[index_of(rows, kind="independent" if where == "midpoint" else "spawned", method="none")]
    if where == "midpoint":
        row["test_accuracy"][12] = value
    else:
        row[where]["test_error"] = value
    with pytest.raises(InputError, match="not a number"):
        connectivity_summary.measure(rows, STUDY)


def test_networks_and_objectives_are_means_over_seeds_and_pairs():
    rows = synthetic.spawn(STUDY)
    means = connectivity_summary.accuracies(rows)
    assert [row["name"] for row in means].count("trunk") == 6  # three widths, two weight decays
    trunk, child = (next(row for row in means if row["name"] == name) for name in ("trunk", "00005-b"))
    assert (trunk["seeds"], child["seeds"]) == (3, 2)
    assert trunk["test_accuracy"] == pytest.approx(0.949)
    assert trunk["test_accuracy_spread"] == pytest.approx(0.001)
    gained = connectivity_summary.objectives(synthetic.permute(STUDY))
    assert [row["method"] for row in gained[: len(STUDY.permute.methods)]] == STUDY.permute.methods
    assert {(row["pairs"], row["after"], row["after_spread"]) for row in gained} == {(3, 30.0, 0.0)}
    rows[0]["test_loss"] = math.nan
    with pytest.raises(InputError, match="test_loss"):
        connectivity_summary.accuracies(rows)
