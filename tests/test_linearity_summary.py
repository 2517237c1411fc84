import math
from pathlib import Path
from statistics import fmean, median

import pytest
import synthetic_results as synthetic

from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.report.linearity import measure as linearity_summary

STUDY = synthetic.connected(params.load(Path(__file__).parent.parent / "studies/digits.yaml"))
GROUPS = ["spawned.k0", "spawned.k1", "spawned.k5", "none", *STUDY.permute.methods]


def results() -> tuple[list[dict], list[dict]]:
    return synthetic.linearity(STUDY), synthetic.stitch(STUDY)


def plain(rows: list[dict], **wanted: object) -> dict:
    """The first row with these values, among those of the plain cell."""
    wanted |= {"width": 1.0, "weight_decay": rows[0]["weight_decay"]}
    return next(row for row in rows if all(row[name] == value for name, value in wanted.items()))


def test_a_value_a_pair():
    measured = linearity_summary.measure(*results(), STUDY)
    merged, ends = ("llfc", "output_dissimilarity", "error_ratio"), (*linearity_summary.OF_THE_ENDS, "stitch")
    names = {f"{name}.{group}{ending}" for name in merged for group in GROUPS for ending in ("", "_repaired")}
    assert measured.keys() == names | {f"{name}.{group}" for name in ends for group in GROUPS}
    for quantity, values in measured.items():
        assert len(values) == (STUDY.spawn.spawned if "spawned" in quantity else 3)


def test_a_value_is_that_of_its_own_row_whatever_the_order():
    rows, stitched = results()
    row = plain(rows, kind="independent", seeds=[1, 2], method="ste", repaired=True)
    for place, layer in enumerate(row["layers"]):
        layer["dissimilarity"][1]["mean"] = 10.0 + place
    other = plain(rows, kind="spawned", k=1, seeds=[1, 1], repaired=False)
    for place, layer in enumerate(layer for layer in other["layers"] if "commutativity" in layer):
        layer |= {"commutativity": {"mean": 20.0 + place}, "weights": 30.0 + place}
    cut = plain(stitched, kind="spawned", k=5, seeds=[0, 0])
    cut["b_below_a"][3] = 0.9
    measured = linearity_summary.measure(rows, stitched, STUDY)
    assert linearity_summary.measure(rows[::-1], stitched[::-1], STUDY) == measured
    assert measured["llfc.ste_repaired"][1] == 13.0  # the median of seven layers
    assert measured["output_dissimilarity.ste_repaired"][1] == 16.0
    assert measured["commutativity.spawned.k1"][1] == 21.5  # the mean of four
    assert measured["weight_distance.spawned.k1"][1] == 31.5
    assert measured["stitch.spawned.k5"][0] == pytest.approx(0.9 - 0.052)
    before = linearity_summary.measure(*results(), STUDY)
    assert sum(values != before[quantity] for quantity, values in measured.items()) == 5


def test_features_are_compared_at_the_alpha_nearest_to_one_half():
    rows, stitched = results()
    found = {}
    for order in ([0, 1, 2], [1, 0, 2], [2, 0, 1]):
        for row in rows:
            row["alphas"] = [(0.25, 0.5, 0.75)[place] for place in order]
        found[order.index(1)] = linearity_summary.measure(rows, stitched, STUDY)["llfc.none"]
    means = [layer["dissimilarity"][0]["mean"] for layer in plain(rows, method="none", kind="independent")["layers"]]
    assert found[0][0] == median(means)
    assert found[0] != found[1]


def test_other_cells_do_not_count():
    rows, stitched = results()
    own = [
        [row for row in every if (row["width"], row["weight_decay"]) == (1, rows[0]["weight_decay"])]
        for every in (rows, stitched)
    ]
    assert len(own[0]) < len(rows)
    assert linearity_summary.measure(*own, STUDY) == linearity_summary.measure(rows, stitched, STUDY)


