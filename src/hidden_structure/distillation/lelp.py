"""Distillation by pseudo-subclasses, on arrays: of images or of anything else that a teacher has embeddings of.

With few classes a teacher's probabilities say little. LELP (Loo, Iliopoulos, Hu, Vee, "Linear Projections of Teacher
Embeddings for Few-Class Distillation", 2024) splits every class c into S pieces s along linear projections of the
teacher's embeddings, and the student learns p(c, s | x) = p(c | x) q(s | x, c). Summed over s that is p(c | x) again,
so the student's C x S outputs merge back into classes without loss.

The other ways of splitting are the baselines of that paper; Subclass Distillation (Müller, Kornblith, Hinton 2020)
has the teacher itself invent the pieces, under the auxiliary loss `contrast`.

Pieces that samples have been given, one each, need a softness of their own. Of a softened teacher every piece of a
wrong class gets a share of that class, and the siblings of a sample's own piece would get nothing: as if they were
less like the sample than anything in another class.

Every array may be a tensor or numpy's, also those that splitters are called with, and InputError says what does not
fit; what is returned is of tensors.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, one_hot

from hidden_structure.frame.arrays import Array, check_range, tensor_of, whole_numbers
from hidden_structure.frame.errors import InputError

ROUNDING = 1e-6  # of the embeddings' length: less variation than that is no more than rounding, in float32

# Embeddings (B, d), the samples' numbers int64 (B,) and, for pieces that samples have been given, the teacher's
# probabilities of the classes (B, C), at the temperature of the targets, to q(s | x, c): (B, C, S), sums over s are 1.
Splitter = Callable[..., Tensor]


@dataclass(frozen=True, eq=False)
class Projections:
    """q(s | x, c) = softmax over s of (x - centre of c) . direction s of c, over beta: soft, and for any x.

    directions: (C, S, d); offsets: (C, S), what they give for the centres; infinity where c has fewer than S pieces.
    """

    directions: Tensor
    offsets: Tensor
    beta: float

    def __call__(self, embeddings: Array, index: Array, probabilities: Array | None = None) -> Tensor:
        classes, subclasses, dimension = self.directions.shape
        embeddings = tensor_of("embeddings", embeddings, (None, dimension))
        _numbers(embeddings, index)
        projected = embeddings.to(self.directions) @ self.directions.view(-1, dimension).T
        return ((projected.view(-1, classes, subclasses) - self.offsets) / self.beta).softmax(2)


@dataclass(frozen=True, eq=False)
class Assigned:
    """Each training sample has one piece of its own class; of other classes, of which nothing is known, all alike.

    A share of the own class's mass, `softness`, is spread evenly over its pieces, the assigned one among them, and the
    rest is the assigned one's. Where the teacher's probabilities are given, the share is raised as far as is needed for
    no sibling to get less than a piece of another class. Only a teacher that itself gives a piece of another class more
    than an even share of the sample's own leaves it less than that: then the share is 1, and classes keep their sums.

    classes, pieces: int64 (N,), of training sample n; even: (C, S), 1 / (pieces of c) at each piece that c has.
    """

    classes: Tensor
    pieces: Tensor
    even: Tensor
    softness: float

    def __call__(self, embeddings: Array, index: Array, probabilities: Array | None = None) -> Tensor:
        index = _numbers(embeddings, index).to(self.classes.device)
        check_range("index, of the samples that have been given pieces,", index, len(self.classes))
        own, every = self.classes[index], torch.arange(len(index), device=index.device)
        share = self.even.new_full((len(index), 1), self.softness)
        if probabilities is not None:
            probabilities = tensor_of("probabilities", probabilities, (len(index), len(self.even)))
            share = share.maximum(self._needed(probabilities.to(self.even), own)).clamp(max=1)
        q = self.even.repeat(len(index), 1, 1)
        q[every, own] = share * q[every, own] + (1 - share) * one_hot(self.pieces[index], q.shape[2])
        return q

    def _needed(self, probabilities: Tensor, own: Tensor) -> Tensor:
        """The share, (B, 1), at which siblings get as much as the likeliest piece of another class."""
        pieces = probabilities * self.even.amax(1)  # what each piece of a class gets if all get the same: (B, C)
        others = pieces.scatter(1, own[:, None], 0).amax(1, keepdim=True)
        return others / pieces.gather(1, own[:, None]).clamp(min=torch.finfo(pieces.dtype).tiny)


def _numbers(embeddings: Array | None, index: Array) -> Tensor:
    """The samples' numbers int64 (B,). Raises InputError if they are no whole numbers, or not one an embedding."""
    index = tensor_of("index", index)
    return whole_numbers("index", index, index.numel() if embeddings is None else len(embeddings))


