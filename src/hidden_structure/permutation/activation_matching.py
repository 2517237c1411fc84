"""Activation matching: the permutation of network B that makes its units fire like those of network A.

For each group of units the assignment that maximises the sum of E[z_A z_B] (Ainsworth et al. 2023, section 3.1), or of
the correlations of z_A and z_B (Li et al. 2015; Jordan et al. 2023), over samples and positions. The activations are
those that weights read: after the nonlinearity, and for a residual stream at every block that reads it.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.nn.functional import linear

from hidden_structure.frame.errors import InputError
from hidden_structure.networks.features import evaluation_mode
from hidden_structure.networks.weights import check_precision
from hidden_structure.permutation.families import Family, Place, Relative, best, families, gain, places
from hidden_structure.permutation.graphs import bind
from hidden_structure.permutation.group import Reading, Symmetry
from hidden_structure.permutation.permuting import Permutation, identity
from hidden_structure.permutation.weight_matching import Matched

RESOLUTION = 1e-6  # a unit that varies by less than this share of its mean does not vary, but for float32's rounding
CACHED = 2**17  # values of a network's units at once, on CPUs: what its cache holds beside the other's and the products
FLOAT32_SAMPLES = 2**12  # whose products are added up in float32 before they are in float64


class Reader(fx.Interpreter):
    """Runs a network and keeps the activations that its symmetry's readings name."""

    def __init__(self, network: nn.Module, symmetry: Symmetry) -> None:
        self.network = network
        super().__init__(bind(network, symmetry.graph, symmetry.constants))
        self.wanted = {reading.node for reading in symmetry.readings}
        self.kept: dict[str, Tensor] = {}

    def run_node(self, node: fx.Node) -> Any:
        value = super().run_node(node)
        if node.name in self.wanted:
            self.kept[node.name] = value.clone()  # later operations may work in place
        return value

    def read(self, images: Tensor, readings: Iterable[Reading]) -> dict[Reading, Tensor]:
        """Float32 activations of each reading, its group's axis last; of complex ones both parts, as two samples."""
        check_precision(self.network, images.dtype)
        self.run(images.clone())  # a network that works in place must not change what the other gets
        found = {}
        for reading in readings:
            value = self.kept[reading.node]
            if reading.attention is not None:
                value = self._projected(value, *reading.attention)
            if reading.parents is not None:
                value = value.movedim((reading.parents, reading.dimension), (-2, -1)).flatten(-2)
            else:
                value = value.movedim(reading.dimension, -1)
            found[reading] = (torch.view_as_real(value).movedim(-1, 0) if value.is_complex() else value).float()
        return found

    def _projected(self, value: Tensor, name: str, part: str) -> Tensor:
        """Queries, keys or values that an attention module computes inside."""
        module = self.module.get_submodule(name)
        index, size = "qkv".index(part), module.embed_dim
        rows = slice(index * size, (index + 1) * size)
        bias = None if module.in_proj_bias is None else module.in_proj_bias[rows]
        own = module.in_proj_weight is None
        return linear(value, getattr(module, f"{part}_proj_weight") if own else module.in_proj_weight[rows], bias)


