"""Roughly the curvature of a softmax layer's objective on fixed features, and its inverse, for conjugate gradients."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

BLOCK_VALUES = 2**22  # of all blocks at most, 32 MB: whole ones of 100 classes would be twice as large as the features
FLAT = 0.03  # of the penalty: the curvature below which axes are coupled too little for a place in a block
BLOCK_ROWS = 1  # samples that each of a block's numbers in a row is made of, twice: it need not be exact


def preconditioner(
    features: Tensor, mean: Tensor, axes: Tensor, variances: Tensor, probabilities: Tensor, l2: float
) -> Callable[[Tensor], Tensor]:
    """The inverse of an estimate of the Hessian's diagonal blocks, one for each contrast of classes: of (C, d + 1).

    Along as many principal axes as there is room for and as curve against the penalty, from the samples that are the
    least certain and from some of the others, drawn evenly in proportion to that; along other axes as if features were
    their variances alone, and along all where samples are equally uncertain, as at the start: then that is so.

    Args:
        features: floats (N, d). mean: float64 (d,). axes, variances: float64 (d, d), (d,), of the features.
        probabilities: float32 (N, C), of the classes.
        l2: the penalty.
    """
    classes, size = probabilities.shape[1], len(mean)
    contrasts = torch.full((classes, classes), classes**-0.5, dtype=torch.float64)  # the last one changes nothing
    parted, whole, alike = list(pairs(probabilities)), contrasts.new_empty(classes - 1), True
    for index, (one, other) in enumerate(parted):
        high, low = _weights(one, other)
        contrasts[index] = 0
        contrasts[index, one], contrasts[index, other] = high, low
        uncertainty = _uncertainty(probabilities, one, other)
        whole[index] = uncertainty.mean()
        alike = alike and bool(uncertainty.max() - uncertainty.min() <= 1e-6 * whole[index])
    curved = 0 if alike else int((whole.max() * variances > FLAT * l2).sum())
    kept = min(curved, math.isqrt(BLOCK_VALUES // classes) - 1)
    rows = min(BLOCK_ROWS * (kept + 1), len(features))
    along_kept, centre = axes[:, :kept].float(), mean.float()
    inverses = contrasts.new_empty(classes, kept + 1, kept + 1)
    others = torch.cat([l2 + whole[:, None] * variances[kept:], whole.new_ones(1, size - kept)])
    evenly = (torch.arange(rows, dtype=torch.float64) + 0.5) / rows
    for index, (one, other) in enumerate(parted):
        uncertainty = _uncertainty(probabilities, one, other)
        most, certain = uncertainty.topk(rows)
        sums = uncertainty.index_fill_(0, certain, 0).cumsum(0)
        drawn = torch.searchsorted(sums, evenly * sums[-1]).clamp(max=len(sums) - 1)
        inputs = mean.new_ones(2 * rows, kept + 1)
        inputs[:, :-1] = (features[torch.cat([certain, drawn])].float() - centre) @ along_kept
        inputs *= torch.cat([most, (sums[-1] / rows).expand(rows)]).sqrt()[:, None]
        block = inputs.T @ inputs / len(sums)
        diagonal = block.diagonal()
        diagonal[:-1] += l2
        diagonal *= 1 + 1e-9
        diagonal += 1e-9 * diagonal.max() + torch.finfo(block.dtype).tiny
        inverses[index] = torch.cholesky_inverse(torch.linalg.cholesky(block))
    inverses[-1] = torch.eye(kept + 1)
    others += 1e-9 * others.max() if others.numel() else 0

    def apply(residual: Tensor) -> Tensor:
        contrasted = contrasts @ residual
        along = contrasted[:, :-1] @ axes
        inside = torch.cat([along[:, :kept], contrasted[:, -1:]], 1)
        solved = torch.bmm(inverses, inside[:, :, None])[:, :, 0]
        turned = torch.cat([solved[:, :-1], along[:, kept:] / others], 1) @ axes.T
        return contrasts.T @ torch.cat([turned, solved[:, -1:]], 1)

    return apply


def _weights(one: list[int], other: list[int]) -> tuple[float, float]:
    """Of the classes of both sets in their contrast, which has length 1 and sum 0."""
    scale = (len(one) + len(other)) ** -0.5
    return scale * (len(other) / len(one)) ** 0.5, -scale * (len(one) / len(other)) ** 0.5


def _uncertainty(probabilities: Tensor, one: list[int], other: list[int]) -> Tensor:
    """Of every sample, float64 (N,): the variance of the contrast of its class."""
    (high, low), indicator = _weights(one, other), torch.eye(probabilities.shape[1])
    p, q = ((probabilities @ indicator[members].sum(0)).double() for members in (one, other))
    return (high**2 * p + low**2 * q - (high * p + low * q).square()).clamp(min=0)


def pairs(probabilities: Tensor) -> Iterator[tuple[list[int], list[int]]]:
    """Sets of classes, from single ones to all, merged in pairs: those first that are the least certain of each other.

    What tells one from the other is what the Hessian has in common with nothing else; without that classes that are
    mistaken for one another would be coupled, and conjugate gradients slow.
    """
    shared = (probabilities.T @ probabilities).double().fill_diagonal_(0)
    sets: list[list[int]] = [[label] for label in range(len(shared))]
    while len(sets) > 1:
        whole = shared.sum(1).clamp(min=torch.finfo(shared.dtype).tiny).sqrt()
        nearness = (shared / whole / whole[:, None]).fill_diagonal_(-1)
        one, other = sorted(divmod(int(nearness.argmax()), len(sets)))
        yield sets[one], sets[other]
        shared[one] += shared[other]
        shared[:, one] += shared[:, other]
        shared[one, one] = 0
        left = [index for index in range(len(sets)) if index != other]
        shared, sets[one] = shared[left][:, left], sets[one] + sets[other]
        del sets[other]
