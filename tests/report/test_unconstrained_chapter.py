"""The chapter on the unconstrained features model: theory is held against what could contradict it."""

import pytest
import synthetic_unconstrained as synthetic

from hidden_structure.frame import params
from hidden_structure.report.claim import Claim
from hidden_structure.report.unconstrained.chapter import chapter
from hidden_structure.tables.unconstrained import tabulate

STUDY = params.load()
STUDY = STUDY.model_copy(update={"unconstrained": STUDY.unconstrained.model_copy(update={"classes": 4})})


def made(**changed):
    found = tabulate(STUDY, {"unconstrained": synthetic.result() | changed}.get)
    return chapter(STUDY, lambda name: found.get(name, []))


def claims(**changed) -> dict[str, Claim]:
    return {claim.id.partition(".")[2]: claim for claim in made(**changed).claims}


def minority(**cosines: float | None) -> Claim:
    """With the cosines of these ratios changed: of ratio_15 and so on."""
    rows = synthetic.result()["imbalance"]
    changed = [row | {"minority_cosine": cosines.get(f"ratio_{row['ratio']}", row["minority_cosine"])} for row in rows]
    return claims(imbalance=changed)["minority"]


def test_theory_holds_of_what_is_solved():
    found = claims()
    assert {claim.verdict for claim in found.values()} == {"supported"}
    assert found["size"].seeds == found["shape"].seeds == ("0", "1")


@pytest.mark.parametrize("quantity", ["gap", "cosine", "wrong", "row_norm"])
def test_bounds_that_end_elsewhere_contradict_it(quantity: str):
    solutions = [
        row | {"optimum": row["optimum"] | {quantity: row["optimum"][quantity] | {"difference": 1e-3}}}
        for row in synthetic.bounds()["solutions"]
    ]
    found = claims(bounds=synthetic.bounds() | {"solutions": solutions})
    assert found.pop("bounds").verdict == "contradicted"
    assert {claim.verdict for claim in found.values()} == {"supported"}


def test_bounds_have_a_threshold_of_their_own():
    assert claims()["bounds-minority"].seeds == ("ratio-150", "ratio-190", "ratio-210", "ratio-350")
    gradual = [
        row | {"minority_cosine": min(row["minority_cosine"] or 0, 0.995)} for row in synthetic.bounds()["imbalance"]
    ]
    assert claims(bounds=synthetic.bounds() | {"imbalance": gradual})["bounds-minority"].verdict != "supported"
    beyond = claims(bounds=synthetic.bounds() | {"merging_ratio": None})["bounds-minority"]
    assert beyond.verdict == "not assessable"


def test_results_of_an_earlier_version_have_a_chapter_without_bounds():
    assert set(claims(bounds=None)) == {"size", "shape", "minority"}
    assert len({picture.name: picture.draw() for picture in made(bounds=None).pictures}["minority"].axes) == 2


@pytest.mark.parametrize(("name", "quantity"), [("size", "objective"), ("shape", "cosine")])
def test_descents_that_end_elsewhere_contradict_it(name: str, quantity: str):
    worse = [
        row | {"optimum": row["optimum"] | {quantity: row["optimum"][quantity] | {"difference": 1e-3}}}
        for row in synthetic.result()["solutions"]
    ]
    found = claims(solutions=worse)
    assert found.pop(name).verdict == "contradicted"
    assert {claim.verdict for claim in found.values()} == {"supported"}


def test_one_start_of_several_that_ends_elsewhere_contradicts_it():
    solutions = synthetic.result()["solutions"]
    last = max(row["start"] for row in solutions)
    worse = [
        row | {"optimum": row["optimum"] | {"objective": row["optimum"]["objective"] | {"difference": 0.7}}}
        if row["start"] == last
        else row
        for row in solutions
    ]
    assert claims(solutions=worse)["size"].verdict == "contradicted"


def test_one_start_decides_nothing():
    assert claims(solutions=synthetic.result(1)["solutions"])["size"].verdict == "undecided"


def test_minority_collapse_must_be_a_transition_on_both_sides():
    assert minority().seeds == (
        "ratio-15",
        "ratio-19",
        "ratio-21",
        "ratio-35",
    )  # near the threshold, not where all is plain
    assert minority().verdict == "supported"
    assert minority(ratio_19=0.995).verdict == "contradicted"  # gradual: one before the threshold
    assert minority(ratio_21=0.9999).verdict == "contradicted"  # gradual: not one after it
    assert minority(ratio_1=1.0).verdict == "supported"


def test_ratios_on_one_side_alone_show_no_transition():
    assert minority(ratio_21=None, ratio_35=None).verdict == "not assessable"


def test_a_study_without_the_model_has_no_chapter():
    assert chapter(STUDY, lambda name: []) is None


def test_no_panel_looks_like_failure_where_the_optimum_is_no_simplex():
    drawn = {picture.name: picture.draw() for picture in made().pictures}
    assert list(drawn) == ["descent", "minority"]
    titles = [axes.get_title() for axes in drawn["descent"].axes]
    assert [title.partition(":\n")[2] for title in titles] == ["simplex", "simplex", "orthogonal frame", "simplex"]
    for axes in drawn["descent"].axes:
        assert len(axes.lines) == 3 * 2
        assert all(line.get_ydata()[-1] < 1e-7 for line in axes.lines)


def test_the_minority_is_drawn_where_it_has_an_angle_beside_theory():
    panels = {picture.name: picture.draw() for picture in made().pictures}["minority"].axes
    assert [list(axes.lines[2].get_xdata()) for axes in panels] == [[20, 20]] * 2 + [[200, 200]] * 2
    assert all(axes.get_xlabel() for axes in panels), "each row has ratios of its own"
    for cosines in panels[::2]:
        assert [value == value for value in cosines.lines[1].get_ydata()] == [True] * 6 + [False]


def test_findings_tell_the_numbers():
    found = made().findings
    assert any("0.980000 at 19" in sentence and "threshold is 20" in sentence for sentence in found)
    (numbers,) = made().numbers
    assert all(len(row) == len(numbers.columns) for row in numbers.rows)
