import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hidden_structure.frame.errors import InputError
from hidden_structure.recovery import curvature, probing
from hidden_structure.seeding import torch_generator


def problem(samples=300, dimension=8, classes=4):
    generator = torch_generator("probe")
    labels = torch.randint(classes, (samples,), generator=generator)
    scales = torch.logspace(1, -2, dimension)  # directions of very different variance, as in collapsed features
    features = (torch.randn(classes, dimension, generator=generator)[labels] * 0.7) * scales
    return features + torch.randn(samples, dimension, generator=generator) * scales + 3, labels


def objective(weight, bias, features, labels, l2):
    return cross_entropy(features.double() @ weight.T + bias, labels) + l2 / 2 * weight.square().sum()


@pytest.mark.parametrize("l2", [1e-4, 1e-2, 1.0])
def test_the_gradient_vanishes(l2):
    features, labels = problem()
    probe = probing.fit(features, labels, 4, l2)
    weight, bias = probe.weight.clone().requires_grad_(), probe.bias.clone().requires_grad_()
    objective(weight, bias, features, labels, l2).backward()
    assert weight.grad.abs().max() < 1e-6
    assert bias.grad.abs().max() < 1e-6


def test_the_optimum_is_scikit_learns():
    from sklearn.linear_model import LogisticRegression

    (features, labels), l2 = problem(), 1e-3
    probe = probing.fit(features, labels, 4, l2)
    peer = LogisticRegression(C=1 / (l2 * len(labels)), tol=1e-10, max_iter=10000, solver="newton-cholesky")
    peer.fit(features.double().numpy(), labels.numpy())
    peer_value = objective(torch.from_numpy(peer.coef_), torch.from_numpy(peer.intercept_), features, labels, l2)
    value = objective(probe.weight, probe.bias, features, labels, l2)
    assert value.item() == pytest.approx(peer_value.item(), rel=1e-8)
    np.testing.assert_allclose(probe.weight.numpy(), peer.coef_, atol=1e-3)


def test_same_input_same_bytes():
    features, labels = problem()
    once, again = (probing.fit(features, labels, 4, 1e-4) for _ in range(2))
    assert once.weight.numpy().tobytes() == again.weight.numpy().tobytes()
    assert once.bias.numpy().tobytes() == again.bias.numpy().tobytes()


def test_predictions_do_not_depend_on_the_features_origin():
    features, labels = problem()
    shift = torch.tensor([100.0, -100, 0, 5, 0, 0, 1, 1])
    probe, moved = (probing.fit(shifted, labels, 4, 1e-3) for shifted in (features.double(), features.double() + shift))
    assert torch.equal(probe.predict(features), moved.predict(features.double() + shift))
    torch.testing.assert_close(probe.weight, moved.weight, rtol=1e-4, atol=1e-4)


def test_separable_classes_are_learnt_and_constant_units_ignored():
    labels = torch.arange(60) % 3
    features = torch.cat([torch.eye(3)[labels], torch.ones(60, 2)], 1)
    probe = probing.fit(features, labels, 3, 1e-4)
    assert probing.accuracy(probe, features, labels) == 1
    assert probing.accuracy(probe, features, (labels + 1) % 3) == 0
    assert probe.weight[:, 3:].abs().max() < 1e-9


def test_a_heavy_penalty_leaves_the_class_frequencies():
    features, labels = problem()
    probe = probing.fit(features, labels, 4, 1e6)
    frequencies = labels.bincount(minlength=4).double() / len(labels)
    torch.testing.assert_close((features.double() @ probe.weight.T + probe.bias).softmax(1).mean(0), frequencies)
    assert probe.weight.abs().max() < 1e-5


