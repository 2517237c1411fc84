"""The unconstrained features model: last layer and features are free, and neural collapse is their optimum.

Mixon, Parshall, Pi 2020; Fang, He, Long, Su 2021 (layer-peeled model); Zhu et al. 2021. Notation: C classes, N
samples, n a class, weight W (C, d) with rows w_c, features H (N, d) with rows h_i of class y_i, bias b (C,):

    (1/N) sum_i loss(W h_i + b, y_i) + lambda_W/2 ||W||^2 + lambda_H/2 ||H||^2 + lambda_b/2 ||b||^2

with cross-entropy in nats or half the squared distance from the one-hot label. Everything is float64 on the CPU.

The closed form, derived: for Z = H W^T the least decay is sqrt(lambda_W lambda_H) ||Z||_*, when W and H share Z's
singular values evenly, so with d no less than Z's rank the problem is convex in (Z, b). Classes, or samples of a class,
may change places without changing it, so neither do they change its minimum: z_i = s (e_y - 1/C) + t 1/C and
b = u 1/C, with singular values s sqrt(n), C - 1 times, and t sqrt(n). With c = sqrt(n lambda_W lambda_H) the
derivatives vanish, if C c < 1 (else W = H = 0), for

- cross-entropy, which does not see t and u, at s = ln(1/c - (C-1)) and t = u = 0 (any u, if lambda_b = 0);
- MSE at s = 1 - C c. Without bias t = s too: the rows are orthogonal, no simplex (Tirer, Bruna 2022). With bias t = 0
  and u = 1/(1 + lambda_b), a simplex (Zhou et al. 2022), unless lambda_b/(1 + lambda_b) > C c: so much bias decay
  leaves u = C c/lambda_b and t = s - u, something between the two.
"""

import math
from dataclasses import asdict, dataclass, replace
from numbers import Integral
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot, pad

from hidden_structure.frame.errors import InputError
from hidden_structure.unconstrained import descent
from hidden_structure.unconstrained.two_groups import check_above_zero

LOSSES = ("cross-entropy", "mse")
GRADIENT_AT_MOST = 1e-10  # norm of the gradient at what counts as a critical point
ZERO = 1e-9  # a closed form below this is 0, but for rounding


@dataclass(frozen=True)
class Problem:
    counts: tuple[int, ...]  # samples of each class
    dimension: int  # d
    loss: Literal["cross-entropy", "mse"]
    bias: bool
    weight_decay: float  # lambda_W > 0
    feature_decay: float  # lambda_H > 0
    bias_decay: float = 0.0  # lambda_b >= 0, without effect where there is no bias

    def __post_init__(self) -> None:
        """Raises InputError if a number is not as said above."""
        if not self.counts or not all(isinstance(n, Integral) and n > 0 for n in (*self.counts, self.dimension)):
            got = f"{self.counts} and {self.dimension}"
            raise InputError(f"counts, one a class, and dimension must be whole numbers above 0, got {got}")
        if self.loss not in LOSSES:
            raise InputError(f"loss: there is no {self.loss!r}: choose {' or '.join(LOSSES)}")
        check_above_zero("weight_decay and feature_decay", self.weight_decay, self.feature_decay)
        if not 0 <= self.bias_decay < math.inf:
            raise InputError(f"bias_decay must be finite and 0 or more, got {self.bias_decay}")

    @property
    def classes(self) -> int:
        return len(self.counts)

    @property
    def labels(self) -> Tensor:
        """int64 (N,), class after class."""
        return torch.arange(self.classes).repeat_interleave(torch.tensor(self.counts))


@dataclass(frozen=True)
class Point:
    weight: Tensor  # float64 (C, d)
    features: Tensor  # (N, d)
    bias: Tensor | None  # (C,)


@dataclass(frozen=True)
class Solution:
    point: Point  # where the gradient vanishes
    trajectory: tuple[tuple[int, Point], ...]  # (step, where it led), log-spaced from the start, 0, to the end


@dataclass(frozen=True)
class Optimum:
    """What the global minima of a balanced problem, which are rotations of one another, have in common."""

    objective: float
    row_norm: float  # ||w_c||
    feature_norm: float  # ||h_i||
    duality: float  # ||h_i - r w_y|| / ||h_i||, with r of `feature_ratio`: 0
    cosine: float | None  # of two rows; None where they are zero
    wrong: float  # what a wrong class gets: its probability under cross-entropy, its output under MSE
    bias: float | None  # b_c


