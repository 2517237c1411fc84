"""The unconstrained features model: its closed form, what descent finds, saddles, and minority collapse."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hidden_structure.frame.errors import InputError
from hidden_structure.seeding import torch_generator
from hidden_structure.unconstrained import descent
from hidden_structure.unconstrained.experiments import over_trajectory
from hidden_structure.unconstrained.minority import groups, imbalanced, merging_ratio
from hidden_structure.unconstrained.model import (
    LOSSES,
    Point,
    Problem,
    closed_form,
    compare,
    gradient_norm,
    least_eigenvalue,
    objective,
    perturbed,
    random_start,
    saddles,
    solve,
)

CASES = [(loss, bias) for loss in LOSSES for bias in (False, True)]
DECAYS = (5e-3, 2e-3, 1e-2)  # weight, features, bias


def balanced(classes=4, samples=5, dimension=6, loss="cross-entropy", bias=False, decays=DECAYS) -> Problem:
    return Problem((samples,) * classes, dimension, loss, bias, *decays)


def start(problem: Problem, *names) -> Point:
    return random_start(problem, torch_generator("start", *names))


def frame(problem: Problem) -> Point:
    """Rows with the closed form's norm and cosine in a random orientation, and their features and bias; C <= d."""
    optimum, classes = closed_form(problem), problem.classes
    simplex, common = (optimum.row_norm**2 * (1 + factor * optimum.cosine) for factor in (-1, classes - 1))
    mean = torch.ones(classes, classes).double() / classes
    root = math.sqrt(simplex) * (torch.eye(classes) - mean) + math.sqrt(common if common > 1e-12 else 0) * mean
    weight = root @ turn(problem.dimension)[:classes]
    bias = weight.new_full((classes,), optimum.bias) if problem.bias else None
    return Point(weight, weight[problem.labels] * optimum.feature_norm / optimum.row_norm, bias)


def turn(dimension: int) -> torch.Tensor:
    """A random rotation."""
    return torch.linalg.qr(torch.randn(dimension, dimension, generator=torch_generator("turn")).double()).Q


@given(
    classes=st.integers(2, 7),
    samples=st.integers(1, 6),
    extra=st.integers(0, 3),
    case=st.sampled_from(CASES),
    share=st.floats(0.01, 0.95),
    ratio=st.floats(0.1, 10),
    bias_decay=st.sampled_from([0.0, 1e-3, 0.05, 1.0]),
)
def test_the_closed_form_is_a_critical_point_of_its_own_objective(
    classes, samples, extra, case, share, ratio, bias_decay
):
    """share: C c, which is what decides whether the minimum is zero; ratio: lambda_W / lambda_H."""
    product = (share / classes) ** 2 / samples
    decays = math.sqrt(product * ratio), math.sqrt(product / ratio), bias_decay
    problem = balanced(classes, samples, classes + extra, *case, decays)
    point = frame(problem)
    assert gradient_norm(problem, point) < 1e-13
    assert max(quantity["difference"] for quantity in compare(problem, point).values()) < 1e-12
    assert objective(problem, point).item() == pytest.approx(closed_form(problem).objective, rel=1e-12)
    assert objective(problem, start(problem)) > objective(problem, point)


@pytest.mark.parametrize(("loss", "bias"), CASES)
@pytest.mark.parametrize(
    ("classes", "samples", "dimension", "decays"),
    [
        (4, 5, 6, DECAYS),
        (3, 1, 3, (1e-2, 1e-2, 0.0)),
        (2, 7, 2, (1e-3, 2e-2, 1e-3)),
        (10, 3, 12, (5e-3, 1e-3, 0.05)),
        (6, 4, 6, (5e-4, 5e-4, 0.5)),
    ],
)
def test_every_random_start_ends_at_the_closed_form(classes, samples, dimension, decays, loss, bias):
    problem = balanced(classes, samples, dimension, loss, bias, decays)
    for number in range(2):
        found = solve(problem, start(problem, number)).point
        assert gradient_norm(problem, found) < 1e-12
        compared = compare(problem, found)
        assert ("bias" in compared) is bias
        assert max(quantity["difference"] for quantity in compared.values()) < 1e-9, compared


