"""The linear probe: a softmax layer on fixed features, trained to its optimum.

Objective: mean cross-entropy + l2/2 ||W||_F^2 in the features' own coordinates; the bias is not penalised. It is
convex, so the optimum does not depend on how it is found. L-BFGS finds it in coordinates in which an upper bound of
the Hessian (Boehning, "Multinomial logistic regression algorithm", 1992) is the identity: features of a collapsed
network differ by orders of magnitude in scale from one direction to the next, which costs it thousands of steps.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hidden_structure.errors import InputError

TOLERANCE = 1e-6  # largest gradient entry in those coordinates; it left the objective within about 1e-7 of its optimum
ROUNDS, ITERATIONS = 10, 1000  # L-BFGS is started afresh where its line search has got stuck


@dataclass(frozen=True)
class LinearProbe:
    weight: Tensor  # float64 (C, d)
    bias: Tensor  # float64 (C,)

    def predict(self, features: Tensor) -> Tensor:
        """Classes int64 (n,) of features (n, d)."""
        return (features.double() @ self.weight.T + self.bias).argmax(1)


def fit(features: Tensor, labels: Tensor, classes: int, l2: float) -> LinearProbe:
    """The optimal linear layer, computed in float64: in float32 the line search fails before the gradient is small.

    Args:
        features: floats (N, d).
        labels: int64 (N,) in 0..classes-1; a class may be without samples.

    Raises InputError if something is not finite, or the optimum is out of reach: with l2 = 0 separable features have
    none.
    """
    if not features.isfinite().all():
        raise InputError("the features hold NaN or infinity: the network diverged, lower train.lr")
    mean = features.double().mean(0)
    inputs = features.double() - mean
    eigenvalues, basis = torch.linalg.eigh(inputs.T @ inputs / len(inputs))
    # The bound is covariance / 2 for two classes and is sharp, at chance level, as covariance / C.
    curvature = eigenvalues.clamp_min(0) / classes + l2
    kept = curvature > curvature.max() * torch.finfo(curvature.dtype).eps * len(curvature)  # constant units, if l2 = 0
    basis = basis[:, kept] * curvature[kept].rsqrt()
    inputs = inputs @ basis
    penalty = l2 / curvature[kept]

    weight = inputs.new_zeros(classes, inputs.shape[1], requires_grad=True)
    bias = inputs.new_zeros(classes, requires_grad=True)

    def objective() -> Tensor:
        weight.grad = bias.grad = None
        value = cross_entropy(inputs @ weight.T + bias, labels) + (penalty * weight.square()).sum() / 2
        value.backward()
        return value

    for _ in range(ROUNDS):
        optimizer = torch.optim.LBFGS(
            [weight, bias],
            max_iter=ITERATIONS,
            max_eval=2 * ITERATIONS,
            history_size=30,
            tolerance_grad=TOLERANCE,
            tolerance_change=0,
            line_search_fn="strong_wolfe",
        )
        optimizer.step(objective)
        objective()
        if max(weight.grad.abs().max(), bias.grad.abs().max()) <= TOLERANCE:
            original = weight.detach() @ basis.T
            return LinearProbe(original, bias.detach() - original @ mean)
    raise InputError(f"the linear probe did not reach its optimum: raise cluster.l2 ({l2:g})")


def accuracy(probe: LinearProbe, features: Tensor, labels: Tensor) -> float:
    """Share of the samples, features (n, d) and labels (n,), that the probe classifies as labelled."""
    return (probe.predict(features) == labels).double().mean().item()