def assign(classes: Array, pieces: Array, count: int, softness: float = 0.0) -> Assigned:
    """One piece a sample, whole numbers (N,) from 0 on: clusters, true subclasses, ... S is the largest piece and one.

    classes: int64 (N,); count: of them, C; softness: the share of its class's mass that a sample's pieces get alike,
    0 to 1.

    Raises InputError if a class has no sample, labels and pieces are not one a sample, a piece is negative (as that of
    what a clustering leaves out), or softness is no share.
    """
    pieces = tensor_of("pieces", pieces)
    pieces = whole_numbers("pieces", pieces, len(pieces) if pieces.ndim else 0)
    if len(pieces) and int(pieces.min()) < 0:
        raise InputError(f"pieces must be 0 or more, got {int(pieces.min())}: give what belongs to none a piece, too")
    if not 0 <= softness <= 1:
        raise InputError(f"softness must be a share, 0 to 1, got {softness}")
    classes = _labels(classes, len(pieces), count)
    present = torch.zeros(count, int(pieces.max()) + 1, device=pieces.device)
    present[classes, pieces] = 1
    return Assigned(classes, pieces, present / present.sum(1, keepdim=True), softness)


def whole(count: int) -> Splitter:
    """Classes left whole: S = 1, which makes vanilla distillation (Hinton, Vinyals, Dean 2015) of the same loss."""
    one = torch.ones(count, 1)
    return lambda embeddings, index, *_: one.to(_numbers(embeddings, index).device).repeat(len(index), 1, 1)


def lelp(
    embeddings: Array,
    labels: Array,
    weight: Array,
    subclasses: int,
    beta: float,
    generator: torch.Generator,
    null_space: bool = True,
    pca: bool = True,
    rotate: bool = True,
    standardise: bool = True,
) -> Projections:
    """The projections of LELP, computed in float64.

    Of every class: embeddings minus their mean, in the null space of the teacher's output weights (what those read is
    is in p(c | x) already); their first S principal axes; a random rotation of these, so that all carry like variance;
    and the projections divided by their root mean square over the class and all S. The last step is our reading: scaled
    each by itself, they would be the same but for the sign where one axis dominates. Each of the last four can be left
    out.

    Args:
        embeddings: float (N, d), what the teacher's last layer reads.
        labels: int64 (N,) in 0..C-1, the classes.
        weight: (C, d), of the last layer.
        subclasses: S.
        beta: temperature of the pieces; towards 0 each sample is of one piece.
        generator: of the rotation, or of random axes.
        null_space, pca, rotate, standardise: the steps; without pca the axes are random orthonormal ones.

    Raises InputError if an argument is not so, a class has no sample or does not vary, or dimensions are too few.
    """
    embeddings, weight = tensor_of("embeddings", embeddings).detach(), tensor_of("weight", weight).detach()
    _check(embeddings, weight, subclasses, beta)
    labels = _labels(labels, len(embeddings), len(weight))
    points, labels, weight = embeddings.cpu().double(), labels.cpu(), weight.cpu().double()
    basis = _null_space(weight) if null_space else torch.eye(points.shape[1]).double()
    need_room(subclasses, points.shape[1], points.shape[1] - basis.shape[1])
    directions, offsets = [], []
    for label in range(len(weight)):
        own = points[labels == label]
        centre, size = own.mean(0), own.square().sum(1).mean().sqrt()
        own = (own - centre) @ basis
        axes = _principal_axes(own, subclasses) if pca else _orthonormal(basis.shape[1], subclasses, generator)
        if rotate:
            axes = axes @ _orthonormal(subclasses, subclasses, generator)
        spread = (own @ axes).square().mean().sqrt()
        if not spread > ROUNDING * size:
            raise InputError(f"class {label} does not vary beyond what decides its class, so it cannot be split")
        along = basis @ axes / (spread if standardise else 1)
        directions.append(along.T)
        offsets.append(centre @ along)
    found = (torch.stack(each).to(embeddings.dtype).to(embeddings.device) for each in (directions, offsets))
    return Projections(*found, beta)


def need_room(subclasses: int, width: int, read: int) -> None:
    """Raises InputError if there are more pieces than axes to split along: the width of the embeddings, less the
    dimensions that are read by the weights whose null space is asked for, or 0."""
    room = width - read
    if subclasses <= room:
        return
    mends = [f"lower subclasses to {room}"] if room > 1 else []
    mends += ["set null_space: false"] if room < subclasses <= width and read else []
    mends += ["widen the network whose embeddings they are"]
    left = f", less {read} that its output weights read (null_space), leave {room}" if read else ""
    raise InputError(
        f"subclasses: {subclasses} pieces need as many axes, but embeddings of {width} dimensions{left}:"
        f" {', or '.join(mends)}"
    )


def _check(embeddings: Tensor, weight: Tensor, subclasses: int, beta: float) -> None:
    if embeddings.ndim != 2 or not embeddings.is_floating_point():
        raise InputError(f"embeddings must be floats (N, d), got {embeddings.dtype} {tuple(embeddings.shape)}")
    if weight.ndim != 2 or weight.shape[1] != embeddings.shape[1]:
        raise InputError(f"weight must be (C, {embeddings.shape[1]}) as the embeddings, got {tuple(weight.shape)}")
    if not (embeddings.isfinite().all() and weight.isfinite().all()):
        raise InputError("the teacher's embeddings or weights hold NaN or infinity: did its training diverge?")
    if not isinstance(subclasses, Integral) or subclasses < 1 or not beta > 0:
        raise InputError(f"subclasses, a whole number, and beta must be positive, got {subclasses} and {beta}")