def test_the_formulas_of_the_cross_entropy_optimum():
    """||W||^2 = (C-1) sqrt(n lambda_H / lambda_W) ln(1/c - (C-1)), and every wrong class has probability c."""
    for classes, samples in ((4, 3), (10, 5), (3, 4)):
        problem = balanced(classes, samples, classes)
        weight_decay, feature_decay, _ = DECAYS
        c = math.sqrt(samples * weight_decay * feature_decay)
        found = solve(problem, start(problem)).point
        squared = (classes - 1) * math.sqrt(samples * feature_decay / weight_decay) * math.log(1 / c - (classes - 1))
        assert found.weight.square().sum().item() == pytest.approx(squared, rel=1e-12)
        assert found.features.square().sum().item() == pytest.approx(squared * weight_decay / feature_decay, rel=1e-12)
        probabilities = (found.features @ found.weight.T).softmax(1)
        wrong = probabilities[torch.nn.functional.one_hot(problem.labels) == 0]
        assert wrong.numpy() == pytest.approx(c, rel=1e-12)


@pytest.mark.parametrize(
    ("bias", "bias_decay", "cosine"), [(False, 0.0, 0.0), (True, 0.0, -1 / 3), (True, 1e-3, -1 / 3), (True, 1e6, 0.0)]
)
def test_mean_squared_error_gives_an_orthogonal_frame_or_with_a_free_bias_a_simplex(bias, bias_decay, cosine):
    problem = balanced(4, 5, 6, "mse", bias, (*DECAYS[:2], bias_decay))
    assert closed_form(problem).cosine == pytest.approx(cosine, abs=1e-5)
    between = closed_form(balanced(4, 5, 6, "mse", True, (*DECAYS[:2], 0.1))).cosine
    assert -1 / 3 < between < 0


def test_what_is_zero_but_for_rounding_is_compared_absolutely():
    problem = balanced(10, 20, 10, "mse", True, (5e-4, 1e-5, 1e-2))
    assert 0 < abs(closed_form(problem).wrong) < 1e-15
    assert compare(problem, frame(problem))["wrong"]["difference"] < 1e-12


@pytest.mark.parametrize(("loss", "bias"), CASES)
def test_too_much_decay_leaves_zero(loss, bias):
    problem = balanced(4, 5, 6, loss, bias, (0.2, 0.1, 0.01))  # C c = 1.26
    found = solve(problem, start(problem)).point
    assert max(found.weight.norm(), found.features.norm()) < 1e-9
    optimum = closed_form(problem)
    assert optimum.cosine is None
    assert objective(problem, found).item() == pytest.approx(optimum.objective, rel=1e-12)
    if bias:
        assert found.bias.numpy() == pytest.approx(optimum.bias, abs=1e-9)
    with pytest.raises(InputError, match="weight_decay or feature_decay"):
        compare(problem, found)
    just_below = replace(problem, weight_decay=0.99 / (16 * 5 * 0.1))  # C c < 1
    assert closed_form(just_below).row_norm > 0


@pytest.mark.parametrize(("loss", "bias"), CASES)
def test_the_trajectory_goes_down_to_collapse(loss, bias):
    problem = balanced(loss=loss, bias=bias)
    rows = over_trajectory(problem, solve(problem, start(problem)))
    steps, values = ([row[name] for row in rows] for name in ("step", "objective"))
    assert steps[0] == 0
    assert all(low < high for low, high in pairwise(steps))
    assert all(late <= early + 1e-15 for early, late in pairwise(values))
    first, last = rows[0], rows[-1]
    assert first["nc1"] > 0.1
    assert last["nc1"] < 1e-20
    assert last["nc2_norms_rows"] < 1e-9
    assert last["nc4"] == 0
    simplex = (loss, bias) != ("mse", False)
    limits = {"nc2_angle_rows": 0.0, "nc3": 0.0} if simplex else {"nc2_angle_rows": 1 / 3}
    limits |= {} if simplex else {"nc3": math.sqrt(2 - 2 * math.sqrt(3 / 4))}  # of an orthogonal frame and its centre
    assert {name: last[name] for name in limits} == pytest.approx(limits, abs=1e-9)