class PairedMoments:
    """Sums over samples of products of two networks' units, from which scores come; memory: entries squared.

    They are of differences from the first batch's means, so that units that hardly vary lose no digits. A few are added
    up in float32, and these sums in float64: scores are exact to 1e-5, however many samples there are.
    """

    def __init__(self, entries: int) -> None:
        self.count = 0
        self.origins: list[Tensor] = []
        self.products = torch.zeros(entries, entries, dtype=torch.float64)
        self.sums = [torch.zeros(entries, dtype=torch.float64) for _ in range(2)]
        self.squares = [torch.zeros(entries, dtype=torch.float64) for _ in range(2)]
        self._recent: Tensor | None = None  # float32, products that are not in `products` yet
        self._samples = 0  # of these

    def add(self, a: Tensor, b: Tensor) -> None:
        """a, b: float32 (samples, entries)."""
        if not self.origins:
            self.origins = [values.mean(0) for values in (a, b)]
            self._recent = torch.zeros(self.products.shape, device=a.device)
        rows = max(1, CACHED // a.shape[1]) if a.device.type == "cpu" else len(a)
        for both in zip(a.split(rows), b.split(rows), strict=True):
            both = [values - origin for values, origin in zip(both, self.origins, strict=True)]
            self._recent.addmm_(both[0].T, both[1])
            for index, values in enumerate(both):
                self.sums[index] += values.sum(0).cpu()
                self.squares[index] += values.square_().sum(0).cpu()
        self.count += len(a)
        self._samples += len(a)
        if self._samples >= FLOAT32_SAMPLES:
            self._collect()

    def _collect(self) -> None:
        self.products += self._recent.cpu()
        self._recent.zero_()
        self._samples = 0

    def scores(self, correlated: bool) -> Tensor:
        """E[z_A z_B], or correlations; a unit that never changes correlates with none (0)."""
        self._collect()
        shifted = [values / self.count for values in self.sums]
        covariance = self.products / self.count - shifted[0][:, None] * shifted[1]
        mean = [origin.cpu().double() + values for origin, values in zip(self.origins, shifted, strict=True)]
        if not correlated:
            return covariance + mean[0][:, None] * mean[1]
        scale = []
        for m, shift, squares in zip(mean, shifted, self.squares, strict=True):
            deviation = (squares / self.count - shift.square()).clamp_min(0).sqrt()
            silent = deviation <= RESOLUTION * m.abs()
            scale.append(torch.where(silent, 0.0, 1 / deviation.where(~silent, 1.0)))
        return covariance * scale[0][:, None] * scale[1]


Score = Literal["products", "correlations"]
Moments = dict[Reading, list[tuple[str, Place, PairedMoments]]]  # of each reading the groups, and where they lie


@torch.no_grad()
def paired_moments(
    symmetry: Symmetry, network_a: nn.Module, network_b: nn.Module, batches: Iterable[Tensor]
) -> Moments:
    """All that any score is made of, from one pass over the batches.

    batches: images (b, channels, H, W) on the networks' device; each counts by its size.

    Raises InputError if no activation of a group is read, there are no images, or they are of another precision.
    """
    moments: Moments = {}
    for reading in symmetry.readings:
        if found := places(symmetry, (reading.layout,)):
            moments[reading] = [(group, place, PairedMoments(place.entries)) for group, place in found]
    count = 0
    with evaluation_mode(network_a), evaluation_mode(network_b):
        readers = [Reader(network, symmetry) for network in (network_a, network_b)]
        for images in batches:
            count += len(images)
            both = [reader.read(images, moments) for reader in readers]
            for reading, found in moments.items():
                for _, place, sums in found:
                    sums.add(*(place.units(values[reading].movedim(-1, 0).flatten(1)).T for values in both))
    if not moments or not count:
        raise InputError("activations cannot be matched: there are no images, or no group of units that weights read")
    return moments


def unit_scores(moments: Moments, score: Score) -> dict[str, Tensor]:
    """Of each group (entries, entries): A's units by B's, summed over the readings of the group."""
    scores: dict[str, Tensor] = {}
    for found in moments.values():
        for group, _, sums in found:
            own = sums.scores(score == "correlations")
            scores[group] = scores[group] + own if group in scores else own
    return scores


def match_activations(symmetry: Symmetry, moments: Moments, score: Score) -> Matched:
    """The optimal assignment of every group, where others stand as they did when the moments were taken.

    Where groups lie across one another (`group.crossed`) that is a step only, of which `matching.match` takes several.

    score: what is summed over matched units, and over the readings of a group.

    Raises InputError if an activation is not finite.
    """
    return _matched(symmetry, moments, score, best)


def objective(symmetry: Symmetry, moments: Moments, score: Score, permutation: Permutation) -> float:
    """What match_activations maximises, at this permutation of the second network."""
    return _matched(symmetry, moments, score, lambda family, own: {n: permutation[n] for n in family.members}).after


def _matched(
    symmetry: Symmetry, moments: Moments, score: Score, choose: Callable[[Family, dict[str, Tensor]], Relative]
) -> Matched:
    """choose: of a family and the scores of its groups, the permutation."""
    scores = unit_scores(moments, score)
    before = after = 0.0
    permutation = identity(symmetry)
    for family in families(symmetry):
        own = {name: scores[name] for name in family.members if name in scores}
        if not own:
            continue
        moved = choose(family, own)
        before += sum(values.diagonal().sum().item() for values in own.values())
        after += gain(family, own, moved)
        permutation = permutation | moved
    return Matched(permutation, before, before + after)
