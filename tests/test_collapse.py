from dataclasses import asdict

import numpy as np
import pytest
import torch

from hidden_structure.collapse import metrics
from hidden_structure.collapse.metrics import class_distances, measure
from hidden_structure.frame.errors import InputError
from hidden_structure.seeding import torch_generator


def simplex(classes: int, dimension: int, *names) -> torch.Tensor:
    """Rows of a simplex equiangular tight frame in a random orientation, float64 (classes, dimension)."""
    basis = torch.linalg.qr(torch.randn(dimension, classes, generator=torch_generator("basis", *names)).double()).Q
    return (torch.eye(classes, dtype=torch.float64) - 1 / classes) @ basis.T


def random_problem(classes=5, dimension=12, samples=200, balanced=True, dtype=torch.float32):
    generator = torch_generator("problem", classes, dimension, samples)
    labels = torch.arange(samples) % classes
    if not balanced:
        labels = labels.clone()
        labels[: samples // 2] = 0
    means = 2 * torch.randn(classes, dimension, generator=generator)
    features = means[labels] + torch.randn(samples, dimension, generator=generator)
    weight, bias = torch.randn(classes, dimension, generator=generator), torch.randn(classes, generator=generator)
    return features.to(dtype), labels, weight.to(dtype), bias.to(dtype)


def by_definition(features, labels, weight, bias) -> dict[str, float]:
    """The formulas written out with dense float64 matrices."""
    h, y, w, b = (tensor.double().numpy() if tensor.is_floating_point() else tensor.numpy() for tensor in
                  (features, labels, weight, bias))  # fmt: skip
    classes, dimension = w.shape
    means = np.stack([h[y == c].mean(0) for c in range(classes)])
    centred = means - means.mean(0)
    within = np.mean([np.cov(h[y == c].T, bias=True) for c in range(classes)], 0)
    values, vectors = np.linalg.eigh(centred.T @ centred / classes)
    kept = np.argsort(values)[-min(classes - 1, dimension) :]
    inverse = vectors[:, kept] / values[kept] @ vectors[:, kept].T
    nearest = ((h[:, None] - means) ** 2).sum(2).argmin(1)
    result = {
        "nc1": np.trace(within @ inverse) / classes,
        "nc3": np.linalg.norm(w / np.linalg.norm(w) - centred / np.linalg.norm(centred)),
        "nc4": (nearest != (h @ w.T + b).argmax(1)).mean(),
    }
    for name, rows in (("means", centred), ("rows", w)):
        norms = np.linalg.norm(rows, axis=1)
        cosines = (rows @ rows.T / np.outer(norms, norms))[~np.eye(classes, dtype=bool)]
        result |= {
            f"nc2_norms_{name}": norms.std() / norms.mean(),
            f"nc2_cosine_{name}": cosines.mean(),
            f"nc2_angle_{name}": np.abs(cosines + 1 / (classes - 1)).mean(),
            f"nc2_equiangular_{name}": cosines.std(),
        }
    return result


@pytest.mark.parametrize(("classes", "dimension"), [(2, 2), (4, 7), (10, 64)])
def test_a_simplex_is_collapse_itself(classes, dimension):
    means, labels = simplex(classes, dimension), torch.arange(6 * classes) % classes
    found = asdict(measure(means[labels] + 3, labels, 5 * means, None))
    expected = dict.fromkeys(found, 0.0) | dict.fromkeys(["nc2_cosine_means", "nc2_cosine_rows"], -1 / (classes - 1))
    bias = -5 * means @ torch.full((dimension,), 3.0).double()  # without it the shift by 3 enters the logits
    expected["nc4"] = found["nc4"]
    assert found == pytest.approx(expected, abs=1e-12)
    assert measure(means[labels] + 3, labels, 5 * means, bias).nc4 == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize(("classes", "dimension"), [(2, 5), (5, 12), (9, 4), (12, 11)])
def test_agrees_with_the_definition(monkeypatch, classes, dimension, balanced, dtype):
    monkeypatch.setattr(metrics, "CHUNK_VALUES", 7 * dimension)  # so that several chunks, the last incomplete, count
    problem = random_problem(classes, dimension, balanced=balanced, dtype=dtype)
    expected = by_definition(*problem)
    assert asdict(measure(*problem)) == pytest.approx(expected, rel=1e-9 if dtype == torch.float64 else 1e-4, abs=1e-9)


def test_balanced_forms_are_the_sample_averages_of_balanced_classes():
    features, labels, weight, bias = random_problem(dtype=torch.float64)
    means = torch.stack([features[labels == c].mean(0) for c in range(5)])
    residuals, centred = features - means[labels], means - features.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / 5)
    whitened = residuals @ vectors[:, -4:] * values[-4:].rsqrt()
    expected = whitened.square().sum(1).mean() / 5
    assert measure(features, labels, weight, bias).nc1 == pytest.approx(expected.item(), rel=1e-10)