def objective(problem: Problem, point: Point) -> Tensor:
    """What is minimised, float64 ()."""
    outputs, labels = _outputs(point), problem.labels
    if problem.loss == "cross-entropy":
        value = cross_entropy(outputs, labels)
    else:
        value = (outputs - one_hot(labels, problem.classes)).square().sum() / (2 * len(labels))
    value = value + problem.weight_decay / 2 * point.weight.square().sum()
    value = value + problem.feature_decay / 2 * point.features.square().sum()
    return value if point.bias is None else value + problem.bias_decay / 2 * point.bias.square().sum()


def gradient_norm(problem: Problem, point: Point) -> float:
    return descent.gradient(_function(problem), _pack(point)).norm().item()


def least_eigenvalue(problem: Problem, point: Point, generator: torch.Generator) -> float:
    return descent.least_eigenvalue(_function(problem), _pack(point), generator)


def closed_form(problem: Problem) -> Optimum:
    """The global minimum of a balanced problem, by the formulas above.

    Raises InputError if the classes differ in size, or d is too small for the minimum.
    """
    _check_dimension(problem)
    if len(set(problem.counts)) > 1:
        raise InputError("there is no closed form for classes that differ in size: make them equal")
    classes, decay, bias_decay = problem.classes, decay_scale(problem), problem.bias_decay
    if problem.loss == "cross-entropy":
        simplex = math.log(1 / decay - (classes - 1)) if classes * decay < 1 else 0.0
        common = shift = 0.0
        loss = math.log1p((classes - 1) * math.exp(-simplex))
        wrong = math.exp(-simplex - loss)
    else:
        simplex = max(0.0, 1 - classes * decay)
        if not problem.bias:
            common, shift = simplex, 0.0
        elif bias_decay / (1 + bias_decay) <= classes * decay:
            common, shift = 0.0, 1 / (1 + bias_decay)
        else:
            shift = classes * decay / bias_decay
            common = simplex - shift
        loss = ((classes - 1) * (1 - simplex) ** 2 + (1 - common - shift) ** 2) / (2 * classes)
        wrong = (common + shift - simplex) / classes
    nuclear = (classes - 1) * simplex + common  # ||Z||_* / sqrt(n)
    row_norm = math.sqrt(nuclear / classes / feature_ratio(problem))
    return Optimum(
        objective=loss + decay * nuclear + bias_decay * shift**2 / (2 * classes),
        row_norm=row_norm,
        feature_norm=row_norm * feature_ratio(problem),
        duality=0.0,
        cosine=(common - simplex) / nuclear if nuclear else None,
        wrong=wrong,
        bias=shift / classes if problem.bias else None,
    )


def decay_scale(problem: Problem) -> float:
    """c = sqrt(n lambda_W lambda_H)."""
    return math.sqrt(problem.counts[-1] * problem.weight_decay * problem.feature_decay)


def feature_ratio(problem: Problem) -> float:
    """r = sqrt(lambda_W / (n lambda_H)), which makes h_i = r w_y at the minimum of a balanced problem."""
    return math.sqrt(problem.weight_decay / (problem.counts[0] * problem.feature_decay))


def random_start(problem: Problem, generator: torch.Generator) -> Point:
    """Everything normal with variance 1/d, so that rows and features have norms of about one."""
    vector = torch.randn(sum(_sizes(problem)), generator=generator, dtype=torch.float64)
    return _unpack(problem, vector / math.sqrt(problem.dimension))


def solve(problem: Problem, start: Point) -> Solution:
    """Descend from the start to where the gradient vanishes.

    Raises InputError if d is too small for the minimum, the start is of another problem, or the gradient's norm stays
    above 1e-10.
    """
    _check_dimension(problem)
    if [part.numel() for part in vars(start).values() if part is not None] != _sizes(problem):
        raise InputError("the start is of another problem: give random_start of this one")
    return _descend(problem, start)


