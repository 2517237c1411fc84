"""A verdict is read off the interval of the mean, and nothing is said where nothing can be."""

import pytest

from hidden_structure.report.claim import COLUMNS, Claim, Criterion, Published, decide, unless
from hidden_structure.report.statistics import interval

AT_MOST = Criterion("a share", at_most=0.1, origin="ours")


def claim(values: tuple[float, ...] = (0.01, 0.02, 0.03), **others) -> Claim:
    return Claim("idea.name", "idea", others.pop("kind", "ours"), "So it is.", AT_MOST, values, **others)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((0.01, 0.02, 0.03), "supported"),
        ((0.21, 0.22, 0.23), "contradicted"),
        ((0.05, 0.09, 0.13), "undecided"),  # the mean fulfils it, the interval does not
        ((0.01,), "undecided"),
        ((), "not assessable"),
    ],
)
def test_a_verdict_asks_for_the_whole_interval(values, verdict):
    assert claim(values).verdict == verdict
    assert bool(claim(values).judge()[1]) == (verdict in ("undecided", "not assessable"))


def test_a_criterion_with_two_bounds_asks_for_both():
    between = Criterion("a share", at_least=0.4, at_most=0.6)
    assert decide(between, (0.49, 0.5, 0.51))[0] == "supported"
    assert decide(between, (0.1, 0.11, 0.12))[0] == decide(between, (0.8, 0.81, 0.82))[0] == "contradicted"
    assert decide(between, (0.0, 0.5, 1.0))[0] == "undecided"
    with pytest.raises(ValueError, match="no bound"):
        Criterion("a share")


def test_more_replications_of_the_same_scatter_decide_more():
    """Which a verdict on the mean, or on the spread of single values, would not show."""
    few, many = (0.05, 0.13), (0.05, 0.13) * 50
    assert claim(few).verdict == "undecided"
    assert claim(many).verdict == "supported"


def test_one_case_that_fails_contradicts_what_is_claimed_of_every_case():
    assert claim((0.01, 0.02, 0.03), every=True).verdict == "supported"
    assert claim((0.01, 0.02, 0.3), every=True).judge() == ("contradicted", "1 of 3 do not")
    assert claim((0.3,), every=True).verdict == "contradicted"
    assert claim((0.01,), every=True).verdict == "undecided"  # of others nothing is known
    assert claim((0.3,), every=True, unmet="no").verdict == "not assessable"


def test_where_a_precondition_fails_nothing_is_said_whatever_was_measured():
    failed = claim((0.5, 0.01), kind="precondition")
    assert "1 of 2" in failed.judge()[1]
    assert claim(unmet=unless(failed)).verdict == "not assessable"
    assert claim(unmet=unless(claim((0.01,), kind="precondition"))).verdict == "supported"


def test_a_row_holds_all_that_a_reader_needs_to_judge_for_himself():
    row = claim(seeds=("0", "1", "2"), source="Someone 2020", published=Published(0.05, "there")).row()
    assert tuple(row) == COLUMNS
    assert (row["n"], row["seeds"], row["published"]) == (3, "0 1 2", "0.05 (there)")
    assert row["interval"] == pytest.approx(interval((0.01, 0.02, 0.03)), rel=1e-5)
    assert "at most 0.1 (ours)" in row["criterion"]
    assert claim((0.5,)).row()["interval"] is None
