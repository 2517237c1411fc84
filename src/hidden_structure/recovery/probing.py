"""The linear probe: a softmax layer on fixed features, trained to its optimum.

Objective: mean cross-entropy + l2/2 ||W||_F^2 in the features' own coordinates; the bias is not penalised. It is
convex, so the optimum does not depend on how it is found. Features of a collapsed network make it so ill-conditioned
that first-order methods, L-BFGS among them, need thousands of steps or stall; here Newton's method solves for each
step by preconditioned conjugate gradients in a trust region (Steihaug, SIAM J. Numer. Anal. 20, 1983; Nocedal, Wright,
"Numerical Optimization", algorithm 7.2), which needs products with the Hessian only, each as costly as a gradient.

The objective and its gradient are computed in float64, which alone decide where the optimum is; products with the
Hessian, which only decide how fast it is reached, in float32. Features are read in chunks, so that no copy is made, but
where a penalty is chosen.

The region limits by how much a step changes the logits (root mean square). Samples that a step leaves on the wrong
side, with a probability of 1, have a gradient but no curvature, and nothing penalises the bias, so that the next step
could be of any length: so it is where features are collapsed and some labels wrong.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hidden_structure.frame.arrays import Array, check_finite, check_rows, samples_of, tensor_of, whole_numbers
from hidden_structure.frame.errors import InputError
from hidden_structure.recovery.curvature import preconditioner
from hidden_structure.seeding import torch_generator

TOLERANCE = 1e-10  # nats: the Newton decrement, an estimate of what the objective still lies above its optimum
STEPS, PRODUCTS = 300, 1000  # at most, and products with the Hessian a step
CHUNK_VALUES = 2**18  # features read at once: 2 MB in float64
SAMPLES = 8  # a dimension, that principal axes are computed from
HELD_OUT = 10  # of so many samples one is held out where the penalty is to be chosen
SHARES = tuple(10.0**-power for power in range(1, 10))  # of the features' mean variance: the penalties tried
STALE = 10  # products after which the next step has another preconditioner


@dataclass(frozen=True)
class LinearProbe:
    weight: Tensor  # float64 (C, d)
    bias: Tensor  # float64 (C,)

    def predict(self, features: Array) -> Tensor:
        """Classes int64 (n,) of features (n, d). Raises InputError if they are not so, or not finite."""
        features = tensor_of("features", features)
        check_rows("features", features, self.weight.shape[1])
        check_finite("the features", features)
        rows = _rows(features)
        return torch.cat([(part.double() @ self.weight.T + self.bias).argmax(1) for part in features.split(rows)])


@torch.no_grad()
def fit(features: Array, labels: Array, classes: int, l2: float | None) -> LinearProbe:
    """The optimal linear layer, in float64.

    Args:
        features: floats (N, d), an array or a tensor.
        labels: int64 (N,) in 0..classes-1, likewise; a class may be without samples.
        l2: with 0, separable features have no optimum: the layer's objective is then close to its infimum, 0. None: the
            one by which samples that are held out are classified best, so that it is in no units.

    Raises InputError if an argument is not so, there are no samples, or the optimum is out of reach.
    """
    features, labels = samples_of(features, labels, classes)
    if l2 is not None and not 0 <= l2 < math.inf:
        raise InputError(f"l2: {l2:g} is no penalty, less than 0 would reward large weights: give 0 or more")
    check_finite("the features", features)
    return _chosen(features, labels, classes) if l2 is None else _optimum(_Problem.of(features, labels, classes, l2))


def _chosen(features: Tensor, labels: Tensor, classes: int) -> LinearProbe:
    """By the penalty with which a layer classifies most of a tenth of the samples as labelled without having seen them,
    the largest of several. All are tried, for what differs little between classes is seen by small ones alone."""
    if len(features) < HELD_OUT:
        raise InputError(f"l2: to choose one needs {HELD_OUT} samples, got {len(features)}: give a number")
    order = torch.randperm(len(features), generator=torch_generator("probe", "held out"))
    out, kept = (part.sort()[0] for part in order.tensor_split([len(features) // HELD_OUT]))
    part = _Problem.of(features[kept], labels[kept], classes, 0.0)
    unit = part.spread().square().mean().item() or 1.0  # where nothing varies any penalty will do
    right: list[float] = [0.0]  # of no penalty yet
    found: list[LinearProbe | None] = [None]
    with suppress(InputError):  # of a penalty so small that its optimum is out of reach
        for share in SHARES:  # each from the optimum of the last, which is near
            found.append(_optimum(replace(part, l2=share * unit), found[-1]))
            right.append(accuracy(found[-1], features[out], labels[out]))
    for place in range(max(1, right.index(max(right))), 0, -1):
        near = found[place] if place < len(found) else None  # where no penalty had an optimum within reach
        try:
            return _optimum(_Problem.of(features, labels, classes, SHARES[place - 1] * unit), near)
        except InputError as error:  # of all samples, unlike of most of them
            unmet = error
    raise unmet


def _optimum(problem: "_Problem", near: LinearProbe | None = None) -> LinearProbe:
    point, above = _newton(problem, near)  # the optimum does not depend on where it is sought from
    weight, spread = point.weight, problem.spread()
    above = max(above, problem.at_least_above(point, spread))
    if not above <= TOLERANCE:
        raise InputError(
            f"the linear probe did not reach its optimum in {STEPS} steps; it is about {above:.1g} nats above it, of"
            f" features whose standard deviations go from {spread.min():.1g} to {spread.max():.1g}: raise l2"
            f" ({problem.l2:g}), which makes the problem easier, or look at the features"
        )
    return LinearProbe(weight[:, :-1].clone(), weight[:, -1] - weight[:, :-1] @ problem.mean)


def _rows(features: Tensor) -> int:
    return max(1, CHUNK_VALUES // features.shape[1])


@dataclass(frozen=True, eq=False)
class _Point:
    """Where the descent is: the objective and its gradient (C, d + 1)."""

    weight: Tensor
    value: float
    gradient: Tensor


@dataclass(frozen=True, eq=False)
class _Problem:
    """Weights are float64 (C, d + 1), the last column the bias, of features less their mean.

    axes (d, d), variances (d,): principal axes of the features, roughly, and the variances along them. probabilities:
    float32 (N, C), at the last point that was looked at.
    """

    features: Tensor
    labels: Tensor
    classes: int
    l2: float
    mean: Tensor
    axes: Tensor
    variances: Tensor
    probabilities: Tensor

    @classmethod
    def of(cls, features: Tensor, labels: Tensor, classes: int, l2: float) -> "_Problem":
        mean = sum(part.double().sum(0) for part in features.split(_rows(features))) / len(features)
        drawn = torch.randperm(len(features), generator=torch_generator("probe", "axes"))[: SAMPLES * len(mean)]
        some = features[drawn.sort()[0]]  # not every n-th: labels may repeat with that period
        centred = (part.double() - mean for part in some.split(_rows(features)))
        variances, axes = torch.linalg.eigh(sum(part.T @ part for part in centred) / len(some))
        probabilities = torch.empty(len(features), classes)
        along = axes.flip(1), variances.flip(0).clamp(min=0)
        return cls(features, labels, classes, l2, mean, *along, probabilities)

    def chunks(self, kind: torch.dtype) -> Iterator[tuple[slice, Tensor]]:
        """Which rows, and the features of these less their mean and a one for the bias: (n, d + 1)."""
        rows, size = _rows(self.features), self.features.shape[1]
        mean, held = self.mean.to(kind), torch.ones(min(rows, len(self.features)), size + 1, dtype=kind)
        for start in range(0, len(self.features), rows):
            part = slice(start, start + rows)
            own = self.features[part]
            inputs = held[: len(own)]
            torch.sub(own, mean, out=inputs[:, :-1]) if own.dtype == kind else inputs[:, :-1].copy_(own).sub_(mean)
            yield part, inputs

    def spread(self) -> Tensor:
        total = sum(inputs[:, :-1].square().sum(0) for _, inputs in self.chunks(torch.float64))
        return (total / len(self.features)).sqrt()

    def at_least_above(self, point: _Point, spread: Tensor) -> float:
        """How far the objective is above its optimum, at the least, by each weight alone: no preconditioner, which is
        blind where features' spreads differ by more than float64 tells apart, has a part in it."""
        curvature = spread.square() / 4 + self.l2
        squares = point.gradient[:, :-1].square()
        return torch.where(curvature > 0, squares / curvature, 0).max().item() / 2

    def at(self, weight: Tensor) -> _Point:
        loss, gradient = 0.0, torch.zeros_like(weight)
        for part, inputs in self.chunks(torch.float64):
            own, place = self.labels[part, None], torch.arange(len(inputs))
            logs = (inputs @ weight.T).log_softmax(1)
            loss -= logs.gather(1, own).sum().item()
            errors = logs.exp_()
            self.probabilities[part] = errors
            errors[place, own[:, 0]] -= 1
            gradient += errors.T @ inputs
        gradient /= len(self.features)
        gradient[:, :-1] += self.l2 * weight[:, :-1]
        value = loss / len(self.features) + self.l2 * weight[:, :-1].square().sum().item() / 2
        return _Point(weight, value, gradient)

    def product(self, likeliest: Tensor, direction: Tensor) -> Tensor:
        """The Hessian, at the last point, times direction (C, d + 1).

        Only differences from the likeliest class count: so that float32 holds what little another one has.
        """
        result, narrow = torch.zeros_like(direction), direction.float()
        for part, inputs in self.chunks(torch.float32):
            most, own = likeliest[part, None], self.probabilities[part]
            change = inputs @ narrow.T
            change -= change.gather(1, most)
            change -= torch.linalg.vecdot(own, change)[:, None]
            change *= own
            change.scatter_(1, most, 0)
            change.scatter_(1, most, -change.sum(1, keepdim=True))
            result += (change.T @ inputs).double()
        result /= len(self.features)
        result[:, :-1] += self.l2 * direction[:, :-1]
        return result

    def preconditioner(self) -> Callable[[Tensor], Tensor]:
        return preconditioner(self.features, self.mean, self.axes, self.variances, self.probabilities, self.l2)

    def length(self, step: Tensor) -> float:
        """By how much a step changes logits: root mean square over samples, of all classes together."""
        return math.sqrt(max(0.0, self._inner(step, step)))

    def share_within(self, step: Tensor, direction: Tensor, radius: float) -> float:
        """How much of the direction can be added to a step that is within the radius."""
        square, half = self._inner(direction, direction), self._inner(step, direction)
        left = max(0.0, radius**2 - self._inner(step, step))
        if left == 0 or square == 0:
            return 0.0
        root = math.sqrt(half**2 + square * left)
        return left / (half + root) if half > 0 else (root - half) / square  # neither loses digits

    def _inner(self, one: Tensor, other: Tensor) -> float:
        along = ((one[:, :-1] @ self.axes) * (other[:, :-1] @ self.axes)) @ self.variances
        return (along.sum() + one[:, -1] @ other[:, -1]).item()


