"""Critical points of a smooth function to the last digits of float64, and how the function curves there.

The function maps a vector (P,) to a number and is differentiable twice by autograd. Nothing of size P x P is formed.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import OptimizeResult, minimize
from scipy.sparse.linalg import LinearOperator, eigsh, minres
from torch import Tensor

Function = Callable[[Tensor], Tensor]

LBFGS = {"maxiter": 20_000, "maxfun": 40_000, "maxcor": 20, "ftol": 0.0, "gtol": 0.0}  # on, until rounding stops it
NEWTON_STEPS = 10  # at most; each about doubles the digits
KEPT = 1.25  # a step is kept when its number is this many times that of the last one kept


def descend(function: Function, start: Tensor) -> list[tuple[int, Tensor]]:
    """Go down from the start to a point where the gradient vanishes, as far as that can be reached.

    L-BFGS compares values, so it stops where rounding hides their differences, at about half of float64's digits.
    Newton's method goes on, comparing gradients. The Hessian may be singular (where rotations change nothing it always
    is): MINRES finds the shortest of all the steps that solve for it.

    Returns [(step, float64 (P,))], log-spaced from the start, step 0, to the end.
    """
    kept, step = [(0, start)], 0

    def keep(intermediate_result: OptimizeResult) -> None:  # SciPy asks for this name
        nonlocal step
        step += 1
        if step >= KEPT * kept[-1][0]:
            kept.append((step, torch.from_numpy(intermediate_result.x.copy())))

    def value_and_gradient(numbers: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = _differentiate(function, torch.from_numpy(numbers))
        return value.item(), slope.numpy()

    result = minimize(value_and_gradient, start.numpy(), jac=True, method="L-BFGS-B", callback=keep, options=LBFGS)
    vector = torch.from_numpy(result.x)
    slope = gradient(function, vector)
    for _ in range(NEWTON_STEPS):
        shift, _ = minres(_hessian(function, vector), -slope.numpy(), rtol=1e-8)
        there = vector + torch.from_numpy(shift)
        slope_there = gradient(function, there)
        if not slope_there.norm() < slope.norm():
            break
        vector, slope, step = there, slope_there, step + 1
    return [*(one for one in kept if one[0] < step), (step, vector)]


def gradient(function: Function, vector: Tensor) -> Tensor:
    return _differentiate(function, vector)[1]


def least_eigenvalue(function: Function, vector: Tensor, generator: torch.Generator) -> float:
    """Of the Hessian, by Lanczos iteration from a random start; at a strict saddle it is negative.

    To nine digits: ARPACK's last ones depend on where in memory its arrays happen to lie.
    """
    start = torch.randn(len(vector), generator=generator, dtype=torch.float64)
    values = eigsh(_hessian(function, vector), k=1, which="SA", v0=start.numpy(), return_eigenvectors=False)
    return float(f"{values.item():.9g}")


def _differentiate(function: Function, vector: Tensor) -> tuple[Tensor, Tensor]:
    vector = vector.detach().requires_grad_()
    value = function(vector)
    return value, torch.autograd.grad(value, vector)[0]


def _hessian(function: Function, vector: Tensor) -> LinearOperator:
    vector = vector.detach().requires_grad_()
    (slope,) = torch.autograd.grad(function(vector), vector, create_graph=True)

    def times(direction: np.ndarray) -> np.ndarray:
        (product,) = torch.autograd.grad(slope, vector, torch.tensor(direction.ravel()), retain_graph=True)
        return product.numpy()

    return LinearOperator((len(vector), len(vector)), matvec=times, dtype=np.float64)