@pytest.mark.parametrize(("loss", "bias"), CASES)
def test_turning_the_start_turns_the_end(loss, bias):
    problem = balanced(loss=loss, bias=bias)
    begin = start(problem)
    turned = Point(begin.weight @ turn(6), begin.features @ turn(6), begin.bias)
    assert objective(problem, turned).item() == pytest.approx(objective(problem, begin).item(), rel=1e-13)
    ends = [solve(problem, one).point for one in (begin, turned)]
    torch.testing.assert_close(ends[0].weight @ turn(6), ends[1].weight, rtol=0, atol=1e-5)


@pytest.mark.parametrize("classes", [3, 5])
@pytest.mark.parametrize(("loss", "bias"), CASES)
def test_saddles_have_no_gradient_curve_downwards_and_are_left(loss, bias, classes):
    problem = balanced(classes=classes, loss=loss, bias=bias)
    optimum = closed_form(problem).objective
    found = saddles(problem, torch_generator("saddle"))
    assert list(found) == ["zero", "confined"]
    assert found["confined"].weight.norm() > 0.1
    for point in found.values():
        assert gradient_norm(problem, point) < 1e-12
        assert objective(problem, point) > optimum + 1e-3
        assert least_eigenvalue(problem, point, torch_generator("eigenvalue")) < -1e-4
        left = solve(problem, perturbed(problem, point, torch_generator("noise"))).point
        assert objective(problem, left).item() == pytest.approx(optimum, abs=1e-12)


def test_the_curvature_at_zero_and_at_the_optimum():
    """At zero the Hessian is [[lambda_W, -g], [-g, lambda_H]] in the simplex's directions, with g = 1/(C sqrt(n))."""
    problem = balanced()
    point = saddles(problem, torch_generator("saddle"))["zero"]
    block = np.array([[DECAYS[0], -1 / (4 * math.sqrt(5))], [-1 / (4 * math.sqrt(5)), DECAYS[1]]])
    least = least_eigenvalue(problem, point, torch_generator("eigenvalue"))
    assert least == pytest.approx(np.linalg.eigvalsh(block)[0], rel=1e-8)
    end = solve(problem, start(problem)).point
    assert least_eigenvalue(problem, end, torch_generator("eigenvalue")) > -1e-12


def test_the_least_eigenvalue_and_the_gradient_are_those_of_the_function():
    matrix = torch.diag(torch.tensor([3.0, -2.0, 0.5, 7.0, 1.0, 1.0])).double()
    matrix = turn(6) @ matrix @ turn(6).T

    def function(vector):
        return vector @ matrix @ vector / 2

    vector = torch.arange(6).double()
    assert descent.least_eigenvalue(function, vector, torch_generator("start")) == pytest.approx(-2)
    torch.testing.assert_close(descent.gradient(function, vector), matrix @ vector)


def test_a_descent_keeps_ever_rarer_steps_from_the_start_to_the_end():
    scales = torch.logspace(0, 4, 30).double()
    steps, vectors = zip(
        *descent.descend(lambda v: (scales * (v - 1).square()).sum(), torch.zeros(30).double()), strict=True
    )
    assert steps[0] == 0
    assert vectors[0].abs().max() == 0
    assert all(late >= 1.25 * early for early, late in pairwise(steps[:-1]))
    torch.testing.assert_close(vectors[-1], torch.ones(30).double(), rtol=0, atol=1e-14)


def test_names_alone_decide_the_bytes():
    problem = balanced(bias=True)
    runs = [solve(problem, start(problem, name)) for name in ("a", "a", "b")]
    assert [step for step, _ in runs[0].trajectory] == [step for step, _ in runs[1].trajectory]
    assert all(
        torch.equal(one.features, other.features)
        for (_, one), (_, other) in zip(runs[0].trajectory, runs[1].trajectory, strict=True)
    )
    assert not torch.allclose(runs[0].point.weight, runs[2].point.weight, atol=0.1)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("classes", [4, 5])