def test_measures_do_not_depend_on_rotation_scale_or_place():
    features, labels, weight, bias = random_problem(dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(12, 12, generator=torch_generator("rotation")).double()).Q
    moved = 3 * features @ rotation + 7 * rotation[0]
    turned = weight @ rotation / 3
    moved_bias = bias - turned @ (7 * rotation[0])
    expected = asdict(measure(features, labels, weight, bias))
    assert asdict(measure(moved, labels, turned, moved_bias)) == pytest.approx(expected, rel=1e-9)


def test_nc1_of_nearly_collapsed_float32_features():
    """Features that are far from the origin and vary within classes by 1e-4 of what lies between them."""
    classes, dimension = 10, 64
    labels = torch.arange(20000) % classes
    means = simplex(classes, dimension) + 1
    noise = torch.randn(20000, dimension, generator=torch_generator("noise"), dtype=torch.float64)
    features = (means[labels] + 1e-4 * noise).float()
    expected = by_definition(features, labels, means, torch.zeros(classes))["nc1"]
    assert expected < 1e-7
    assert measure(features, labels, means, None).nc1 == pytest.approx(expected, rel=0.01)


def test_means_of_collapsed_float32_features_are_as_exact_as_float64_makes_them():
    """Their error is far below what the samples leave uncertain."""
    labels = torch.arange(20000) % 4
    noise = torch.randn(20000, 16, generator=torch_generator("noise"))
    features = 100 * torch.randn(4, 16, generator=torch_generator("means"))[labels] + 1e-3 * noise
    origin, offsets = metrics._class_means(features, labels, labels.bincount().double())
    expected = torch.stack([features[labels == label].double().mean(0) for label in range(4)])
    assert (origin + offsets - expected).abs().max() < 1e-4 * 1e-3 / 5000**0.5
    features[:, 3] = 0.1
    assert not metrics._class_means(features, labels, labels.bincount().double())[1][:, 3].any()


def test_within_float32s_last_digit_figures_are_those_of_the_same_numbers_in_float64():
    """A class's mean lies between two neighbouring numbers, and is none of float32's."""
    generator = torch_generator("last digit")
    labels, weight = torch.arange(4000) % 4, torch.randn(4, 8, generator=generator)
    features = torch.rand(4, 8, generator=generator)[labels] + 1
    above = torch.nextafter(features, torch.tensor(torch.inf))
    features = torch.where(torch.rand(features.shape, generator=generator) < 0.5, above, features)
    exact = measure(features.double(), labels, weight.double(), None)
    assert asdict(measure(features, labels, weight, None)) == pytest.approx(asdict(exact), rel=1e-5)
    spread = class_distances(features, labels, 4).diagonal()
    torch.testing.assert_close(spread, class_distances(features.double(), labels, 4).diagonal(), rtol=1e-5, atol=0)


@pytest.mark.parametrize(("classes", "dimension"), [(40, 32), (100, 64), (10, 64)])
def test_directions_that_rounding_makes_up_are_none(classes, dimension):
    """A LayerNorm leaves features in a plane, beside which float32 puts a last digit, between classes as within."""
    generator = torch_generator("plane", classes)
    norm = torch.nn.LayerNorm(dimension)
    torch.nn.init.uniform_(norm.weight, 0.5, 1.5, generator=generator)
    torch.nn.init.normal_(norm.bias, generator=generator)
    labels, weight = torch.arange(50 * classes) % classes, torch.randn(classes, dimension, generator=generator)
    images = torch.randn(classes, dimension, generator=generator)[labels]
    images += 0.3 * torch.randn(len(labels), dimension, generator=generator)
    with torch.no_grad():
        rounded, exact = norm(images), norm.double()(images.double())
    found = measure(rounded, labels, weight, None).nc1
    assert found == pytest.approx(measure(exact, labels, weight.double(), None).nc1, rel=1e-5)