def _newton(problem: _Problem, near: LinearProbe | None) -> tuple[_Point, float]:
    """From zero, or a probe, to the optimum, or where a step leads nowhere; and how much the objective was above it, by
    estimate, before the last step. Classes share no bias, which changes nothing and would be free to grow."""
    start = problem.mean.new_zeros(problem.classes, len(problem.mean) + 1)
    if near is not None:  # its bias is of features as they are, the problem's of features less their mean
        start = torch.cat([near.weight, (near.bias + near.weight @ problem.mean)[:, None]], 1)
    point = problem.at(start)
    radius, above, precondition, products = math.inf, math.inf, None, math.inf
    for _ in range(STEPS):
        if products > STALE:
            precondition = None  # before there is another
            precondition, products = problem.preconditioner(), 0
        step, foreseen, inside, done = _newton_step(problem, point, precondition, radius)
        products += done
        step -= step.mean(0)
        decrement, scale = -(point.gradient * step).sum().item(), 1.0
        while scale > 1e-6:
            new = problem.at(point.weight + scale * step)
            if new.value <= point.value - 1e-4 * scale * decrement:
                break
            scale /= 4
        else:
            return point, above if decrement / 2 > TOLERANCE else decrement / 2
        above = decrement / 2 if inside else math.inf
        length, fall = scale * problem.length(step), point.value - new.value
        if scale < 1 or fall < 0.25 * foreseen:
            radius = length / 2
        elif fall > 0.5 * foreseen:
            radius = max(radius, 4 * length)
        point = new
        if above <= TOLERANCE:  # before this step
            break
    return point, above


