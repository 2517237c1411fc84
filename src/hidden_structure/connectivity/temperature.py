"""The temperature of a softmax, fitted: how much of a loss is confidence rather than error.

Averaged networks are mostly less sure than their ends, which the loss on a line shows as a barrier though the decisions
may be right. Ito et al. 2025 (arXiv 2510.08023) therefore calibrate the temperature of every network on it.
"""

import numpy as np
import torch
from torch import Tensor

FLATTEST = (
    1e-4  # widest spread of logits over the highest temperature, taken where no decision is better than all alike
)
STEPS, TOLERANCE = 100, 1e-10


def fitted_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature T with the least cross-entropy of softmax(logits / T), a problem convex in 1 / T.

    The right class is asked for with probability (N + 1) / (N + C), each other with 1 / (N + C) (Platt 1999): samples
    that a network separates, as it mostly does those of its training, would else drive T to 0, and one error on other
    samples would cost without bound. Where equal probabilities are the best, or logits are all alike, T stays finite.

    logits: float (N, C), finite; labels: int64 (N,).
    """
    z = np.ascontiguousarray(logits.detach().cpu().double().numpy().T)  # sums over classes are of whole rows
    classes, count = z.shape
    if not (spread := float(z.std(0).max())):
        return 1.0
    z = (z - z.max(0)) / spread
    own = z[labels.cpu().numpy(), np.arange(count)]
    wanted = float((own * count + z.sum(0)).mean()) / (count + classes)  # mean logit, by the targets
    low, high, inverse = FLATTEST, np.inf, max(spread, FLATTEST)  # of spread / T, from T = 1 on
    if _slopes(z, low, wanted)[0] >= 0:
        return spread / low
    for _ in range(STEPS):
        slope, bend = _slopes(z, inverse, wanted)
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        after = inverse - slope / bend if bend > 0 else np.inf
        if abs(after - inverse) <= TOLERANCE * inverse:
            break
        inverse = after if low < after < high else 2 * low if high == np.inf else (low + high) / 2
    return spread / inverse


def _slopes(z: np.ndarray, inverse: float, wanted: float) -> tuple[float, float]:
    """First and second derivative of the loss in 1 / T: mean logit under softmax less the wanted, and its variance."""
    shares = np.exp(inverse * z)
    total = shares.sum(0)
    shares *= z
    first = shares.sum(0) / total
    shares *= z
    return float(first.mean()) - wanted, float((shares.sum(0) / total - first**2).mean())


def loss_at(temperature: float, logits: Tensor, labels: Tensor) -> float:
    """Mean cross-entropy (nats) of softmax(logits / temperature), in float64."""
    return torch.nn.functional.cross_entropy(logits.detach().cpu().double() / temperature, labels.cpu()).item()