def test_a_unit_of_small_numbers_is_a_direction():
    """Its last digits are as small as itself, and the largest unit's say nothing of it."""
    features, labels, weight, bias = random_problem(classes=9, dimension=4)
    small = torch.tensor([1.0, 1.0, 1.0, 1e-9])
    found = measure(features * small, labels, weight / small, bias).nc1
    assert found == pytest.approx(measure(features, labels, weight, bias).nc1, rel=1e-4)


def test_dead_units_leave_fewer_directions():
    features, labels, weight, bias = random_problem(classes=6, dimension=3, dtype=torch.float64)
    padded = torch.cat([features, torch.full((200, 5), 0.1, dtype=torch.float64)], 1)
    found = measure(padded, labels, torch.cat([weight, weight.new_zeros(6, 5)], 1), bias)
    assert found.nc1 == pytest.approx(measure(features, labels, weight, bias).nc1, rel=1e-9)


def test_the_bias_counts_in_nc4():
    features, labels, weight, _ = random_problem()
    towards_one_class = torch.tensor([1e4, 0, 0, 0, 0])
    nearest_is_other = measure(features, labels, weight, towards_one_class).nc4
    assert 0.7 < nearest_is_other < 0.9


def test_class_distances_are_means_over_all_pairs(monkeypatch):
    monkeypatch.setattr(metrics, "CHUNK_VALUES", 100)
    features, labels, *_ = random_problem(samples=60, balanced=False)
    squared = (features[:, None].double() - features.double()).square().sum(2)
    expected = [[squared[labels == i][:, labels == j].mean() for j in range(5)] for i in range(5)]
    found = class_distances(features, labels, 5)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=0)


@pytest.mark.parametrize("function", ["measure", "class_distances"])
@pytest.mark.parametrize("what", ["missing class", "label", "nan", "infinity"])
def test_bad_input_is_one_line(function, what):
    features, labels, weight, bias = random_problem()
    if what == "missing class":
        labels[labels == 3] = 2
    elif what == "label":
        labels[0] = 5
    else:
        features[17, 3] = float(what)
    expected = {"missing class": "class 3 has no sample", "label": "labels must lie in 0..4"}.get(
        what, "NaN or infinity"
    )
    with pytest.raises(InputError, match=expected) as error:
        measure(features, labels, weight, bias) if function == "measure" else class_distances(features, labels, 5)
    assert "\n" not in str(error.value)


def test_degenerate_networks_are_refused():
    features, labels, weight, bias = random_problem()
    with pytest.raises(InputError, match="do not depend on the class"):
        measure(torch.full_like(features, 0.1), labels, weight, bias)
    with pytest.raises(InputError, match="row of the last layer's weight of class 2 is zero"):
        measure(features, labels, weight * torch.tensor([1, 1, 0, 1, 1.0])[:, None], bias)
    with pytest.raises(InputError, match="last layer holds NaN"):
        measure(features, labels, weight * torch.nan, bias)


def test_a_last_layer_that_is_zero_as_some_are_before_training_is_at_right_angles_to_everything():
    features, labels, weight, _ = random_problem()
    found = measure(features, labels, torch.zeros_like(weight), None)
    assert (found.nc2_norms_rows, found.nc2_cosine_rows, found.nc2_equiangular_rows) == (0, 0, 0)
    assert found.nc2_angle_rows == pytest.approx(1 / (len(weight) - 1))
    assert found.nc3 == pytest.approx(1)
    assert found.nc1 == measure(features, labels, weight, None).nc1


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [
        *((scale, torch.float32) for scale in (2.0**-120, 1e-24, 1e19, 3e37)),
        *((scale, torch.float64) for scale in (1e-310, 1e-200, 1e160)),
    ],
)
def test_no_figure_depends_on_how_large_features_are(scale, dtype):
    features, labels, weight, bias = random_problem(dtype=torch.float64)
    features /= features.abs().max()
    once, again = (
        asdict(measure((features * by).to(dtype), labels, weight.to(dtype), (bias * by).to(dtype))) for by in (1, scale)
    )
    assert again == pytest.approx(once, rel=1e-5)
    if 1e-100 < scale < 1e19:  # or squares are beyond float64
        near, far = (class_distances((features * by).to(dtype), labels, 5) for by in (1, scale))
        torch.testing.assert_close(far / scale / scale, near, rtol=1e-5, atol=0)
