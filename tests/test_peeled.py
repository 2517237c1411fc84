"""Norms bounded instead of decayed (the layer-peeled model), and two groups of classes told by six numbers."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hidden_structure.frame.errors import InputError
from hidden_structure.seeding import torch_generator
from hidden_structure.unconstrained import descent, minority, model, peeled, two_groups
from hidden_structure.unconstrained.model import Point, Problem, closed_form, compare, objective, random_start
from hidden_structure.unconstrained.peeled import Peeled, bounded, gap, gaps, loss, peel, penalised, solve
from hidden_structure.unconstrained.two_groups import TwoGroups, bounded_merging_ratio

energies = st.floats(0.05, 20)


def balanced(classes=4, samples=5, dimension=6, rows=4.0, features=2.0) -> Peeled:
    return Peeled((samples,) * classes, (samples,) * classes, dimension, rows, features)


def start(problem: Peeled, name: int | str = 0) -> Point:
    alike = Problem(problem.counts, problem.dimension, "cross-entropy", False, 1e-3, 1e-3)
    return random_start(alike, torch_generator("start", name))


def simplex(problem: Peeled) -> Point:
    """In a random orientation, with the norms of the bounds."""
    classes, dimension = problem.classes, problem.dimension
    turn = torch.linalg.qr(torch.randn(dimension, dimension, generator=torch_generator("turn")).double()).Q
    frame = (torch.eye(classes) - torch.ones(classes, classes) / classes).double() @ turn[:classes]
    return bounded(problem, Point(frame, frame[problem.labels], None))


@given(st.integers(2, 7), st.integers(1, 6), st.integers(0, 3), energies, energies)
def test_the_simplex_of_these_norms_has_the_gap_of_the_closed_form_and_nothing_near_it_is_better(
    classes, samples, extra, rows, features
):
    problem = balanced(classes, samples, classes + extra, rows, features)
    point = simplex(problem)
    assert gaps(problem, point).numpy() == pytest.approx(
        classes / (classes - 1) * math.sqrt(rows * features), rel=1e-12
    )
    least = loss(problem, point)
    assert least.item() == pytest.approx(math.log1p((classes - 1) * math.exp(-gap(problem))), rel=1e-12)
    for scale in (1e-3, 0.1, 10):
        noise = start(problem, str(scale))
        other = Point(point.weight + scale * noise.weight, point.features + scale * noise.features, None)
        assert loss(problem, bounded(problem, other)) > least - 1e-15


@given(st.integers(2, 9), st.integers(1, 50), st.floats(0.1, 3), st.floats(0.1, 3))
def test_decays_and_bounds_tell_one_another(classes, samples, rows, features):
    problem = balanced(classes, samples, classes, rows, features)
    decayed = penalised(problem)
    again = peel(decayed)
    assert (again.row_energy, again.feature_energy) == pytest.approx((rows, features), rel=1e-9)
    assert closed_form(decayed).wrong == pytest.approx(1 / (math.exp(gap(problem)) + classes - 1), rel=1e-12)


@pytest.mark.parametrize(
    ("classes", "samples", "dimension", "rows", "features"),
    [(4, 5, 6, 4.0, 2.0), (3, 1, 3, 9.0, 1.0), (2, 7, 2, 0.5, 3.0), (10, 3, 12, 6.0, 2.0), (6, 4, 5, 1.0, 8.0)],
)
def test_every_random_start_ends_at_the_closed_form(classes, samples, dimension, rows, features):
    problem = balanced(classes, samples, dimension, rows, features)
    for name in range(2):
        point = solve(problem, start(problem, name))
        assert gaps(problem, point).numpy() == pytest.approx(gap(problem), rel=1e-9)
        compared = compare(penalised(problem), point)
        assert max(quantity["difference"] for quantity in compared.values()) < 1e-9, compared
        assert point.weight.square().sum(1).numpy() == pytest.approx(rows, rel=1e-9)


def test_penalised_and_bounded_minimisers_coincide():
    """Up to a rotation, which logits and the products of rows do not see."""
    decayed = Problem((5,) * 4, 6, "cross-entropy", False, 5e-3, 2e-3)
    one = model.solve(decayed, random_start(decayed, torch_generator("decayed"))).point
    other = solve(peel(decayed), start(peel(decayed)))
    torch.testing.assert_close(one.weight @ one.weight.T, other.weight @ other.weight.T, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(one.features @ one.weight.T, other.features @ other.weight.T, rtol=1e-9, atol=1e-9)
    assert objective(decayed, other).item() == pytest.approx(objective(decayed, one).item(), rel=1e-12)
    assert (
        objective(replace(decayed, weight_decay=6e-3), other)
        > model.closed_form(replace(decayed, weight_decay=6e-3)).objective + 1e-6
    )  # other decays, other norms


def test_one_feature_stands_for_the_samples_of_a_class():
    many = Peeled((8, 8, 2, 2), (8, 8, 2, 2), 5, 4.0, 2.0)
    few = peeled.imbalanced(balanced(4, 2, 5), 4)
    assert (few.counts, few.weights) == ((1, 1, 1, 1), (4, 4, 1, 1))
    points = [(problem, solve(problem, start(problem))) for problem in (many, few)]
    losses = [loss(*one).item() for one in points]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    firsts = [torch.tensor(problem.counts).cumsum(0) - torch.tensor(problem.counts) for problem, _ in points]
    logits = [(point.features @ point.weight.T)[own] for own, (_, point) in zip(firsts, points, strict=True)]
    torch.testing.assert_close(*logits, rtol=0, atol=1e-7)


@pytest.mark.parametrize("classes", [3, 4, 5])
def test_under_bounds_minority_rows_merge_exactly_where_theory_says(classes):
    problem = balanced(classes, 1, classes, 3.0, 1.0)
    threshold = peeled.merging_ratio(problem)
    cosines = []
    for ratio in (1, 3, 0.95 * threshold, 1.05 * threshold):
        own = peeled.imbalanced(problem, ratio)
        point = solve(own, start(own))
        assert point.weight.square().sum(1).mean().item() == pytest.approx(3.0)
        alike = Problem(own.counts, classes, "cross-entropy", False, 1e-3, 1e-3)
        cosines.append(minority.groups(alike, point)["minority_cosine"])
    assert cosines[0] == pytest.approx(-1 / (classes - 1))
    assert all(early < late for early, late in pairwise(cosines))
    assert cosines[-2] < 1 - 1e-3
    assert cosines[-1] == pytest.approx(1, abs=1e-9)


def test_where_rows_merge_depends_on_the_product_of_the_bounds_alone_and_grows_with_it():
    small, turned, large = (bounded_merging_ratio(2, 3, *own) for own in ((2.0, 1.0), (1.0, 2.0), (4.0, 1.0)))
    assert small == pytest.approx(turned, rel=1e-9)
    assert 1 < small < large
    assert bounded_merging_ratio(2, 3, 100.0, 100.0) is None


GROUPS = [(2, 2, 1), (2, 3, 4), (1, 3, 7), (3, 1, 5), (2, 2, 60), (1, 2, 1)]


@pytest.mark.parametrize(("majority", "small", "ratio"), GROUPS)
def test_six_numbers_say_what_descent_under_bounds_finds(majority, small, ratio):
    counts = (ratio,) * majority + (1,) * small
    own = Peeled(counts, counts, majority + small, 3.0, 1.5)
    alike = Problem(counts, majority + small, "cross-entropy", False, 1e-3, 1e-3)
    found = measured(alike, solve(own, start(own)), majority)
    assert two_groups.bounded(TwoGroups(majority, small, ratio, 1), 3.0, 1.5) == pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize("bias_decay", [None, 0.0, 1e-2])
@pytest.mark.parametrize(("majority", "small", "ratio"), GROUPS)
def test_six_numbers_say_what_descent_under_decays_finds(majority, small, ratio, bias_decay):
    counts = (3 * ratio,) * majority + (3,) * small
    bias = bias_decay is not None
    problem = Problem(counts, majority + small, "cross-entropy", bias, 1e-2, 4e-3, bias_decay or 0.0)
    point = model.solve(problem, random_start(problem, torch_generator("groups"))).point
    found = measured(problem, point, majority)
    groups = TwoGroups(majority, small, 3 * ratio, 3)
    assert two_groups.decayed(groups, 1e-2, 4e-3, bias_decay) == pytest.approx(found, abs=1e-8)


def measured(problem: Problem, point: Point, majority: int) -> dict:
    """As minority.groups does, whatever the number of majority classes."""
    found = {}
    for name, rows in (("majority", point.weight[:majority]), ("minority", point.weight[majority:])):
        found[f"{name}_norm"] = rows.norm(dim=1).mean().item()
        found[f"{name}_cosine"] = model.cosines(rows).mean().item() if len(rows) > 1 else None
    return found


def test_without_a_bias_the_cosine_is_one_from_where_minority_py_says():
    problem = Problem((5,) * 4, 4, "cross-entropy", False, 1e-2, 5e-3)
    threshold = minority.merging_ratio(problem)
    below, above = (
        two_groups.decayed(TwoGroups(2, 2, 5 * factor * threshold, 5), 1e-2, 5e-3)["minority_cosine"]
        for factor in (0.97, 1.03)
    )
    assert below < 1 - 1e-3
    assert above == pytest.approx(1, abs=1e-9)


def test_large_bounds_end_at_the_simplex_whatever_the_ratio():
    """There the loss itself is 0 in float64; its margin decides, which is the same for all classes."""
    energies = [1e2, 1e3, 1.5e3, 4e3, 1e4, 1e6, 1e8]
    found = [
        two_groups.bounded(TwoGroups(2, 2, 10.0, 1.0), 1.0, energy, True)["minority_cosine"] for energy in energies
    ]
    assert found == sorted(found, reverse=True)
    assert found[-1] == pytest.approx(-1 / 3, abs=1e-4)
    assert bounded_merging_ratio(2, 2, 1.0, 1e7, True) is None


def test_bounds_under_which_nothing_is_left_of_the_loss_are_told():
    problem = Peeled((2, 2), (2.0, 2.0), 4, 100.0, 100.0)
    alike = Problem((2, 2), 4, "cross-entropy", False, 1e-3, 1e-3)
    with pytest.raises(InputError, match="the loss is less than float64 tells from 0: raise weight_decay"):
        solve(problem, random_start(alike, torch_generator("large")))


def test_a_minimum_of_zero_gives_no_bounds():
    with pytest.raises(InputError, match="weight_decay or feature_decay") as error:
        peel(Problem((5,) * 4, 6, "cross-entropy", False, 0.5, 0.5))
    assert "\n" not in str(error.value)


FOUR = Problem((3,) * 4, 6, "cross-entropy", False, 1e-2, 1e-2)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: peel(replace(FOUR, loss="mse")), "^under bounds the loss is cross-entropy"),
        (lambda: replace(peel(FOUR), dimension=2), "a dimension of 3 or more, got 2"),
        (lambda: replace(peel(FOUR), weights=(1.0,)), "need as many weights, got 1"),
        (lambda: replace(peel(FOUR), row_energy=0.0), "must be finite and above 0"),
        (
            lambda: solve(peel(FOUR), random_start(replace(FOUR, counts=(4,) * 4), torch_generator("a"))),
            "the start is of another problem",
        ),
        (lambda: TwoGroups(0, 2, 10, 2), "^either group must have a class"),
        (lambda: TwoGroups(2, 2, 10, -3), "^samples of a class must be finite and above 0"),
        (lambda: two_groups.decayed(TwoGroups(2, 2, 10, 2), 0.0, 1e-2), "^weight_decay and feature_decay must be"),
        (lambda: two_groups.bounded(TwoGroups(2, 2, 10, 2), math.nan, 1.0), "^energies must be finite"),
        (lambda: two_groups.bounded_merging_ratio(2, 2, 0.0, 1.0), "^energies must be finite"),
        (lambda: model.saddles(replace(FOUR, counts=(3, 3)), torch_generator("a")), "from three classes on"),
        (lambda: model.saddles(replace(FOUR, weight_decay=0.5, feature_decay=0.5), torch_generator("a")), "not zero"),
        (
            lambda: model.saddles(replace(FOUR, counts=(9, 9, 3, 3)), torch_generator("a")),
            "classes that differ in size",
        ),
    ],
)
def test_what_is_no_problem_is_refused_in_one_line(call, said):
    with pytest.raises(InputError, match=said):
        call()


def test_a_gradient_that_does_not_vanish_is_an_error(monkeypatch):
    monkeypatch.setattr(descent, "LBFGS", {"maxiter": 1})
    monkeypatch.setattr(descent, "NEWTON_STEPS", 0)
    with pytest.raises(InputError, match="gradient") as error:
        solve(balanced(), start(balanced()))
    assert "\n" not in str(error.value)
