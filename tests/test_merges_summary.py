import math
from statistics import fmean

import numpy as np
import pytest
import synthetic_merges as synthetic
from scipy.stats import spearmanr

from hidden_structure.frame.errors import InputError
from hidden_structure.report.merges import measure as merges_summary
from hidden_structure.report.summary import summarise

ROWS = synthetic.result([0, 1])["rows"]
LABELS = {supervision: {"bits_per_sample": 1.0} for supervision in ("fine", "coarse")}


def test_no_merges_measure_nothing():
    assert merges_summary.measure([], 5) == {}


def test_each_merge_has_a_value_for_every_seed_in_their_order():
    measured = merges_summary.measure(ROWS[::-1], 5)
    for name in synthetic.MERGES:
        own = [row for row in ROWS if row["name"] == name]
        assert measured[f"merges.{name}.accuracy"] == [row["probe_accuracy"] for row in own]
        assert measured[f"merges.{name}.oracle"] == [row["oracle_accuracy"] for row in own]
        assert measured[f"merges.{name}.bits"] == [row["bits"] for row in own]


def test_metrics_json_can_hold_it():
    numbers = summarise(merges_summary.measure(ROWS, 5), LABELS)
    assert numbers["semantics"]["same"]["features"]["rho"] < 0
    assert numbers["merges"]["modulo-2"]["bits"] == 1
    assert 0 <= numbers["clusters"]["gap"] <= 1


def test_super_classes_of_one_class_are_left_out_and_scores_are_means_over_seeds():
    points = merges_summary.superclasses(ROWS)
    assert len(points) == 4 * 5 + 2 + 3  # modulo 7 leaves four classes alone
    first = [row["superclasses"]["class 0+class 5"]["score"] for row in ROWS[:2]]
    assert points[0]["score"] == pytest.approx(fmean(first))
    assert (points[0]["method"], points[0]["classes"]) == ("modulo", 5)


def test_correlations_count_merges_into_as_many_classes_or_all():
    measured = merges_summary.measure(ROWS, 5)
    points = merges_summary.superclasses(ROWS)
    for among, own in (("same", [point for point in points if point["classes"] == 5]), ("all", points)):
        for name in merges_summary.SIMILARITIES:
            rho = spearmanr([point[name] for point in own], [point["score"] for point in own]).statistic
            assert measured[f"semantics.{among}.{name}.rho"] == [pytest.approx(rho)]
            assert measured[f"semantics.{among}.{name}.superclasses"] == [len(own)]
    assert measured["semantics.same.features.rho"][0] < -0.9 < 0.9 < measured["semantics.same.pixels.rho"][0]
    assert measured == merges_summary.measure(ROWS, 5)
    assert "semantics.same.pixels.rho" not in merges_summary.measure(ROWS, 3)  # no such merges


def test_random_merges_are_compared_with_that_of_related_classes_into_as_many():
    merges = synthetic.MERGES | {"random-3-0": ("random", 3)}
    measured = merges_summary.measure(synthetic.result([0, 1], merges)["rows"], 5)
    assert [name for name in measured if name.startswith("unrelated")] == [
        "unrelated.random-5-0",
        "unrelated.random-5-1",
    ]
    mean = {name: fmean(row["agreement"] for row in ROWS if row["name"] == name) for name in synthetic.MERGES}
    assert measured["unrelated.random-5-1"] == [pytest.approx(mean["random-5-1"] - mean["semantic"])]
    without = [row for row in ROWS if row["method"] != "semantic"]
    assert not [name for name in merges_summary.measure(without, 5) if name.startswith("unrelated")]


def test_the_share_of_right_counts_is_over_super_classes_of_two_or_more():
    measured = merges_summary.measure(ROWS, 5)
    assert measured["clusters.silhouette"] == [1, 1]
    own = [scores for row in ROWS if row["seed"] == 1 for scores in row["superclasses"].values()]
    right = [scores["estimated"]["gap"] == scores["clusters"] for scores in own if scores["clusters"] > 1]
    assert measured["clusters.gap"][1] == pytest.approx(np.mean(right))
    alone = merges_summary.measure(synthetic.result([0], {"modulo-10": ("modulo", 10)})["rows"], 5)
    assert not [name for name in alone if name.startswith(("clusters", "semantics"))]


def test_a_missing_seed_and_what_is_no_number_are_refused():
    with pytest.raises(InputError, match="random-5-1 lack a seed"):
        merges_summary.measure([row for row in ROWS if (row["name"], row["seed"]) != ("random-5-1", 1)], 5)
    broken = synthetic.result([0])["rows"]
    broken[0]["superclasses"]["class 0+class 5"]["similarity"]["pixels"] = math.nan
    with pytest.raises(InputError, match="class 0"):
        merges_summary.measure(broken, 5)
