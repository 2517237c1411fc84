"""The linear probe: a softmax layer on fixed features, trained to its optimum.

Objective: mean cross-entropy + l2/2 ||W||_F^2 in the features' own coordinates; the bias is not penalised. It is
convex, so the optimum does not depend on how it is found. Features of a collapsed network make it so ill-conditioned
that first-order methods, L-BFGS among them, need thousands of steps or stall; here Newton's method solves for each
step by preconditioned conjugate gradients (Nocedal, Wright, "Numerical Optimization", algorithm 7.1), which needs
products with the Hessian only, each as costly as a gradient.

Samples that a step leaves on the wrong side, with a probability of 1, have a gradient but no curvature, and nothing
penalises the bias, so that the next step may be of any length: so it is where features are collapsed and some labels
wrong. Where Newton's method fails, it starts again damped (Levenberg, Marquardt): as if all weights had a further
penalty mu, in the scale of their features, which is lowered as long as the objective falls as foreseen.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from hidden_structure.frame.errors import InputError

TOLERANCE = 1e-10  # nats: the Newton decrement, an estimate of what the objective still lies above its optimum
NEWTON_STEPS, DAMPED_STEPS, PRODUCTS = 100, 300, 1000  # at most, and products with the Hessian a step
WILD = 1e6  # objectives: a step that foresees a fall by more, though no objective is below 0, has met no curvature
UNDAMPED = 1e-12  # mu below which it is 0
BLOCK_VALUES, BLOCK_PRODUCTS = 2**20, 2**33  # of the preconditioner: at most these, 8 MB and half a second


@dataclass(frozen=True)
class LinearProbe:
    weight: Tensor  # float64 (C, d)
    bias: Tensor  # float64 (C,)

    def predict(self, features: Tensor) -> Tensor:
        """Classes int64 (n,) of features (n, d)."""
        return (features.double() @ self.weight.T + self.bias).argmax(1)


@torch.no_grad()
def fit(features: Tensor, labels: Tensor, classes: int, l2: float) -> LinearProbe:
    """The optimal linear layer, computed in float64.

    Args:
        features: floats (N, d).
        labels: int64 (N,) in 0..classes-1; a class may be without samples.
        l2: with 0, separable features have no optimum: the layer's objective is then close to its infimum, 0.

    Raises InputError if something is not finite, or the optimum is out of reach.
    """
    if not features.isfinite().all():
        raise InputError("the features hold NaN or infinity: the network diverged, lower train.lr")
    mean = features.double().mean(0)
    inputs = torch.cat([features.double() - mean, mean.new_ones(len(features), 1)], 1)  # the last column is the bias's
    penalty = mean.new_full((inputs.shape[1],), l2)
    penalty[-1] = 0
    problem = _Problem(inputs, labels, one_hot(labels, classes).double(), penalty)
    weight, above = _newton(problem)
    if not above <= TOLERANCE:
        weight, above = _damped_newton(problem)
    if not above <= TOLERANCE:
        spread = inputs[:, :-1].square().mean(0).sqrt()
        raise InputError(
            f"the linear probe did not reach its optimum in {NEWTON_STEPS} steps and {DAMPED_STEPS} damped ones; it is"
            f" about {above:.1g} nats above it, of features whose standard deviations go from {spread.min():.1g} to"
            f" {spread.max():.1g}: raise cluster.l2 ({l2:g}), which makes the problem easier, or look at the features"
        )
    return LinearProbe(weight[:, :-1].clone(), weight[:, -1] - weight[:, :-1] @ mean)


@dataclass(frozen=True, eq=False)
class _Problem:
    """inputs (N, d + 1), the last column for the bias; targets (N, C); penalty (d + 1,). Weights are (C, d + 1)."""

    inputs: Tensor
    labels: Tensor
    targets: Tensor
    penalty: Tensor

    def objective(self, weight: Tensor, logits: Tensor) -> float:
        return cross_entropy(logits, self.labels).item() + (self.penalty * weight.square()).sum().item() / 2

    def gradient(self, weight: Tensor, probabilities: Tensor) -> Tensor:
        return (probabilities - self.targets).T @ self.inputs / len(self.inputs) + self.penalty * weight


def _newton(problem: _Problem) -> tuple[Tensor, float]:
    """From zero to the optimum, or where a step leads nowhere; and how much the objective was above it, by estimate,
    before the last step."""
    weight = problem.inputs.new_zeros(problem.targets.shape[1], problem.inputs.shape[1])
    logits, decrement = problem.inputs @ weight.T, math.inf
    for _ in range(NEWTON_STEPS):
        probabilities, value = logits.softmax(1), problem.objective(weight, logits)
        gradient = problem.gradient(weight, probabilities)
        step = _newton_step(problem.inputs, probabilities, problem.penalty, gradient, WILD * value)
        decrement, change, scale = -(gradient * step).sum().item(), problem.inputs @ step.T, 1.0
        if not decrement / 2 <= WILD * value:
            return weight, math.inf
        while scale > 1e-8:
            new = problem.objective(weight + scale * step, logits + scale * change)
            if new <= value - 1e-4 * scale * decrement:
                break
            scale /= 2
        else:
            if decrement / 2 > TOLERANCE:
                return weight, decrement / 2
        weight, logits = weight + scale * step, logits + scale * change
        if decrement / 2 <= TOLERANCE:  # before this step
            break
    return weight, decrement / 2


def _damped_newton(problem: _Problem) -> tuple[Tensor, float]:
    """As `_newton`. Classes share no bias, which changes nothing and would be free to grow."""
    weight = problem.inputs.new_zeros(problem.targets.shape[1], problem.inputs.shape[1])
    logits, unit = problem.inputs @ weight.T, problem.inputs.square().mean(0)
    value, mu, above = problem.objective(weight, logits), 1.0, math.inf
    for _ in range(DAMPED_STEPS):
        probabilities = logits.softmax(1)
        gradient = problem.gradient(weight, probabilities)
        step = _newton_step(problem.inputs, probabilities, problem.penalty + mu * unit, gradient, WILD * value)
        step -= step.mean(0)
        above = -(gradient * step).sum().item() / 2
        new = weight + step
        new_logits = problem.inputs @ new.T
        fall = value - problem.objective(new, new_logits)
        foreseen = above + mu * (unit * step.square()).sum().item() / 2
        if fall >= 1e-4 * foreseen:
            weight, logits, value = new, new_logits, value - fall
        if mu == 0 and above <= TOLERANCE:
            return weight, above
        if above <= TOLERANCE:
            mu = 0.0
        elif fall < 0.25 * foreseen or not math.isfinite(fall):
            mu = max(4 * mu, UNDAMPED)
        elif fall > 0.5 * foreseen:
            mu = mu / 4 if mu > UNDAMPED else 0.0
    return weight, max(above, 2 * TOLERANCE)


def _newton_step(
    inputs: Tensor, probabilities: Tensor, penalty: Tensor, gradient: Tensor, enough_fall: float
) -> Tensor:
    """Roughly -(Hessian)^-1 gradient; the more exactly, the nearer the optimum, or the last steps would be slow.

    It stops at a step that, were the objective quadratic, would lower it by more than enough_fall.
    """
    precondition = _preconditioner(inputs, probabilities, penalty)
    step, residual = torch.zeros_like(gradient), -gradient
    direction = preconditioned = precondition(residual)
    size = start = (residual * preconditioned).sum()
    enough, fall = start * min(0.1, start.item() ** 0.5), 0.0
    for _ in range(PRODUCTS):
        if size <= enough:
            break
        change = inputs @ direction.T
        change = probabilities * (change - (probabilities * change).sum(1, keepdim=True))
        product = change.T @ inputs / len(inputs) + penalty * direction
        curvature = (direction * product).sum()
        if curvature <= 0:  # rounding, where l2 = 0 leaves directions flat
            break
        step = step + size / curvature * direction
        fall += (size * size / curvature).item() / 2
        if not fall <= enough_fall:
            break
        residual = residual - size / curvature * product
        preconditioned = precondition(residual)
        previous, size = size, (residual * preconditioned).sum()
        direction = preconditioned + size / previous * direction
    return step


def _preconditioner(inputs: Tensor, probabilities: Tensor, penalty: Tensor) -> Callable[[Tensor], Tensor]:
    """The inverse of the Hessian's diagonal blocks, one a class; of their mean where those would cost too much."""
    samples, size = inputs.shape
    uncertainty = probabilities * (1 - probabilities)
    if uncertainty.shape[1] * size**2 > BLOCK_VALUES:
        uncertainty = uncertainty.mean(1, keepdim=True)
    rows = max(2 * size, BLOCK_PRODUCTS // (uncertainty.shape[1] * size**2))  # some samples do: it need not be exact
    stride = -(-samples // rows)
    some = inputs[::stride]
    blocks = torch.stack([(some * weight[:, None]).T @ some for weight in uncertainty[::stride].T]) / len(some)
    blocks += penalty.diag()
    diagonals = blocks.diagonal(dim1=1, dim2=2)
    diagonals += 1e-9 * diagonals.amax(1, keepdim=True) + torch.finfo(blocks.dtype).tiny
    factors = torch.linalg.cholesky(blocks)
    return lambda residual: torch.cholesky_solve(residual[:, :, None], factors)[:, :, 0]


def accuracy(probe: LinearProbe, features: Tensor, labels: Tensor) -> float:
    """Share of the samples, features (n, d) and labels (n,), that the probe classifies as labelled."""
    return (probe.predict(features) == labels).double().mean().item()