def _labels(labels: Array, samples: int, classes: int) -> Tensor:
    """As int64 (samples,), if each of the classes is among them, and no other."""
    if not samples:
        raise InputError("there are no samples to split")
    labels = whole_numbers("labels", tensor_of("labels", labels), samples)
    check_range("labels", labels, classes)
    if missing := sorted(set(range(classes)) - set(labels.tolist())):
        raise InputError(f"class {missing[0]} has no training sample to split: give it one, or leave it out")
    return labels


def _null_space(weight: Tensor) -> Tensor:
    """An orthonormal basis (d, m) of what the rows do not read."""
    _, values, rows = torch.linalg.svd(weight)
    rank = int((values > values.max() * max(weight.shape) * torch.finfo(values.dtype).eps).sum())
    return rows[rank:].T


def _principal_axes(centred: Tensor, count: int) -> Tensor:
    """(n, m) to the (m, count) axes of most variance; signs such that the entry largest in size is positive, the first
    of those that are as large but for rounding."""
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)[:, :count]
    sizes = axes.abs()
    first = (sizes > (1 - ROUNDING) * sizes.amax(0)).int().argmax(0, keepdim=True)
    return axes * axes.gather(0, first).sign()


def _orthonormal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """(rows, columns), uniform among those with orthonormal columns."""
    q, r = torch.linalg.qr(torch.randn(rows, columns, generator=generator, dtype=torch.float64))
    return q * r.diagonal().sign()


def targets(logits: Array, pieces: Array, temperature: float) -> Tensor:
    """p(c, s | x), (B, C * S) with the pieces of a class side by side, from logits (B, C) and q(s | x, c) (B, C, S).

    pieces: those of `assign` are to be asked for with the `probabilities` of these logits at this temperature.

    Raises InputError if they are of other shapes, or the temperature is not above 0.
    """
    found = probabilities(logits, temperature)
    return (found[:, :, None] * tensor_of("pieces", pieces, (*found.shape, None))).flatten(1)


def probabilities(logits: Array, temperature: float) -> Tensor:
    """p(c | x), (B, C), of a teacher's logits (B, C). Raises InputError of another shape, or temperatures up to 0."""
    return _tempered(logits, temperature).softmax(1)


def _tempered(logits: Array, temperature: float) -> Tensor:
    if not temperature > 0:
        raise InputError(f"the temperature must be above 0, got {temperature}")
    return tensor_of("logits", logits, (None, None)) / temperature


def merge_logits(logits: Array, classes: int, temperature: float = 1.0) -> Tensor:
    """log p(c | x), (B, C), of a network with C * S outputs (B, C * S): the probabilities of its pieces, summed.

    temperature: that of the training, at which alone the sums are what was learnt.

    Raises InputError if the outputs are not as many for each class, or the temperature is not above 0.
    """
    tempered = _tempered(logits, temperature)
    if classes < 1 or tempered.shape[1] % classes:
        raise InputError(f"{tempered.shape[1]} outputs are not as many for each of {classes} classes")
    return log_softmax(tempered, 1).unflatten(1, (classes, -1)).logsumexp(2)


def loss(logits: Array, wanted: Array, temperature: float) -> Tensor:
    """Mean cross-entropy (nats) of softmax(logits / T) to the targets, both (B, C * S), times T^2.

    Its gradient is that of the KL divergence; T^2 keeps its size as T changes (Hinton, Vinyals, Dean 2015).

    Raises InputError if the student has not as many outputs as there are targets, or the temperature is not above 0.
    """
    logits, wanted = tensor_of("logits", logits), tensor_of("wanted", wanted)
    if logits.shape != wanted.shape:
        shapes = f"the student puts out {tuple(logits.shape)} and the targets are {tuple(wanted.shape)}"
        raise InputError(f"{shapes}: give it an output for each piece of each class")
    return cross_entropy(_tempered(logits, temperature), wanted.to(logits)) * temperature**2


def contrast(logits: Array, temperature: float) -> Tensor:
    """The auxiliary loss of Subclass Distillation: how alike a batch's samples are to the teacher that splits classes.

    With v the logits (B, C * S) of a sample, scaled to mean 0 and length 1, it is the mean over i of
    log sum_j exp(v_i . v_j / t) / B, less 1 / t: 0 if all agree, and negative as samples use different pieces.
    """
    logits = tensor_of("logits", logits)
    centred = logits - logits.mean(1, keepdim=True)
    v = centred / (centred.norm(dim=1, keepdim=True) + 1e-6)
    return (v @ v.T / temperature).logsumexp(1).mean() - 1 / temperature - math.log(len(v))