def test_the_error_is_held_against_twice_the_worse_end():
    def ratio(a: float, b: float, merged: list[float]) -> float:
        rows, stitched = results()
        plain(rows, method="none", kind="independent", repaired=False)["test_error"] |= {
            "a": a,
            "b": b,
            "merged": merged,
        }
        return linearity_summary.measure(rows, stitched, STUDY)["error_ratio.none"][0]

    assert ratio(0.1, 0.2, [0.3, 0.1, 0.2]) == pytest.approx(0.75)
    assert ratio(0.2, 0.1, [0.1, 0.1, 0.5]) == pytest.approx(1.25)
    assert ratio(0.0, 0.0, [0.0, 0.0, 0.0]) == 0
    assert ratio(0.0, 0.0, [0.0, 0.0, 1e-4]) > 1  # an image of ten thousand
    assert ratio(0.0, 1e-4, [0.0, 0.0, 1e-4]) == pytest.approx(0.5)


def test_a_network_without_activations_has_no_additivity():
    rows, stitched = results()
    for row in rows:
        for layer in row["layers"]:
            layer.pop("additivity", None)
    measured = linearity_summary.measure(rows, stitched, STUDY)
    assert not any(quantity.startswith("additivity") for quantity in measured)
    assert "commutativity.none" in measured


@pytest.mark.parametrize("of", [0, 1], ids=["features", "stitching"])
def test_a_pair_without_a_row_is_named(of: int):
    found = results()
    found[of].remove(plain(found[of], kind="independent", seeds=[1, 2], method="weights"))
    with pytest.raises(InputError, match=r"seeds 1 and 2, method weights(, not repaired)?:"):
        linearity_summary.measure(*found, STUDY)


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
@pytest.mark.parametrize("where", ["dissimilarity", "additivity", "weights", "merged", "a", "a_below_b", "error_b"])
def test_a_value_that_is_no_number_is_refused(where: str, value: float | None):
    rows, stitched = results()
    row = plain(rows, method="none", kind="independent", repaired=False)
    cut = plain(stitched, method="none", kind="independent")
    layer = next(layer for layer in row["layers"][1:] if where in layer) if where in ("additivity", "weights") else None
    if where == "dissimilarity":
        row["layers"][3][where][1]["mean"] = value
    elif where == "additivity":
        layer[where][1]["mean"] = value
    elif where == "weights":
        layer[where] = value
    elif where == "a_below_b":
        cut[where][2] = value
    elif where == "error_b":
        cut[where] = value
    else:
        row["test_error"][where] = [0.1, value, 0.1] if where == "merged" else value
    with pytest.raises(InputError, match="not a number"):
        linearity_summary.measure(rows, stitched, STUDY)


def test_the_table_of_stitching_is_means_over_pairs():
    stitched = [row for row in synthetic.stitch(STUDY) if row["k"] == 5 or row["method"] == "weights"]
    for place, row in enumerate(stitched):
        row |= {"a_below_b": [0.3, 0.1 + place / 10, 0.5], "b_below_a": [0.5], "error_a": 0.1 * place}
    table = linearity_summary.stitching(stitched)
    first = table[0]
    assert (first["k"], first["method"], first["pairs"]) == (5, "none", STUDY.spawn.spawned)
    assert (first["a_below_b_least"], first["a_below_b_most"], first["b_below_a_mean"]) == (0.15, 0.5, 0.5)
    assert first["a_below_b_mean"] == pytest.approx((0.3 + 0.15 + 0.5) / 3, rel=1e-5)
    assert first["error_a"] == 0.05
    assert first["error_a_spread"] == pytest.approx(0.1 / 2**0.5, rel=1e-5)
    assert [(row["k"], row["pairs"]) for row in table[1:]] == [(None, 3)] * 6  # three widths, two weight decays
    stitched[0]["b_below_a"] = [0.5, math.nan]
    with pytest.raises(InputError, match="B below A"):
        linearity_summary.stitching(stitched)


def test_every_line_meets_its_own_barrier():
    rows, lines = synthetic.linearity(STUDY), synthetic.interpolate(STUDY)
    found = linearity_summary.barriers(rows, lines[::-1])
    assert len(found) == len(rows)
    for point, row, line in zip(found, rows, lines, strict=True):
        assert point["barrier"] == line["barrier"]["test_error"]
        assert point["dissimilarity"] == fmean(layer["dissimilarity"][1]["mean"] for layer in row["layers"])
        assert (point["k"], point["method"], point["repaired"]) == (row["k"], row["method"], row["repaired"])
    with pytest.raises(InputError, match="no line for seeds 0 and 0"):
        linearity_summary.barriers(rows, lines[1:])
    lines[0]["barrier"]["test_error"] = math.nan
    with pytest.raises(InputError, match="not a number"):
        linearity_summary.barriers(rows, lines)