def compare(problem: Problem, point: Point) -> dict[str, dict[str, float]]:
    """For every quantity of Optimum: {"found": mean, "closed_form", "difference": of what is furthest off}.

    Means and differences are over rows, samples, pairs of rows, or pairs of a sample and a wrong class. The difference
    is relative to the closed form, or absolute where that is 0.

    Raises InputError as `closed_form` does, and if the minimum is zero and has no angle.
    """
    optimum, classes, labels = asdict(closed_form(problem)), problem.classes, problem.labels
    if optimum["cosine"] is None:
        raise InputError(
            f"{classes} classes of {problem.counts[0]} samples end at zero, where no angle is, under "
            "these decays: lower weight_decay or feature_decay"
        )
    given = _outputs(point).softmax(1) if problem.loss == "cross-entropy" else _outputs(point)
    norms, duals = point.features.norm(dim=1), feature_ratio(problem) * point.weight[labels]
    found = {
        "objective": objective(problem, point),
        "row_norm": point.weight.norm(dim=1),
        "feature_norm": norms,
        "duality": (point.features - duals).norm(dim=1) / norms,
        "cosine": cosines(point.weight),
        "wrong": given[one_hot(labels, classes) == 0],
    }
    if point.bias is not None:
        free = problem.loss == "cross-entropy" and problem.bias_decay == 0  # then a constant changes nothing
        found["bias"] = point.bias - point.bias.mean() if free else point.bias

    def row(values: Tensor, expected: float) -> dict[str, float]:
        difference = (values - expected).abs().max() / (abs(expected) if abs(expected) > ZERO else 1)
        return {"found": values.mean().item(), "closed_form": expected, "difference": difference.item()}

    return {name: row(values, optimum[name]) for name, values in found.items()}


def saddles(problem: Problem, generator: torch.Generator) -> dict[str, Point]:
    """Critical points that are no minima, of a balanced problem of three classes or more.

    "zero" is without weight and features. "confined" is found in C - 2 dimensions, one too few for a simplex, and zero
    in the others: along an unused one the objective bends down but at the global minimum (Zhu et al. 2021).

    Raises InputError for fewer than three classes, as `closed_form` does, and where zero is the minimum.
    """
    if problem.classes < 3 or closed_form(problem).cosine is None:
        raise InputError("there are such saddles from three classes on, under decays whose minimum is not zero")
    zero = _unpack(problem, torch.zeros(sum(_sizes(problem)), dtype=torch.float64))
    if problem.bias and problem.loss == "mse":
        zero = replace(zero, bias=zero.bias + 1 / (problem.classes * (1 + problem.bias_decay)))
    flat = replace(problem, dimension=problem.classes - 2)
    found = _descend(flat, random_start(flat, generator)).point
    lacking = (0, problem.dimension - flat.dimension)
    return {"zero": zero, "confined": Point(pad(found.weight, lacking), pad(found.features, lacking), found.bias)}


def perturbed(problem: Problem, point: Point, generator: torch.Generator, scale: float = 1e-6) -> Point:
    """The point with normal noise of that standard deviation on every number."""
    vector = _pack(point)
    return _unpack(problem, vector + scale * torch.randn(len(vector), generator=generator, dtype=torch.float64))


def cosines(rows: Tensor) -> Tensor:
    """Of every pair of rows (C, d), each pair once: (C (C-1) / 2,); 0 with a row that is 0."""
    directions = rows / rows.norm(dim=1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
    return (directions @ directions.T)[torch.ones(len(rows), len(rows), dtype=torch.bool).triu(1)]


def _check_dimension(problem: Problem) -> None:
    simplex = problem.loss == "cross-entropy" or (problem.bias and problem.bias_decay == 0)  # t = 0 for certain
    needed = problem.classes - 1 if simplex else problem.classes
    if problem.dimension < needed:
        raise InputError(
            f"dimension: {problem.dimension} is too small for {problem.classes} classes under "
            f"{problem.loss}: raise it to {needed} or more"
        )


def _descend(problem: Problem, start: Point) -> Solution:
    kept = descent.descend(_function(problem), _pack(start))
    trajectory = tuple((step, _unpack(problem, vector)) for step, vector in kept)
    steps, point = trajectory[-1]
    norm = gradient_norm(problem, point)
    if not norm <= GRADIENT_AT_MOST:
        raise InputError(
            f"the gradient's norm is {norm:.2g} after {steps} steps, no minimum: raise weight_decay or feature_decay"
        )
    return Solution(point, trajectory)


def _outputs(point: Point) -> Tensor:
    outputs = point.features @ point.weight.T
    return outputs if point.bias is None else outputs + point.bias


def _function(problem: Problem) -> descent.Function:
    return lambda vector: objective(problem, _unpack(problem, vector))


def _sizes(problem: Problem) -> list[int]:
    sizes = [problem.classes * problem.dimension, sum(problem.counts) * problem.dimension]
    return [*sizes, problem.classes] if problem.bias else sizes


def _pack(point: Point) -> Tensor:
    parts = (point.weight, point.features, point.bias)
    return torch.cat([part.flatten() for part in parts if part is not None])


def _unpack(problem: Problem, vector: Tensor) -> Point:
    weight, features, *bias = vector.split(_sizes(problem))
    return Point(weight.view(-1, problem.dimension), features.view(-1, problem.dimension), bias[0] if bias else None)
