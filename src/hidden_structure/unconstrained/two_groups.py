"""Free features of two kinds of classes, many large ones and many small ones: the optimum, by six numbers.

A classes of the majority have n_A samples each, B of the minority n_B; C = A + B. Under cross-entropy the problem is
convex in the logits Z (N, C) and the bias: decays (`unconstrained/model.py`) or bounds (`unconstrained/peeled.py`) are
ones on Z's nuclear norm. Classes of a group, and samples of a class, may change places without changing it, so neither
do they change its minimum, and rows of Z sum to zero, which costs least. What is left are, of a majority sample, s, its
own class's logit less another majority class's, and u, a minority class's logit; of a minority sample m, its own
class's logit less another minority class's, and v, a majority class's; and the difference of the groups' biases. Z's
singular values are s sqrt(n_A), A - 1 times, m sqrt(n_B), B - 1 times, and sqrt(C (n_A B u^2 + n_B A v^2)).

Bounds weigh all classes the same, whatever their size (Fang, He, Long, Su 2021): there n_A and n_B are 1 in Z and its
singular values, and stand before the losses alone.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.optimize import brentq
from torch import Tensor
from torch.nn.functional import softplus

from hidden_structure.frame.errors import InputError
from hidden_structure.unconstrained.descent import descend

ZERO_BELOW = 1e-9  # norm of a row that counts as zero
RATIO_AT_MOST = 1e12  # no data has so many samples
SMALL = -17.0  # of which e squared is less than float64 tells from 0


@dataclass(frozen=True)
class TwoGroups:
    majority: int  # classes, A >= 1
    minority: int  # B >= 1
    large: float  # samples of each, n_A
    small: float  # n_B, as a rule no more; above 0, as n_A

    def __post_init__(self) -> None:
        """Raises InputError if a number is not as said above."""
        if not (self.majority >= 1 and self.minority >= 1):
            raise InputError(f"either group must have a class or more, got {self.majority} and {self.minority}")
        check_above_zero("samples of a class", self.large, self.small)

    @property
    def classes(self) -> int:
        return self.majority + self.minority

    @property
    def samples(self) -> float:
        return self.majority * self.large + self.minority * self.small


def decayed(
    groups: TwoGroups, weight_decay: float, feature_decay: float, bias_decay: float | None = None
) -> dict[str, float | None]:
    """What `minority.groups` measures, at the minimum of the penalised model. bias_decay: None: there is no bias.

    Raises InputError if weight_decay or feature_decay is not finite and above 0.
    """
    check_above_zero("weight_decay and feature_decay", weight_decay, feature_decay)
    sizes, scale = (groups.large, groups.small), math.sqrt(weight_decay * feature_decay)

    def function(numbers: Tensor) -> Tensor:
        bias = 0.0 if bias_decay is None else numbers[5]
        value = _loss(groups, numbers, 1.0, bias) + scale * _nuclear(groups, numbers, sizes).sum()
        square = groups.majority * groups.minority / groups.classes  # of the bias, if the groups' differ by one
        return value + (bias_decay or 0.0) / 2 * square * bias**2

    singular = _nuclear(groups, _minimum(function), sizes)
    return _rows(groups, singular * math.sqrt(feature_decay / weight_decay))


def bounded(groups: TwoGroups, row_energy: float, feature_energy: float, bias: bool = False) -> dict[str, float | None]:
    """The same under bounds: of the mean of ||w_c||^2 over classes, and of the mean over classes of a class's mean
    ||h_i||^2. bias: whether there is one, which no bound and no decay holds.

    Raises InputError if an energy is not finite and above 0.
    """
    check_above_zero("energies", row_energy, feature_energy)
    whole = groups.classes * math.sqrt(row_energy * feature_energy)  # the nuclear norm of Z
    numbers = _minimum(_bounded(groups, whole, bias))
    singular = _nuclear(groups, numbers, (1, 1))
    return _rows(groups, singular * whole / singular.sum() * math.sqrt(row_energy / feature_energy))


def decayed_merging_ratio(majority: int, minority: int, large: float, scale: float) -> float:
    """n_A / n_B from which on the minority's rows are one, under decays, if the majority keeps n_A = large samples.

    As in `minority.merging_ratio`, sqrt(n_B)/N <= scale = sqrt(lambda_W lambda_H), solved for another ratio.
    """
    decay = scale * math.sqrt(large)
    root = 1 - 4 * decay**2 * majority * minority
    return max(1.0, ((1 + math.sqrt(root)) / (2 * decay * majority)) ** 2) if root > 0 else 1.0


def bounded_merging_ratio(
    majority: int, minority: int, row_energy: float, feature_energy: float, bias: bool = False
) -> float | None:
    """n_A / n_B from which on the minority's rows are one, under bounds; None if no data has so many samples.

    Where they are one, the gradient of the loss with respect to a minority class's logits is -1/N for each of its
    samples along a direction of class space that sums to zero over the minority and is zero elsewhere, whatever these
    logits are. Such directions stay out of the minimum as long as the gradient's singular value there, n_B/N, is at
    most the multiplier of the bound on ||Z||_*. (Fang et al. prove that rows merge as the ratio grows without end.)

    Raises InputError if an energy is not finite and above 0.
    """
    check_above_zero("energies", row_energy, feature_energy)
    whole = (majority + minority) * math.sqrt(row_energy * feature_energy)

    def too_far(logarithm: float) -> float:
        groups = TwoGroups(majority, minority, math.exp(logarithm), 1.0)
        numbers = _minimum(_bounded(groups, whole, bias), merged=True)
        scale = torch.tensor(whole, dtype=torch.float64, requires_grad=True)
        logarithm_of_loss = _bounded(groups, scale, bias)(numbers)
        (slope,) = torch.autograd.grad(logarithm_of_loss, scale)
        multiplier = max(-slope.item(), sys.float_info.min)  # no bound worth mentioning, where nothing is left of it
        return logarithm_of_loss.item() + math.log(multiplier * groups.samples)

    end = math.log(RATIO_AT_MOST)
    return None if too_far(end) < 0 else math.exp(brentq(too_far, 0.0, end, xtol=1e-12, rtol=1e-12))


def check_above_zero(what: str, *numbers: float) -> None:
    """Raises InputError if one is not finite and above 0."""
    if not all(0 < number < math.inf for number in numbers):
        raise InputError(f"{what} must be finite and above 0, got {' and '.join(f'{number:g}' for number in numbers)}")


def _bounded(groups: TwoGroups, whole: float | Tensor, bias: bool) -> Callable[[Tensor], Tensor]:
    """The logarithm of the loss under bounds: of large ones the loss itself is less than float64 tells from 0."""

    def function(numbers: Tensor) -> Tensor:
        scale = whole / _nuclear(groups, numbers, (1, 1)).sum()
        each = _excesses(groups, numbers, scale, numbers[5] if bias else 0.0)
        weights = groups.majority * groups.large, groups.minority * groups.small
        terms = [math.log(weight / groups.samples) + _log_log1p(t) for weight, t in zip(weights, each, strict=True)]
        return torch.logsumexp(torch.stack(terms), 0)

    return function


def _minimum(function: Callable[[Tensor], Tensor], merged: bool = False) -> Tensor:
    """sqrt(s), sqrt(m), p, q, g, bias, with u = -p g and v = -q g: so nothing has a kink where it is zero.

    merged: with m = 0, where the slope along sqrt(m) is zero and descent stays.
    """
    start = torch.tensor([1.0, 0.0 if merged else 1.0, 1.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    return descend(function, start)[-1][1]


def _loss(groups: TwoGroups, numbers: Tensor, scale: float | Tensor, bias: float | Tensor) -> Tensor:
    """Cross-entropy, Z times the scale."""
    large, small = (softplus(t, threshold=700) for t in _excesses(groups, numbers, scale, bias))
    return (groups.majority * groups.large * large + groups.minority * groups.small * small) / groups.samples


def _excesses(groups: TwoGroups, numbers: Tensor, scale: float | Tensor, bias: float | Tensor) -> tuple[Tensor, Tensor]:
    """Of a majority and of a minority sample, Z times the scale, the t of which the cross-entropy is log(1 + e^t)."""
    a, e, p, q, g = numbers[:5]
    s, m, u, v = (scale * value for value in (a * a, e * e, -p * g, -q * g))
    own_large = ((groups.majority - 1) * s - groups.minority * u) / groups.majority
    own_small = ((groups.minority - 1) * m - groups.majority * v) / groups.minority
    large = _log_total(groups.majority - 1, -s, groups.minority, u - own_large - bias)
    small = _log_total(groups.minority - 1, -m, groups.majority, v - own_small + bias)
    return large, small


def _log_total(siblings: int, sibling: Tensor, others: int, other: Tensor) -> Tensor:
    """log(siblings e^sibling + others e^other)."""
    terms = [math.log(others) + other, *([math.log(siblings) + sibling] if siblings else [])]
    return torch.logsumexp(torch.stack(terms), 0)


def _log_log1p(t: Tensor) -> Tensor:
    """log(log(1 + e^t)), to all digits: t less half e^t where e^t is small."""
    small = t < SMALL
    return torch.where(small, t - t.clamp(max=SMALL).exp() / 2, softplus(t.clamp(min=SMALL), threshold=700).log())


def _nuclear(groups: TwoGroups, numbers: Tensor, sizes: tuple[float, float]) -> Tensor:
    """The sum of Z's singular values of each kind: of s, of m, and the last one (3,)."""
    a, e, p, q, g = numbers[:5]
    large, small = sizes
    last = groups.classes * (large * groups.minority * p * p + small * groups.majority * q * q) + g * g
    return torch.stack(
        [(groups.majority - 1) * math.sqrt(large) * a * a, (groups.minority - 1) * math.sqrt(small) * e * e, last / 2]
    )


def _rows(groups: TwoGroups, squares: Tensor) -> dict[str, float | None]:
    """squares: of W's singular values, their sums of each kind (3,)."""
    of_majority, of_minority, last = squares.tolist()
    found = {}
    for name, classes, others, own in (
        ("majority", groups.majority, groups.minority, of_majority),
        ("minority", groups.minority, groups.majority, of_minority),
    ):
        common = last * others / (groups.classes * classes)
        norm = math.sqrt(own / classes + common)
        product = common - own / (classes * (classes - 1)) if classes > 1 else 0.0
        found[f"{name}_norm"] = norm
        found[f"{name}_cosine"] = product / norm**2 if classes > 1 and norm >= ZERO_BELOW else None
    return found
