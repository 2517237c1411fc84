"""Distributions of values that come in parts: numpy's moments and quantiles of all at once, in constant memory."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hidden_structure.linearity.distribution import LEAST, MOST, QUANTILES, Distributions
from hidden_structure.seeding import numpy_generator

SPLITS = {
    "one": [1000],
    "two": [1, 999],
    "even": [250] * 4,
    "uneven": [3, 500, 1, 96, 400],
    "single values": [1] * 1000,
}


def collected(values, sizes=None):
    """values (rows, n), in parts of these sizes."""
    values = torch.from_numpy(np.asarray(values, np.float64))
    distributions = Distributions(len(values))
    for part in values.split(sizes or values.shape[1], 1):
        distributions.add(part)
    return distributions


def exact(values, share):
    return np.quantile(values, share, axis=1, method="inverted_cdf")


def magnitudes(count, name="magnitudes"):
    """Evenly spread over all orders of magnitude that are told apart."""
    return 10 ** numpy_generator(name).uniform(np.log10(LEAST), np.log10(MOST), count)


@pytest.mark.parametrize("sizes", SPLITS.values(), ids=SPLITS)
def test_moments_are_those_of_all_values_however_they_are_split(sizes):
    draw = numpy_generator("moments")
    scales = [1e-9, 1e-3, 1.0, 1e3, 1e12]
    values = np.stack([scale * draw.standard_normal(1000) for scale in scales] + [draw.exponential(2, 1000)])
    found = collected(values, sizes)
    summaries = found.summaries()
    np.testing.assert_allclose(found.mean, values.mean(1), rtol=1e-12, atol=1e-15 * np.abs(values).max())
    for row, summary in zip(values, summaries, strict=True):
        assert list(summary) == ["mean", "spread", *QUANTILES]
        assert summary["mean"] == pytest.approx(row.mean(), rel=1e-5)
        assert summary["spread"] == pytest.approx(row.std(ddof=1), rel=1e-5)


@pytest.mark.parametrize("sizes", SPLITS.values(), ids=SPLITS)
def test_a_large_mean_does_not_swallow_the_spread(sizes):
    values = 1e8 + numpy_generator("spread").standard_normal((1, 1000))
    (summary,) = collected(values, sizes).summaries()
    assert summary["spread"] == pytest.approx(values.std(ddof=1), rel=1e-5)


@pytest.mark.parametrize("sizes", SPLITS.values(), ids=SPLITS)
def test_quantiles_do_not_depend_on_the_split_or_the_order(sizes):
    values = magnitudes((3, 1000)) * numpy_generator("signs").choice([-1, 1], (3, 1000))
    shuffled = numpy_generator("order").permutation(values, axis=1)
    for share in (0.01, *QUANTILES.values(), 1.0):
        assert torch.equal(collected(values).quantile(share), collected(shuffled, sizes).quantile(share))


@pytest.mark.parametrize("sign", [1, -1, "both"])
@pytest.mark.parametrize("share", [0.001, 0.05, 0.3, 0.5, 0.731, 0.95, 1.0])
def test_quantiles_are_within_one_percent(sign, share):
    values = magnitudes((4, 2001))
    values *= numpy_generator("signs").choice([-1, 1], values.shape) if sign == "both" else sign
    np.testing.assert_allclose(collected(values).quantile(share), exact(values, share), rtol=0.01)


@given(
    st.lists(st.floats(-MOST, MOST, allow_subnormal=False), min_size=1, max_size=50),
    st.floats(0.01, 1),
    st.integers(1, 50),
)
def test_any_values_have_their_moments_and_quantiles(values, share, size):
    values = np.array([values])
    found = collected(values, size)
    assert found.mean.item() == pytest.approx(values.mean(), rel=1e-9, abs=1e-9)
    scatter = ((values - values.mean()) ** 2).sum()
    assert found.scatter.item() == pytest.approx(scatter, rel=1e-9, abs=1e-9)
    assert found.quantile(share).item() == pytest.approx(exact(values, share).item(), rel=0.01, abs=LEAST)


@pytest.mark.parametrize("tiny", [0.0, -0.0, 9e-8, -9e-8, 1e-300, -1e-300])
def test_what_is_below_the_least_magnitude_counts_as_zero(tiny):
    values = np.array([[tiny] * 9 + [1.0]])
    assert collected(values).quantile(0.5).item() == 0
    assert collected(values).quantile(1.0).item() == pytest.approx(1, rel=0.01)
    assert collected(-values).quantile(0.05).item() == pytest.approx(-1, rel=0.01)


def test_signs_are_kept_down_to_the_least_magnitude():
    values = np.array([[-1.1e-7] * 5 + [1.1e-7] * 5])
    assert collected(values).quantile(0.5).item() == pytest.approx(-1.1e-7, rel=0.01)
    assert collected(values).quantile(0.6).item() == pytest.approx(1.1e-7, rel=0.01)


@pytest.mark.parametrize("value", [1.0, -1.0, 0.0, 0.5, 2.0, MOST])
def test_rounding_decides_no_quantile_of_what_exact_arithmetic_gives(value):
    """Whether a processor rounds 1 up or down is no property of the quantity."""
    rounded = [value - 4e-16 * max(abs(value), 1), value, value + 4e-16 * max(abs(value), 1)]
    found = [collected([[one] * 9]).summaries()[0] for one in rounded]
    for name in QUANTILES:
        assert len({summary[name] for summary in found}) == 1
        assert found[0][name] == pytest.approx(value, rel=0.005)
        if value in (1, -1, 0, MOST):
            assert found[0][name] == value


def test_what_is_beyond_the_most_has_its_moments_and_counts_as_the_most():
    values = np.array([[-1e30, -5000.0, -1001.0, 1.0, 1001.0, 5000.0, 1e30]])
    found = collected(values, 2)
    assert [found.quantile(place / 7).item() for place in (1, 2, 3)] == [-MOST] * 3
    assert [found.quantile(place / 7).item() for place in (5, 6, 7)] == [MOST] * 3
    assert found.quantile(4 / 7).item() == pytest.approx(1, rel=0.01)
    assert found.summaries()[0]["spread"] == pytest.approx(values.std(ddof=1), rel=1e-5)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.3, 2e-7, -MOST, MOST, 1e9])
def test_a_single_value_is_its_own_mean_and_quantiles(value):
    (summary,) = collected([[value]]).summaries()
    assert (summary["mean"], summary["spread"]) == (value, 0)
    for name in QUANTILES:
        assert summary[name] == pytest.approx(min(value, MOST), rel=0.01)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e-5, 700.0])
def test_a_constant_has_no_spread_however_it_is_split(value):
    (summary,) = collected([[value] * 1000], 7).summaries()
    assert summary["mean"] == pytest.approx(value, rel=1e-6)
    assert summary["spread"] <= 1e-12 * abs(value)
    assert [summary[name] for name in QUANTILES] == pytest.approx([value] * 3, rel=0.01)


def test_rows_do_not_mix():
    values = np.stack([magnitudes(300), -magnitudes(300, "others"), np.zeros(300)])
    together = collected(values, 70).summaries()
    assert together == [collected(row[None], 70).summaries()[0] for row in values]


def test_half_precision_values_are_added_up_in_double():
    values = torch.full((1, 5000), 0.1, dtype=torch.float16)
    distributions = Distributions(1)
    for part in values.split(100, 1):
        distributions.add(part)
    assert distributions.mean.item() == pytest.approx(values[0, 0].item(), rel=1e-12)


def test_memory_does_not_grow_with_the_number_of_values():
    def held(distributions):
        return sum(value.nbytes for value in vars(distributions).values() if isinstance(value, torch.Tensor))

    values = magnitudes((2, 20_000))
    assert held(collected(values, 1000)) == held(collected(values[:, :1])) == held(Distributions(2))
    assert not any(isinstance(value, (list, dict)) for value in vars(collected(values)).values())


def test_summaries_have_six_digits_and_are_plain_numbers():
    (summary,) = collected([[1 / 3, 2 / 3]]).summaries()
    assert all(type(value) is float and value == float(f"{value:.6g}") for value in summary.values())
    assert summary["mean"] == 0.5