def _newton_step(
    problem: _Problem, point: _Point, precondition: Callable[[Tensor], Tensor], radius: float
) -> tuple[Tensor, float, bool, int]:
    """Roughly -(Hessian)^-1 gradient; the more exactly, the nearer the optimum, or the last steps would be slow.

    Also the fall that it foresees, whether it lies inside the radius, and how many products it took.
    """
    likeliest = problem.probabilities.argmax(1)
    step, residual, foreseen = torch.zeros_like(point.gradient), -point.gradient, 0.0
    direction = preconditioned = precondition(residual)
    size = start = (residual * preconditioned).sum().item()
    enough = start * min(0.1, start**0.5)
    for done in range(PRODUCTS):
        if size <= enough:
            return step, foreseen, True, done
        product = problem.product(likeliest, direction)
        curvature = (direction * product).sum().item()
        if curvature <= 0:  # rounding, where l2 = 0 leaves directions flat
            return (step, foreseen, True, done + 1) if done else (direction, size, False, 1)
        share = size / curvature
        if problem.length(step + share * direction) > radius:
            share = problem.share_within(step, direction, radius)
            foreseen += share * size - share**2 * curvature / 2
            return step + share * direction, foreseen, False, done + 1
        step = step + share * direction
        foreseen += share * size / 2
        residual = residual - share * product
        preconditioned = precondition(residual)
        previous, size = size, (residual * preconditioned).sum().item()
        direction = preconditioned + size / previous * direction
    return step, foreseen, True, PRODUCTS


def accuracy(probe: LinearProbe, features: Array, labels: Array) -> float:
    """Share of the samples, features (n, d) and labels (n,), that the probe classifies as labelled; errors as it."""
    found = probe.predict(features)
    return (found == whole_numbers("labels", tensor_of("labels", labels), len(found))).double().mean().item()
