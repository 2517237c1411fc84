"""The layer-peeled model: the unconstrained features model with bounds on norms in the place of weight decay.

Fang, He, Long, Su, "Exploring deep neural networks via layer-peeled model: minority collapse in imbalanced training",
PNAS 2021, equation 5. Over last layer W (C, d) and features H (N, d), without bias:

    minimise (1/N) sum_i cross-entropy(W h_i, y_i)
    subject to (1/C) sum_c ||w_c||^2 <= E_W and (1/C) sum_c (1/n_c) sum_{i of class c} ||h_i||^2 <= E_H.

Both bounds are reached, since larger logits of the same signs lower the loss of a minimum. The closed form for classes
of n samples, derived: the bounds are one on the logits, ||Z||_* <= C sqrt(n E_W E_H), which W and H reach that share
Z's singular values evenly. The problem is convex in Z and symmetric, so z_i = s (e_y - 1/C), with singular values
s sqrt(n), C - 1 times: rows and features form a simplex, the right logit exceeds a wrong one by

    s = C/(C-1) sqrt(E_W E_H),    and a wrong class has the probability p = 1/(e^s + C - 1).

A minimum of the penalised model is one of this with its own norms for bounds: a better point would be better under the
decays, too. The other way round, the decays whose minimum has these norms are lambda_W = p sqrt(E_H/E_W) and
lambda_H = p sqrt(E_W/E_H)/n, since there p^2 = n lambda_W lambda_H and E_H/E_W = lambda_W/(n lambda_H).

Features of one class are equal at the minimum, whatever the classes' sizes: their mean costs no more, and the loss is
convex. So few features, or one, may stand for many samples, if the class's loss weighs as much.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from hidden_structure.frame.errors import InputError
from hidden_structure.unconstrained import descent
from hidden_structure.unconstrained.model import GRADIENT_AT_MOST, Point, Problem, closed_form
from hidden_structure.unconstrained.two_groups import bounded_merging_ratio, check_above_zero

LOSS_FROM = 1e3 * GRADIENT_AT_MOST  # below it a gradient vanishes everywhere


@dataclass(frozen=True)
class Peeled:
    counts: tuple[int, ...]  # features of each class
    weights: tuple[float, ...]  # of the classes' losses: their numbers of samples n_c, which need not be `counts`
    dimension: int  # d >= C - 1
    row_energy: float  # E_W > 0
    feature_energy: float  # E_H > 0

    def __post_init__(self) -> None:
        """Raises InputError if a number is not as said above."""
        Problem(self.counts, self.dimension, "cross-entropy", False, self.row_energy, self.feature_energy)
        if len(self.weights) != len(self.counts) or self.dimension < self.classes - 1:
            raise InputError(
                f"{self.classes} classes need as many weights, got {len(self.weights)}, and a dimension of "
                f"{self.classes - 1} or more, got {self.dimension}"
            )
        check_above_zero("weights and energies", *self.weights, self.row_energy, self.feature_energy)

    @property
    def classes(self) -> int:
        return len(self.counts)

    @property
    def labels(self) -> Tensor:
        """int64 (N,), class after class."""
        return torch.arange(self.classes).repeat_interleave(torch.tensor(self.counts))


def peel(problem: Problem) -> Peeled:
    """The model whose bounds are the norms of the penalised one's minimum, of balanced classes under cross-entropy.

    Raises InputError as `model.closed_form` does, under another loss, and if the minimum is zero.
    """
    if problem.loss != "cross-entropy":
        raise InputError(f"under bounds the loss is cross-entropy, got {problem.loss}")
    optimum = closed_form(problem)
    if optimum.cosine is None:
        raise InputError("unconstrained: the minimum is zero, which is no bound: lower weight_decay or feature_decay")
    return Peeled(problem.counts, problem.counts, problem.dimension, optimum.row_norm**2, optimum.feature_norm**2)


def imbalanced(problem: Peeled, ratio: float) -> Peeled:
    """The balanced problem with that many times the samples in every class of the majority, the first half (rounded
    down), and one feature a class."""
    majority = problem.classes // 2
    weights = (ratio,) * majority + (1.0,) * (problem.classes - majority)
    return replace(problem, counts=(1,) * problem.classes, weights=weights)


def merging_ratio(problem: Peeled) -> float | None:
    """The ratio from which on the minority's rows are one, if the balanced problem is made imbalanced; None if no data
    has so many samples."""
    majority = problem.classes // 2
    energies = problem.row_energy, problem.feature_energy
    return bounded_merging_ratio(majority, problem.classes - majority, *energies)


def penalised(problem: Peeled) -> Problem:
    """The model whose decays make the bounds the norms of its minimum, of balanced classes."""
    ratio = math.sqrt(problem.feature_energy / problem.row_energy)
    wrong = 1 / (math.exp(gap(problem)) + problem.classes - 1)
    decays = wrong * ratio, wrong / ratio / problem.counts[0]
    return Problem(problem.counts, problem.dimension, "cross-entropy", False, *decays)


def gap(problem: Peeled) -> float:
    """By how much the right logit exceeds a wrong one at the minimum, of balanced classes."""
    classes = problem.classes
    return classes / (classes - 1) * math.sqrt(problem.row_energy * problem.feature_energy)


def gaps(problem: Peeled, point: Point) -> Tensor:
    """The right logit of every sample less each wrong one (N (C-1),)."""
    logits = point.features @ point.weight.T
    right = logits.gather(1, problem.labels[:, None])
    return (right - logits)[one_hot(problem.labels, problem.classes) == 0]


def bounded(problem: Peeled, point: Point) -> Point:
    """The point with W and H scaled so that both bounds are reached."""
    sizes = torch.tensor(problem.counts, dtype=torch.float64)[problem.labels]
    rows = point.weight.square().sum() / problem.classes
    features = (point.features.square().sum(1) / sizes).sum() / problem.classes
    return Point(
        point.weight * (problem.row_energy / rows).sqrt(),
        point.features * (problem.feature_energy / features).sqrt(),
        None,
    )


def loss(problem: Peeled, point: Point) -> Tensor:
    """Mean cross-entropy over the samples that the features stand for, float64 ()."""
    each = torch.tensor(problem.weights, dtype=torch.float64) / torch.tensor(problem.counts)
    return cross_entropy(point.features @ point.weight.T, problem.labels, each)


def solve(problem: Peeled, start: Point) -> Point:
    """Descend from the start, over points that are scaled onto both bounds, to where the gradient vanishes.

    Raises InputError if the start is of another problem, or the gradient's norm stays above 1e-10.
    """
    shapes = (problem.classes, problem.dimension), (sum(problem.counts), problem.dimension)
    if (start.weight.shape, start.features.shape) != shapes:
        raise InputError("the start is of another problem: give random_start of one with these counts and dimension")
    sizes = start.weight.numel(), start.features.numel()

    def unpack(vector: Tensor) -> Point:
        weight, features = vector.split(sizes)
        return bounded(problem, Point(weight.view_as(start.weight), features.view_as(start.features), None))

    def pack(point: Point) -> Tensor:
        return torch.cat([point.weight.flatten(), point.features.flatten()])

    def function(vector: Tensor) -> Tensor:
        return loss(problem, unpack(vector))

    step, vector = descent.descend(function, pack(start))[-1]
    point = unpack(vector)
    norm = descent.gradient(function, pack(point)).norm().item()
    if loss(problem, point) < LOSS_FROM:
        raise InputError(
            "unconstrained: under bounds of these norms the loss is less than float64 tells from 0: raise weight_decay "
            "or feature_decay"
        )
    if not norm <= GRADIENT_AT_MOST:
        raise InputError(
            f"unconstrained: under bounds the gradient's norm is {norm:.2g} after {step} steps, no minimum"
        )
    return point
