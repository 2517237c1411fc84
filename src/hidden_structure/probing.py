"""The linear probe: a softmax layer on fixed features, trained to its optimum.

Objective: mean cross-entropy + l2/2 ||W||_F^2 in the features' own coordinates; the bias is not penalised. It is
convex, so the optimum does not depend on how it is found. Features of a collapsed network make it so ill-conditioned
that first-order methods, L-BFGS among them, need thousands of steps or stall; here Newton's method solves for each
step by preconditioned conjugate gradients (Nocedal, Wright, "Numerical Optimization", algorithm 7.1), which needs
products with the Hessian only, each as costly as a gradient.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from hidden_structure.errors import InputError

TOLERANCE = 1e-10  # nats: the Newton decrement, an estimate of what the objective still lies above its optimum
NEWTON_STEPS, PRODUCTS = 100, 1000  # at most, and products with the Hessian a step
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
    targets = one_hot(labels, classes).double()

    def objective(weight: Tensor, logits: Tensor) -> float:
        return cross_entropy(logits, labels).item() + (penalty * weight.square()).sum().item() / 2

    weight = mean.new_zeros(classes, inputs.shape[1])
    logits = inputs @ weight.T
    for _ in range(NEWTON_STEPS):
        probabilities, value = logits.softmax(1), objective(weight, logits)
        gradient = (probabilities - targets).T @ inputs / len(inputs) + penalty * weight
        step = _newton_step(inputs, probabilities, penalty, gradient)
        decrement, change, scale = -(gradient * step).sum().item(), inputs @ step.T, 1.0
        while scale > 1e-8:
            if objective(weight + scale * step, logits + scale * change) <= value - 1e-4 * scale * decrement:
                break
            scale /= 2
        weight, logits = weight + scale * step, logits + scale * change
        if decrement / 2 <= TOLERANCE:  # before this step
            return LinearProbe(weight[:, :-1].clone(), weight[:, -1] - weight[:, :-1] @ mean)
    raise InputError(f"the linear probe did not reach its optimum: raise cluster.l2 ({l2:g})")


def _newton_step(inputs: Tensor, probabilities: Tensor, penalty: Tensor, gradient: Tensor) -> Tensor:
    """Roughly -(Hessian)^-1 gradient; the more exactly, the nearer the optimum, or the last steps would be slow."""
    precondition = _preconditioner(inputs, probabilities, penalty)
    step, residual = torch.zeros_like(gradient), -gradient
    direction = preconditioned = precondition(residual)
    size = start = (residual * preconditioned).sum()
    enough = start * min(0.1, start.item() ** 0.5)
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
