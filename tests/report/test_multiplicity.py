"""Which verdicts stand if all claims of a report are counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from hidden_structure.report.claim import Claim, Criterion
from hidden_structure.report.multiplicity import rows, standing, told

VALUES = st.lists(st.integers(-200, 200).map(lambda value: value / 100), min_size=2, max_size=6)
BOUNDS = st.sampled_from([{"at_least": 0.3}, {"at_most": 0.3}, {"at_least": -0.5, "at_most": 0.5}])


def claim(values, kind="ours", unmet="", every=False, **bounds):
    criterion = Criterion("a number", **(bounds or {"at_least": 0.0}))
    return Claim("idea.name", "idea", kind, "It is.", criterion, tuple(values), unmet=unmet, every=every)


@given(VALUES, BOUNDS)
def test_a_verdict_is_decided_where_its_p_value_is_below_a_twentieth(values, bounds):
    made = claim(values, **bounds)
    p = made.p_value()
    assert (p is None) == (max(values) == min(values))
    if p is not None and abs(p - 0.05) > 1e-9:
        assert (made.verdict in ("supported", "contradicted")) == (p < 0.05)


def test_it_is_that_of_a_t_test_against_the_bound_that_decides():
    values = [0.1, 0.4, 0.2]
    assert claim(values).p_value() == pytest.approx(ttest_1samp(values, 0.0).pvalue)
    both = {"at_least": 0.0, "at_most": 2.0}
    assert claim(values, **both).p_value() == pytest.approx(ttest_1samp(values, 0.0).pvalue)
    above = [2.5, 2.6, 2.8]
    assert claim(above, **both).p_value() == pytest.approx(ttest_1samp(above, 2.0).pvalue)


def test_what_no_interval_decides_is_not_counted():
    left_out = [claim([1.0, 1.1], "precondition"), claim([1.0]), claim([1.0, 1.1], unmet="no"), claim([])]
    left_out += [claim([1.0, 1.0, 1.0])]  # a count, or a share, that came out alike
    left_out += [claim([0.00278552, 0.0027839, 0.00278677])]  # one image of 359, of accuracies with six digits
    left_out += [claim([0.3, 0.4], every=True)]
    assert [one.p_value() for one in left_out] == [None] * 7
    assert standing(left_out) == [None] * 7
    assert told(left_out) == ""
    assert [row["holm"] for row in rows(left_out)] == [""] * 7


def test_the_more_claims_are_counted_the_fewer_stand():
    sure, likely, open_ = claim([1.0, 1.001, 0.999]), claim([1.0, 1.7, 1.3]), claim([1.0, -1.0, 0.5])
    assert (likely.verdict, open_.verdict) == ("supported", "undecided")
    assert 0.05 / 3 < likely.p_value() < 0.05 / 2
    assert standing([likely]) == [True]
    assert standing([likely, open_]) == [True, False]
    assert standing([open_, likely, open_]) == [False, False, False]
    assert standing([open_, sure, likely, open_]) == [False, True, False, False]
    said = told([open_, sure, likely, open_])
    assert "Of 4 claims" in said
    assert "it decides 2; counting all 4, 1 of these verdicts stand" in said
    assert [row["holm"] for row in rows([sure, open_])] == ["yes", "no"]