def test_collapsed_features_are_no_obstacle():
    """Two super-classes far apart, two classes close together in each: scales that differ a thousandfold."""
    generator = torch_generator("collapsed")
    labels = torch.randint(4, (500,), generator=generator)
    features = 1e-2 * torch.randn(500, 30, generator=generator)
    features[:, 0] += 10.0 * (labels % 2)
    features[:, 1] += 3e-2 * (labels // 2)
    probe = probing.fit(features, labels, 4, 1e-6)
    weight, bias = probe.weight.clone().requires_grad_(), probe.bias.clone().requires_grad_()
    objective(weight, bias, features, labels, 1e-6).backward()
    assert weight.grad.abs().max() < 1e-6
    assert probing.accuracy(probe, features, labels) > 0.9


def mislabelled(scale: float = 1.0, spread: float = 0.03) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Sixty nearly collapsed classes in fifty dimensions, and one label in twenty drawn at random, as clusters give."""
    generator, classes, samples = torch_generator("mislabelled"), 60, 300
    labels = torch.arange(samples) % classes
    features = torch.randn(classes, 50, generator=generator)[labels]
    features = features + spread * torch.randn(samples, 50, generator=generator)
    wrong = torch.rand(samples, generator=generator) < 0.05
    return (
        scale * features,
        torch.where(wrong, torch.randint(classes, (samples,), generator=generator), labels),
        classes,
    )


@pytest.mark.parametrize(("scale", "spread"), [(1.0, 0.03), (1.0, 0.0), (100.0, 0.03)])
def test_many_collapsed_classes_with_wrong_labels_among_them_are_fitted_to_the_optimum(scale, spread):
    features, labels, classes = mislabelled(scale, spread)
    probe = probing.fit(features, labels, classes, 1e-4)
    weight, bias = probe.weight.clone().requires_grad_(), probe.bias.clone().requires_grad_()
    objective(weight, bias, features, labels, 1e-4).backward()
    assert weight.grad.abs().max() < 1e-5 * scale
    assert bias.grad.abs().max() < 1e-5
    again = probing.fit(features, labels, classes, 1e-4)
    assert torch.equal(again.weight, probe.weight)
    assert torch.equal(again.bias, probe.bias)


def test_that_optimum_is_scikit_learns_too():
    from sklearn.linear_model import LogisticRegression

    (features, labels, classes), l2 = mislabelled(), 1e-4
    probe = probing.fit(features, labels, classes, l2)
    peer = LogisticRegression(C=1 / (l2 * len(labels)), tol=1e-10, max_iter=1000, solver="newton-cg")
    peer.fit(features.double().numpy(), labels.numpy())
    peer_value = objective(torch.from_numpy(peer.coef_), torch.from_numpy(peer.intercept_), features, labels, l2)
    value = objective(probe.weight, probe.bias, features, labels, l2)
    assert value.item() == pytest.approx(peer_value.item(), rel=1e-8)


@pytest.mark.parametrize("scale", [2.0**-10, 2.0**10])
def test_a_penalty_chosen_by_held_out_samples_is_in_no_units(scale):
    features, labels = problem()
    probe, scaled = (probing.fit(own, labels, 4, None) for own in (features, features * scale))
    torch.testing.assert_close(scaled.weight * scale, probe.weight, rtol=1e-4, atol=1e-5)
    fixed, other = (probing.fit(own, labels, 4, 1e-2) for own in (features, features * scale))
    assert (other.weight * scale - fixed.weight).abs().max() > 0.1 * fixed.weight.abs().max()


@pytest.mark.parametrize("wrong", [0.0, 0.6])
def test_samples_that_a_layer_has_not_seen_choose_its_penalty(wrong):
    features, labels = problem(samples=200, dimension=40)
    generator = torch_generator("wrong labels")
    drawn = torch.randint(4, labels.shape, generator=generator)
    labels = torch.where(torch.rand(labels.shape, generator=generator) < wrong, drawn, labels)
    order = torch.randperm(200, generator=torch_generator("probe", "held out"))
    out, kept = order[:20], order[20:]
    unit = features[kept].var(0, correction=0).mean().item()
    right = [
        probing.accuracy(probing.fit(features[kept], labels[kept], 4, share * unit), features[out], labels[out])
        for share in probing.SHARES
    ]
    best = probing.fit(features, labels, 4, unit * probing.SHARES[right.index(max(right))])
    torch.testing.assert_close(probing.fit(features, labels, 4, None).weight, best.weight, rtol=1e-3, atol=1e-4)
    assert len(set(right)) > 1  # the penalty matters


def test_where_the_optimum_is_sought_from_changes_it_by_no_more_than_its_tolerance(monkeypatch):
    """Of another penalty's, of features that lie far from 0."""
    features, labels = 30 + torch.randn(200, 6, generator=torch_generator("near")), torch.arange(200) % 4
    near = probing.fit(features, labels, 4, 1e-1)
    problem = probing._Problem.of(features, labels, 4, 1e-3)
    cold, warm = (probing._optimum(problem, start) for start in (None, near))
    torch.testing.assert_close(cold.weight, warm.weight, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(cold.bias, warm.bias, rtol=1e-3, atol=1e-3)
    looked, at = [], probing._Problem.at
    monkeypatch.setattr(probing._Problem, "at", lambda own, weight: looked.append(weight) or at(own, weight))
    probing._optimum(problem, cold)
    assert len(looked) <= 2, "at the optimum nothing is left to do"


def test_what_only_small_penalties_see_is_seen_by_a_chosen_one():
    """Pairs of classes of unequal size, nearer to one another than to others: large penalties all read the larger."""
    generator = torch_generator("pairs")
    coarse, upper = torch.arange(2000) % 2, torch.rand(2000, generator=generator) < 0.4
    labels = 2 * coarse + upper
    features = torch.randn(2, 12, generator=generator)[coarse] + 0.0005 * torch.randn(2000, 12, generator=generator)
    features[:, 0] += 0.003 * upper
    assert probing.accuracy(probing.fit(features, labels, 4, 1e-4), features, labels) < 0.62
    assert probing.accuracy(probing.fit(features, labels, 4, None), features, labels) > 0.95


def test_a_penalty_out_of_reach_of_all_samples_gives_way_to_a_larger_one(monkeypatch):
    features, labels = problem()
    optimum, tried = probing._optimum, []

    def reached(found, near):
        tried.append((len(found.features), found.l2))
        if len(found.features) == len(features) and len(tried) < 12:  # nine on most samples, then the first two on all
            raise InputError("out of reach")
        return optimum(found, near)

    monkeypatch.setattr(probing, "_optimum", reached)
    monkeypatch.setattr(probing, "accuracy", lambda *_: float(len(tried)))  # the least penalty seems best
    assert probing.fit(features, labels, 4, None)
    penalties = [l2 for samples, l2 in tried if samples == len(features)]
    assert penalties == pytest.approx([tried[place][1] for place in (8, 7, 6)])


def test_features_that_do_not_vary_are_no_obstacle_to_choosing():
    labels = torch.arange(40) % 4 % 3
    probe = probing.fit(torch.ones(40, 5), labels, 3, None)
    torch.testing.assert_close(probe.bias.softmax(0), torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64))


def test_a_penalty_cannot_be_chosen_by_too_few_samples():
    features, labels = problem(samples=9)
    with pytest.raises(InputError, match="needs 10 samples, got 9"):
        probing.fit(features, labels, 4, None)


@pytest.mark.parametrize("period", [3, 4, 8, 16])
def test_the_axes_are_of_all_classes_in_whatever_order_they_come(period):
    generator, dimension = torch_generator("period", period), 20
    labels = (
        torch.arange(16 * probing.SAMPLES * dimension) % period
    )  # sixteen times as many samples as axes are made of
    means = 10 * torch.randn(period, dimension, generator=generator)
    features = means[labels] + torch.randn(len(labels), dimension, generator=generator)
    found = probing._Problem.of(features, labels, period, 1e-4)
    scatter = features.double().T.cov(correction=0)
    assert ((found.axes * found.variances) @ found.axes.T - scatter).norm() < 0.5 * scatter.norm()


def test_neither_chunks_nor_a_coarse_preconditioner_move_the_optimum(monkeypatch):
    features, labels = problem()
    plain = probing.fit(features, labels, 4, 1e-3)
    monkeypatch.setattr(probing, "CHUNK_VALUES", 8 * 7)
    monkeypatch.setattr(curvature, "BLOCK_VALUES", 4 * 3**2)  # two principal axes, and the bias
    other = probing.fit(features, labels, 4, 1e-3)
    values = [objective(each.weight, each.bias, features, labels, 1e-3).item() for each in (plain, other)]
    assert values[0] == pytest.approx(values[1], rel=1e-9)
    torch.testing.assert_close(other.weight, plain.weight, rtol=1e-4, atol=1e-4)
    assert torch.equal(other.predict(features), plain.predict(features))


def test_products_are_those_with_the_hessian():
    features, labels = problem(samples=60)
    found = probing._Problem.of(features, labels, 4, 1e-2)
    weight, direction = (
        torch.randn(4, 9, generator=torch_generator(name)).double() for name in ("weight", "direction")
    )
    step = 1e-5 * direction
    numeric = (found.at(weight + step).gradient - found.at(weight - step).gradient) / 2e-5
    found.at(weight)
    product = found.product(found.probabilities.argmax(1), direction)
    torch.testing.assert_close(product, numeric, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("along", [1.0, 0.0, -1.0])
@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
def test_a_direction_is_gone_along_as_far_as_the_radius_allows(along, size):
    found = probing._Problem.of(*problem(samples=60), 4, 1e-2)
    one, other = (torch.randn(4, 9, generator=torch_generator(name)).double() for name in ("step", "direction"))
    step, across = one / found.length(one), other / found.length(other)
    direction = along * step + size * across
    share = found.share_within(step, direction, 1 + size)
    assert found.length(step + share * direction) == pytest.approx(1 + size, rel=1e-6)
    assert found.share_within(step, torch.zeros_like(step), 2.0) == 0


def test_no_copy_of_the_features_is_made():
    """Beside chunks, blocks and probabilities."""
    features, labels = problem(samples=60_000, dimension=64)
    biggest = []

    class Watched(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
            result = function(*arguments, **(keywords or {}))
            storages = (one.untyped_storage() for one in tree_leaves(result) if isinstance(one, torch.Tensor))
            biggest.extend(one.nbytes() for one in storages if one.data_ptr() != features.data_ptr())
            return result

    with Watched():
        probing.fit(features, labels, 4, 1e-2)
    assert max(biggest) < features.nbytes / 4


def test_without_a_penalty_separable_classes_are_still_learnt():
    labels = torch.arange(60) % 3
    features = torch.cat([torch.eye(3)[labels], torch.zeros(60, 2)], 1)
    assert probing.accuracy(probing.fit(features, labels, 3, 0.0), features, labels) == 1


def test_what_has_no_optimum_is_refused(monkeypatch):
    features, labels = problem()
    with pytest.raises(InputError, match="NaN or infinity"):
        probing.fit(features * torch.nan, labels, 4, 1e-4)
    monkeypatch.setattr(probing, "STEPS", 2)
    with pytest.raises(
        InputError, match=r"about .* nats above it, of features whose standard .*: raise l2 \(0\.0001\)"
    ):
        probing.fit(features, labels, 4, 1e-4)


@pytest.mark.parametrize("scale", [1e5, 1e6, 1e7])
def test_where_rounding_hides_columns_no_other_point_counts_as_the_optimum(scale):
    generator = torch_generator("probe-columns")
    labels = torch.randint(3, (500,), generator=generator)
    features = torch.randn(500, 6, generator=generator) + torch.nn.functional.one_hot(labels, 6)
    moderate = probing.fit(features, labels, 3, 1e-3)
    features[:, 4:] *= scale
    try:
        probe = probing.fit(features, labels, 3, 1e-3)
    except InputError:  # said so
        assert scale > 1e5
        return
    scaled = torch.cat([moderate.weight[:, :4], moderate.weight[:, 4:] / scale], 1), moderate.bias
    value, another = (objective(*point, features, labels, 1e-3) for point in ((probe.weight, probe.bias), scaled))
    assert value < another + 1e-9


def test_contrasts_part_first_what_is_confused_most_and_end_with_all_classes():
    certain, confused = torch.eye(4) * 0.9 + 0.025, torch.tensor([[0.5, 0.0, 0.5, 0.0], [0.0, 0.4, 0.0, 0.6]])
    pairs = list(curvature.pairs(torch.cat([certain, confused])))
    assert {frozenset(one + other) for one, other in pairs[:2]} == {frozenset({0, 2}), frozenset({1, 3})}
    assert sorted(pairs[-1][0] + pairs[-1][1]) == [0, 1, 2, 3]
    assert len(pairs) == 3


@pytest.mark.parametrize(
    ("samples", "classes", "l2", "said"),
    [
        (0, 4, 1e-4, "give samples and a label"),
        (300, 3, 1e-4, "labels must lie in 0..2"),
        (300, 4, -1.0, "give 0 or more"),
    ],
)
def test_labels_and_penalties_of_no_probe_are_refused(samples, classes, l2, said):
    features, labels = problem()
    with pytest.raises(InputError, match=said):
        probing.fit(features[:samples], labels[:samples], classes, l2)
