"""Joint matching: the permutation of network B that brings its weights and its activations close to A's at once.

What a layer of the network half-way lacks of the mean of the ends' outputs is (W_A - P W_B P'^T) (H_A - P' H_B) / 4
(Zhou et al. 2023, arXiv 2307.08286, commutativity). Weight matching makes the first factor small, activation
matching the second; here both vote (O): of each group's votes, weights have half and correlations of activations half.

Correlations do not depend on how other layers are permuted, unless their units lie along the same activations
(`group.crossed`), so they enter weight matching as one more weight of each group: A's is the identity, and B's, one row
a unit, holds the correlations with A's units.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from hidden_structure.permutation import weight_matching
from hidden_structure.permutation.activation_matching import Moments, unit_scores
from hidden_structure.permutation.group import Factor, Layout, Symmetry
from hidden_structure.permutation.permuting import Permutation
from hidden_structure.permutation.weight_matching import Matched, as_weight, match_weights


def match_jointly(
    symmetry: Symmetry,
    a: Mapping[str, Tensor],
    b: Mapping[str, Tensor],
    moments: Moments,
    generator: torch.Generator,
    restarts: int = 1,
    share: float = 1.0,
) -> Matched:
    """Coordinate ascent of the sum of <A, pi(B)> over weights, and over groups of share v_g times the mean correlation.

    The correlation is of matched units, averaged over the readings of the group. v_g is the most that all weights with
    units of the group can add to the sum, |A| |B| each; so with a share of 1 both have equal votes.

    Args:
        a, b: state dicts of the networks that the moments are of.
        generator, restarts: as of `match_weights`.
        share: how loud the vote of correlations is, as a multiple of the weights'.

    Raises InputError if the networks differ in their weights, or a weight or an activation is not finite.
    """
    return match_weights(*voting(symmetry, a, b, moments, share), generator, restarts)


def objective(
    symmetry: Symmetry,
    a: Mapping[str, Tensor],
    b: Mapping[str, Tensor],
    moments: Moments,
    permutation: Permutation,
    share: float = 1.0,
) -> float:
    """What match_jointly maximises, at this permutation of the second network."""
    return weight_matching.objective(*voting(symmetry, a, b, moments, share), permutation)


def voting(
    symmetry: Symmetry, a: Mapping[str, Tensor], b: Mapping[str, Tensor], moments: Moments, share: float
) -> tuple[Symmetry, dict[str, Tensor], dict[str, Tensor]]:
    """Symmetries and states whose <A, pi(B)> is the sum that match_jointly maximises, of which its arguments tell."""
    votes = votes_of_weights(symmetry, a, b)
    readings = Counter(group for found in moments.values() for group, _, _ in found)
    scores = {
        group: values * (share * votes[group] / (len(values) * readings[group]))
        for group, values in unit_scores(moments, "correlations").items()
    }
    return with_scores(symmetry, a, b, scores)


def votes_of_weights(symmetry: Symmetry, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> dict[str, float]:
    """The most that weights with units of each group can add to the sum of <A, pi(B)>: |A| |B| each."""
    votes = dict.fromkeys(symmetry.groups, 0.0)
    for name in weight_matching.distinct(symmetry, a, b):
        largest = prod(as_weight(state[name]).double().norm().item() for state in (a, b))
        factors = {factor.group for layout in symmetry.layouts[name] for segment in layout for factor in segment}
        for group in factors & symmetry.groups.keys():
            votes[group] += largest
    return votes


def with_scores(
    symmetry: Symmetry, a: Mapping[str, Tensor], b: Mapping[str, Tensor], scores: Mapping[str, Tensor]
) -> tuple[Symmetry, dict[str, Tensor], dict[str, Tensor]]:
    """Symmetries and states with a weight more for each group: its <A, pi(B)> is the sum of the scores of a matching.

    scores: of groups, (entries, entries): of each unit of A with each of B.
    """
    layouts, read, added_a, added_b = dict(symmetry.layouts), dict(symmetry.read), {}, {}
    for group, values in scores.items():
        name, entries = f"scores of {group}", len(values)
        layouts[name] = (_layout(symmetry, group), ((Factor(entries, None),),))
        read[name] = frozenset()  # like weights that make the units, which align layers from the input on
        added_a[name], added_b[name] = torch.eye(entries), values.T.float()
    return replace(symmetry, layouts=layouts, read=read), {**a, **added_a}, {**b, **added_b}


def _layout(symmetry: Symmetry, group: str) -> Layout:
    """Of an axis along which the group's units lie, inside the entries of its parent if it has one."""
    own, parent = symmetry.groups[group], symmetry.groups[group].parent
    units = Factor(own.size, group)
    if parent is None:
        return ((units,),)
    size = symmetry.frozen[parent] if parent in symmetry.frozen else symmetry.groups[parent].size
    return ((Factor(size, parent), units),)
