"""Curves over training: what they are the mean of, and axes that hide nothing of them."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from hidden_structure.frame.errors import InputError
from hidden_structure.report.curves import curve, down_to_none, linear_epochs, log_epochs, logarithmic
from hidden_structure.report.statistics import over_training, standard_error


def test_a_band_is_one_standard_error_to_either_side_of_the_mean():
    values = np.random.default_rng(0).random((4, 3))
    epochs, mean, low, high = over_training([([0, 1, 5], row) for row in values])
    assert epochs.tolist() == [0, 1, 5]
    np.testing.assert_allclose(mean, values.mean(0))
    errors = [standard_error(column) for column in values.T.tolist()]
    np.testing.assert_allclose([mean - low, high - mean], [errors] * 2)


def test_on_a_logarithmic_axis_no_band_reaches_zero():
    _, mean, low, high = over_training([([1], [1e-4]), ([1], [1.0]), ([1], [0.0])], logarithmic=True)
    assert mean[0] == pytest.approx(1e-2)
    assert 0 < low[0] < mean[0] < high[0]
    np.testing.assert_allclose(low * high, mean**2)


def test_curves_of_different_epochs_meet_where_both_were_measured():
    epochs, mean, low, high = over_training([([0, 2], [1.0, 2.0]), ([2, 4], [4.0, 5.0])])
    assert epochs.tolist() == [0, 2, 4]
    assert mean.tolist() == [1, 3, 5]
    assert (high - low > 0).tolist() == [False, True, False]
    with pytest.raises(InputError, match="epoch 2"):
        over_training([([0, 2], [1.0, None])])


@pytest.mark.parametrize("last", [1, 3, 12, 36, 60, 160, 350, 100_000])
@pytest.mark.parametrize("axis", [log_epochs, linear_epochs])
def test_the_last_epoch_is_labelled_and_no_label_twice(axis, last):
    axes = Figure().add_subplot()
    axis(axes, last)
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels[0] == "0"
    assert labels[-1] == str(last)
    assert len(set(labels)) == len(labels) <= 8


def test_zero_is_on_the_axis_of_shares_where_it_occurs_and_nowhere_else():
    for values, least in (([0.5, 0.01, 0.0], 0.0), ([0.5, 0.01, 0.02], 0.0099)):
        axes = Figure().add_subplot()
        curve(axes, [([0, 1, 2], values)], "black")
        down_to_none(axes, 1e-3)
        low, high = axes.get_ylim()
        assert low <= least
        assert high >= 0.5
        assert ("0" in [label.get_text() for label in axes.get_yticklabels()]) == (0.0 in values)


def test_zero_is_on_the_axis_of_shares_where_a_band_comes_near_it():
    axes = Figure().add_subplot()
    curve(axes, [([0, 1], [0.5, 0.01]), ([0, 1], [0.5, 0.0001])], "black")
    down_to_none(axes, 1e-3)
    assert min(axes.lines[0].get_ydata()) > 1e-3
    assert axes.get_yscale() == "symlog"


@pytest.mark.parametrize("ends", [(2.1, 9.0), (2.2, 9.5), (1.1, 4.8), (5.0, 15.0), (0.0005, 0.003), (3.0, 80.0)])
def test_no_logarithmic_axis_has_less_than_two_labels(ends):
    for name in "xy":
        axes = Figure().add_subplot()
        axes.set(**{f"{name}lim": ends})
        logarithmic(axes, name)
        assert 2 <= len(getattr(axes, f"get_{name}ticks")()) <= 6
