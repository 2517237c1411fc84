"""Trained networks beside the unconstrained features model: at the model's own optimum both predictions are exact."""

import pytest
import torch

from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.seeding import torch_generator
from hidden_structure.unconstrained.bridge import beside, head_decay, measure
from hidden_structure.unconstrained.model import Problem, closed_form, random_start, solve


def recipe(weight_decay: float, smoothing: float = 0.0) -> params.Train:
    """By plain SGD."""
    changes = {"optimizer": "sgd", "weight_decay": weight_decay, "label_smoothing": smoothing}
    return params.load().train.model_copy(update=changes)


@pytest.mark.parametrize(("classes", "each"), [(3, 5), (10, 4), (2, 7)])
@pytest.mark.parametrize("bias", [False, True])
def test_at_the_optimum_the_model_says_what_is(classes, each, bias):
    problem = Problem((each,) * classes, 12, "cross-entropy", bias, 3e-3, 2e-3, 1e-2)
    point = solve(problem, random_start(problem, torch_generator("bridge"))).point
    found = beside(point.features, problem.labels, point.weight, point.bias, recipe(problem.weight_decay))
    optimum = closed_form(problem)
    assert found["wrong"] == pytest.approx(optimum.wrong, rel=1e-6)
    assert found["wrong_model"] == pytest.approx(optimum.wrong, rel=1e-6)
    assert found["gap"] == pytest.approx(found["gap_model"], rel=1e-6)
    assert found["row_norm"] == pytest.approx(optimum.row_norm, rel=1e-6)
    assert found["feature_norm"] == pytest.approx(optimum.feature_norm, rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("classes", [3, 10])
def test_smoothed_labels_leave_wrong_classes_what_they_give_them(classes, smoothing):
    """Where a simplex is stationary under a decay, which the loss's own gradient tells."""
    simplex = torch.eye(classes, dtype=torch.float64) - 1 / classes
    features, weight = 2.0 * simplex, (1.2 * simplex).requires_grad_()
    labels = torch.arange(classes)
    torch.nn.functional.cross_entropy(features @ weight.T, labels, label_smoothing=smoothing).backward()
    decay = -(weight.grad / weight)[0, 0].item()
    torch.testing.assert_close(weight.grad, -decay * weight.detach())
    found = beside(features, labels, weight.detach(), None, recipe(decay, smoothing))
    assert found["wrong_model"] == pytest.approx(found["wrong"], rel=1e-9)
    assert found["gap_model"] == pytest.approx(found["gap"], rel=1e-9)


def test_measured_by_chunks_it_is_what_all_at_once_gives_wherever_features_lie():
    generator = torch.Generator().manual_seed(0)
    features, weight = (torch.randn(*shape, generator=generator) for shape in ((3000, 200), (7, 200)))
    labels, bias = torch.arange(3000) % 7, torch.randn(7, generator=generator)
    found = measure(features, labels, weight, bias)
    logits = features.double() @ weight.double().T + bias.double()
    right = logits[range(3000), labels]
    probabilities = logits.softmax(1)[range(3000), labels]
    assert found["wrong"] == pytest.approx(((1 - probabilities) / 6).mean().item())
    assert found["gap"] == pytest.approx((right - (logits.sum(1) - right) / 6).mean().item())
    assert found["feature_norm"] == pytest.approx(
        (features.double() - features.double().mean(0)).norm().item() / 3000**0.5
    )
    assert measure(features + 5, labels, weight, None)["feature_norm"] == pytest.approx(found["feature_norm"], rel=1e-5)


def test_the_probability_of_wrong_classes_keeps_its_digits_where_it_is_tiny():
    features, weight = torch.eye(3, dtype=torch.float64) * 100, torch.eye(3, dtype=torch.float64)
    assert measure(features, torch.arange(3), weight, None)["wrong"] == pytest.approx(3.72e-44, rel=1e-2)


def test_muon_leaves_the_last_layer_to_sgd_which_decays_it_less_the_faster_it_learns():
    train = params.load().train
    assert head_decay(train.model_copy(update={"weight_decay": 0.1})) == 0.1
    assert head_decay(train.model_copy(update={"weight_decay": 0.1, "optimizer": "muon", "others_rate": 8.0})) == 0.0125


@pytest.mark.parametrize(
    ("features", "labels", "classes", "said"),
    [
        (torch.full((12, 5), torch.nan), torch.arange(12) % 4, 4, "NaN or infinity"),
        (torch.ones(12, 5), torch.arange(12) % 7, 4, r"labels must lie in 0\.\.3"),
        (torch.ones(12, 4), torch.arange(12) % 4, 4, r"features must be real numbers \(rows, 5\)"),
        (torch.ones(12, 5), torch.zeros(12, dtype=torch.int64), 1, "a wrong class takes two"),
    ],
)
def test_what_is_no_network_is_refused_in_one_line(features, labels, classes, said):
    with pytest.raises(InputError, match=said):
        measure(features, labels, torch.ones(classes, 5), None)