def test_minority_rows_merge_exactly_where_theory_says(classes, bias):
    problem = balanced(classes=classes, bias=bias, decays=(1e-2, 5e-3, 0.01))
    threshold = merging_ratio(problem)
    cosines = []
    for ratio in (1, 2, 5, math.floor(threshold), math.ceil(threshold)):
        own = imbalanced(problem, ratio)
        assert sum(own.counts) == 5 * ((classes // 2) * ratio + classes - classes // 2)
        found = groups(own, solve(own, start(own)).point)
        cosines.append(found["minority_cosine"])
        assert ratio == 1 or found["majority_norm"] > found["minority_norm"]
    assert cosines[0] == pytest.approx(-1 / (classes - 1))
    assert all(early < late for early, late in pairwise(cosines))
    assert cosines[-2] < 1 - 1e-3
    assert cosines[-1] == pytest.approx(1, abs=1e-9)


def test_rows_that_are_zero_or_alone_have_no_cosine():
    problem = imbalanced(balanced(classes=3, decays=(5e-2, 5e-2, 0.0)), 200)
    found = groups(problem, solve(problem, start(problem)).point)
    assert found["majority_cosine"] is None
    assert found["minority_cosine"] is None
    assert found["minority_norm"] < 1e-9


@pytest.mark.parametrize(
    ("loss", "bias", "bias_decay", "needed"),
    [
        ("cross-entropy", False, 0.0, 3),
        ("cross-entropy", True, 0.1, 3),
        ("mse", True, 0.0, 3),
        ("mse", True, 0.1, 4),
        ("mse", False, 0.0, 4),
    ],
)
def test_too_few_dimensions_are_one_line(loss, bias, bias_decay, needed):
    decays = (*DECAYS[:2], bias_decay)
    problem = balanced(4, 3, needed, loss, bias, decays)
    found = solve(problem, start(problem)).point
    assert max(quantity["difference"] for quantity in compare(problem, found).values()) < 1e-9
    small = replace(problem, dimension=needed - 1)
    for act in (closed_form, lambda one: solve(one, start(one))):
        with pytest.raises(InputError, match=f"^dimension: .* {needed} or more") as error:
            act(small)
        assert "\n" not in str(error.value)


def test_an_imbalanced_problem_has_no_closed_form():
    with pytest.raises(InputError, match="differ in size"):
        closed_form(imbalanced(balanced(), 2))


def test_a_gradient_that_does_not_vanish_is_an_error(monkeypatch):
    monkeypatch.setattr(descent, "LBFGS", {"maxiter": 1})
    monkeypatch.setattr(descent, "NEWTON_STEPS", 0)
    problem = balanced()
    with pytest.raises(InputError, match="gradient") as error:
        solve(problem, start(problem))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"counts": ()}, "^counts, one a class"),
        ({"counts": (5, 0)}, "^counts, one a class"),
        ({"counts": (5.0, 5.0)}, "^counts, one a class"),
        ({"loss": "ce"}, "^loss: there is no 'ce': choose cross-entropy or mse"),
        ({"weight_decay": 0}, "^weight_decay and feature_decay must be finite and above 0"),
        ({"feature_decay": math.nan}, "^weight_decay and feature_decay must be finite and above 0"),
        ({"dimension": 6.5}, "^counts, one a class, and dimension must be whole numbers"),
        ({"bias_decay": -1.0}, "^bias_decay must be finite and 0 or more"),
    ],
)
def test_problems_that_are_none_are_refused(change, said):
    given = {"counts": (5, 5, 5), "dimension": 4, "loss": "mse", "bias": True}
    with pytest.raises(InputError, match=said):
        Problem(**(given | {"weight_decay": 1e-2, "feature_decay": 1e-3} | change))


def test_a_start_is_of_its_problem():
    problem, other = (Problem((5, 5, 5), size, "mse", False, 1e-2, 1e-3) for size in (4, 5))
    with pytest.raises(InputError, match="the start is of another problem"):
        solve(problem, random_start(other, torch_generator("start")))
