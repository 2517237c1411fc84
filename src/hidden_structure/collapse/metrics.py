"""Neural collapse: how near the penultimate features and the last layer are to a simplex equiangular tight frame.

Papyan, Han, Donoho, "Prevalence of neural collapse during the terminal phase of deep learning training", PNAS 2020.
Notation: C classes, N samples, features h_i in R^d with class y_i, class means mu_c, their average mu_G, the last
layer's weight W (C, d) and bias b, centred means M (C, d) with rows mu_c - mu_G.

Features are read in chunks of rows: products in their own precision, sums over chunks and every small matrix in
float64. The residuals h_i - mu_y are formed before any product, about class means rounded to the features' precision,
of which what rounding moved them by is taken off again, so that the figures stay right when the features have collapsed
to within float32's last digits.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hidden_structure.frame.arrays import Array, check_rows, samples_of, tensor_of
from hidden_structure.frame.errors import InputError

CHUNK_VALUES = 2**18  # features read at once: 1 MB of float32, which stays in cache
SQUARED = 40  # powers of two that the largest feature may be from 1, so that float32 holds squares and sums of them
LEAST = -1000  # of these powers, so that float64 holds the inverse, too


@dataclass(frozen=True)
class Collapse:
    """The four measures of neural collapse and the angle; all but the cosines tend to 0.

    Conventions, which differ between authors: classes weigh the same, however many samples they have (mu_G is the
    mean of class means, Sigma_W the mean over classes of their covariances: the sample averages when the classes are
    balanced); nothing is corrected for degrees of freedom (variances and standard deviations divide by the count). A
    last layer that is zero, where some networks begin, is at right angles to everything: its rows have equal norms, and
    cosines of 0, and its distance from the class means is 1.
    """

    nc1: float  # tr(Sigma_W Sigma_B^+) / C, within-class variability in units of the between-class one
    nc2_norms_means: float  # equal norms: std / mean over classes of ||mu_c - mu_G||
    nc2_norms_rows: float  # the same of ||w_c||
    nc2_cosine_means: float  # mean over pairs of classes of cos(mu_c - mu_G, mu_c' - mu_G); tends to -1/(C-1)
    nc2_cosine_rows: float  # the same of the rows of W, which are not centred
    nc2_angle_means: float  # mean over pairs of |cos + 1/(C-1)|
    nc2_angle_rows: float
    nc2_equiangular_means: float  # std over pairs of the cosines
    nc2_equiangular_rows: float
    nc3: float  # self-duality || W/||W||_F - M/||M||_F ||_F; not squared, unlike in the authors' notebook
    nc4: float  # share of samples (not of classes) whose nearest class mean differs from argmax(W h + b)


@torch.no_grad()
def measure(features: Array, labels: Array, weight: Array, bias: Array | None) -> Collapse:
    """Measure neural collapse of a network's training set.

    Sigma_B = M^T M / C has at most min(C-1, d) directions, and its pseudo-inverse keeps exactly these; of them only
    such are dropped as are zero (dead units leave fewer than C-1, a LayerNorm fewer than d), where it is the
    pseudo-inverse proper: in float64, or in the features' precision, float32 at least, of whose last digit in every
    unit a direction could be made up. So with d < C-1 Sigma_B^+ is the ordinary inverse, and no simplex exists that NC2
    could tend to.

    Args, arrays or tensors:
        features: floats (N, d), the input of the last layer; on the CPU or a CUDA device, as the other arguments.
        labels: int64 (N,), the classes that the network was trained on.
        weight, bias: (C, d) and (C,) or None, the last layer.

    Raises:
        InputError: an argument is not of that shape or holds no numbers, there is one class, a class has no sample,
            something is not finite, a label is outside 0..C-1, all class means agree, or a centred mean, or a row of a
            weight that is not all zero, is zero and so has no angle.
    """
    weight = tensor_of("weight", weight)
    classes = len(weight) if weight.ndim else 0
    features, labels = samples_of(features, labels, classes)
    check_rows("weight", weight, features.shape[1])
    if classes < 2:
        raise InputError(f"weight has {classes} rows, one a class: collapse is of two classes or more")
    bias = None if bias is None else tensor_of("bias", bias, (classes,))
    features, exponent = _brought_near_one(features)
    weight = weight.double()
    bias = weight.new_zeros(classes) if bias is None else bias.double()
    if not (weight.isfinite().all() and bias.isfinite().all()):
        raise InputError("the last layer holds NaN or infinity: the network diverged, train it at a lower rate")
    counts = _class_counts(labels, classes)
    origin, offsets = _class_means(features, labels, counts)
    means, centred = origin + offsets, offsets - offsets.mean(0)
    directions, singular, scores = _between_class_basis(centred, features)
    reading, offset = _deciding_alike(weight, bias, exponent)

    # One product a chunk gives both the residual's coordinates along Sigma_B's directions and its part of the logits.
    # From the coordinates follow NC1 and, with ||h - mu_c||^2 = const - 2 (r.m_c + m_y.m_c - ||m_c||^2 / 2), NC4. Here
    # r is about rounded means: less their slack it is about the means.
    rank, work = len(singular), _working_type(features)
    product = torch.cat([directions, reading.T], 1).to(work)
    rounded = means.to(work)
    slack = means - rounded.double()
    moved = slack @ directions
    gram = centred @ centred.T
    nearness = (gram - gram.diagonal() / 2 - moved @ scores).to(work)
    logits = (rounded.double() @ reading.T + offset).to(work)
    scores = scores.to(work)
    scatter, disagreements = -moved.square().sum(0), 0
    for residuals, chunk in _residuals(features, labels, rounded):
        coordinates, logits_part = (residuals @ product).split([rank, classes], 1)
        weights = (1 / counts)[chunk].to(work)
        scatter += (weights @ coordinates.square()).double()
        nearest = torch.addmm(nearness[chunk], coordinates, scores).argmax(1)
        disagreements += (nearest != logits_part.add(logits[chunk]).argmax(1)).sum()

    eigenvalues = singular.square() / classes  # of Sigma_B
    nc1 = (scatter / classes / eigenvalues).sum() / classes
    return Collapse(
        nc1=nc1.item(),
        **_angles(centred, "means", "class mean less the global mean"),
        **_angles(weight, "rows", "row of the last layer's weight"),
        nc3=(_scaled(weight, weight.norm()) - centred / centred.norm()).norm().item(),
        nc4=disagreements.item() / len(features),
    )


@torch.no_grad()
def class_distances(features: Array, labels: Array, classes: int) -> Tensor:
    """Mean squared distances between samples of two classes: float64 (C, C), E ||h_i - h_j||^2.

    In closed form ||mu_i - mu_j||^2 + tr Sigma_i + tr Sigma_j. The diagonal is the expectation for two independent
    draws of one class, 2 tr Sigma_c, which counts a sample's distance 0 to itself among the draws.

    Args, arrays or tensors:
        features: floats (N, d).
        labels: int64 (N,) in 0..classes-1.

    Raises InputError as `measure` does for the features and labels.
    """
    features, labels = samples_of(features, labels, classes)
    features, exponent = _brought_near_one(features)
    counts = _class_counts(labels, classes)
    origin, offsets = _class_means(features, labels, counts)
    means = origin + offsets
    rounded = means.to(_working_type(features))
    variances = torch.zeros_like(counts)
    for residuals, chunk in _residuals(features, labels, rounded):
        variances.index_add_(0, chunk, residuals.square().sum(1).double())
    variances = (variances / counts - (means - rounded.double()).square().sum(1)).clamp_min(0)
    between = torch.cdist(offsets, offsets, compute_mode="donot_use_mm_for_euclid_dist").square()
    return torch.ldexp(between + variances[:, None] + variances, torch.tensor(2 * exponent))


def _brought_near_one(features: Tensor) -> tuple[Tensor, int]:
    """Features over 2^e, and e: 0, and nothing is copied, unless squares of theirs are too large or too small for their
    type. No figure depends on it, for it only moves exponents."""
    largest = _largest(features)
    exponent = max(LEAST, int(torch.frexp(largest).exponent)) if largest.isfinite() else 0
    if abs(exponent) <= SQUARED:
        return features, 0
    return torch.ldexp(features.double(), torch.tensor(-exponent)).to(_working_type(features)), exponent


def _largest(features: Tensor) -> Tensor:
    return torch.stack([torch.stack(part.aminmax()) for part, _ in _chunks(features, features)]).abs().max().double()


def _deciding_alike(weight: Tensor, bias: Tensor, exponent: int) -> tuple[Tensor, Tensor]:
    """A last layer that decides of features over 2^e as this one does of the features, in numbers of about 1."""
    if exponent == 0:
        return weight, bias
    both = torch.cat([weight, bias[:, None] * 2.0**-exponent], 1)
    both = both * 2.0 ** -int(torch.frexp(both.abs().max()).exponent)
    return both[:, :-1], both[:, -1]


def _working_type(features: Tensor) -> torch.dtype:
    return torch.promote_types(features.dtype, torch.float32)


def _chunks(features: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    rows, work = max(1, CHUNK_VALUES // features.shape[1]), _working_type(features)
    for part, chunk in zip(features.split(rows), labels.split(rows), strict=True):
        yield part.to(work), chunk


def _class_counts(labels: Tensor, classes: int) -> Tensor:
    counts = labels.bincount(minlength=classes).double()
    if (counts == 0).any():
        raise InputError(f"class {counts.argmin()} has no sample: remove it or add images")
    return counts


def _class_means(features: Tensor, labels: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """The first sample (d,) and the class means less it (C, d), float64: a unit that is constant gives exact zeros.

    What is added up are differences from the first sample of the same class: sums of nearly equal numbers, as collapsed
    features are, drift to one side in float32, while their differences are exact. Over chunks the sums are float64.
    """
    places = torch.arange(len(labels), device=labels.device)
    firsts = torch.full_like(counts, len(labels), dtype=torch.int64).scatter_reduce(0, labels, places, "amin")
    origin, bases = features[0].double(), features[firsts].to(_working_type(features))
    sums, chunk_sums = bases.new_zeros(bases.shape, dtype=torch.float64), torch.empty_like(bases)
    for residuals, chunk in _residuals(features, labels, bases):
        sums += chunk_sums.zero_().index_add_(0, chunk, residuals)
    if not sums.isfinite().all():
        raise InputError("the features hold NaN or infinity: the network diverged, train it at a lower rate")
    return origin, bases.double() - origin + sums / counts[:, None]


def _residuals(features: Tensor, labels: Tensor, means: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Chunks of h_i - mu_y and of the labels."""
    for part, chunk in _chunks(features, labels):
        yield part - means[chunk], chunk


def _between_class_basis(centred: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Singular value decomposition of M (C, d) with rank r <= min(C-1, d): V (d, r), s (r,), and M V transposed."""
    digit = len(centred) ** 0.5 * torch.finfo(_working_type(features)).eps  # by which rounding may move all class means
    left, singular, right = torch.linalg.svd(centred, full_matrices=False)
    rank = min(len(centred) - 1, centred.shape[1])
    negligible = singular[0] * max(centred.shape) * torch.finfo(centred.dtype).eps
    if singular[rank - 1] <= digit * _largest(features):  # rarely: each unit by its own largest takes time
        units = torch.stack([part.abs().amax(0) for part, _ in _chunks(features, features)]).amax(0).double()
        negligible = torch.maximum(digit * (right * units).norm(dim=1), negligible)
    rank = min(rank, int((singular > negligible).sum()))
    if rank == 0:
        raise InputError("the features do not depend on the class (all class means agree): is the network dead?")
    return right[:rank].T, singular[:rank], (left[:, :rank] * singular[:rank]).T


def _scaled(values: Tensor, size: Tensor) -> Tensor:
    """Values by their size: 0 where that is 0."""
    return values / size.clamp_min(torch.finfo(size.dtype).tiny)


def _angles(vectors: Tensor, name: str, description: str) -> dict[str, float]:
    classes, norms = len(vectors), vectors.norm(dim=1)
    if norms.any() and not norms.all():
        raise InputError(f"the {description} of class {norms.argmin()} is zero and has no angle: is the network dead?")
    directions = _scaled(vectors, norms[:, None])
    pairs = torch.ones(classes, classes, dtype=torch.bool, device=vectors.device).triu(1)
    cosines = (directions @ directions.T)[pairs]
    return {
        f"nc2_norms_{name}": _scaled(norms.std(correction=0), norms.mean()).item(),
        f"nc2_cosine_{name}": cosines.mean().item(),
        f"nc2_angle_{name}": (cosines + 1 / (classes - 1)).abs().mean().item(),
        f"nc2_equiangular_{name}": cosines.std(correction=0).item(),
    }
