"""Weight matching: the permutation of network B that brings its weights closest to those of network A.

Ainsworth, Hayase, Srinivasa 2023, "Git Re-Basin", section 3.2 and algorithm 1: maximise the sum over weights of
<A, pi(B)> by coordinate ascent, one group of units at a time, each by a linear assignment. Weights are the tensors of
two or more dimensions; biases and the scales of normalisation layers, all near one, would drown them.

Coordinate ascent stops at a poor optimum if it starts from chance: then the weights that read a group's units, whose
own outputs are not aligned yet, vote as loudly as those that make them. So layers are first aligned from the input on,
each by the weights that make its units alone, and the exact ascent starts from there. Others start from chance, and one
follows a homotopy: the readers' votes grow in steps from none to all, and layers are aligned by each anew. It ends the
highest where many layers share their units, as in residual networks, and takes longer (benchmarks/README.md).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hidden_structure.frame.errors import InputError
from hidden_structure.permutation.families import (
    Family,
    Place,
    Relative,
    assign_again,
    best,
    chosen,
    families,
    gain,
    is_still,
    places,
)
from hidden_structure.permutation.group import Symmetry
from hidden_structure.permutation.permuting import Permutation, check_state, compose, draw, identity, permute_tensor

TOLERANCE = 1e-7  # of sum |A| |B|: above the rounding of float32 sums, in which the ascent could go in circles
VOTES = (0.0, 0.25, 0.5, 0.75)  # of the weights that read a family's units, on the way to the exact ascent
SWEEPS = 5  # by each at most: with unequal votes no objective rises, and layers may go in circles


@dataclass(frozen=True)
class Matched:
    """A permutation of network B, and the objective where it started from and with it."""

    permutation: Permutation
    before: float
    after: float


def distinct(symmetry: Symmetry, *states: Mapping[str, Tensor]) -> list[str]:
    """The weights of all states: a tied one, which a state dict, and a file all the more, holds several times, once."""
    found: list[str] = []
    for name, layouts in symmetry.layouts.items():
        same = (other for other in found if symmetry.layouts[other] == layouts)
        tied = any(all(torch.equal(state[name], state[other]) for state in states) for other in same)
        if states[0][name].dim() > 1 and not tied:
            found.append(name)
    return found


@dataclass(frozen=True, eq=False)  # each is its own key
class Term:
    """One place of one group in one weight: its share of the group's scores."""

    name: str  # of the weight
    group: str
    place: Place
    alone: bool  # no other place of the family in this weight, so that the score is exact
    reads: bool  # the weight reads these units, others make them


class Ascent:
    """Coordinate ascent: B as permuted so far, and those scores that are still up to date."""

    def __init__(
        self, symmetry: Symmetry, a: Mapping[str, Tensor], b: Mapping[str, Tensor], names: list[str] | None = None
    ) -> None:
        """a, b: state dicts. names: of the weights to match by; None: those of the two that are `distinct`.

        Raises InputError if a state is not finite, or not of the symmetry's network.
        """
        self.symmetry, self.permutation = symmetry, identity(symmetry)
        for state in (a, b):
            check_state(symmetry, state)
            if broken := [name for name in symmetry.layouts if not state[name].isfinite().all()]:
                raise InputError(f"units cannot be matched: {broken[0]} is not finite: did the training diverge?")
        names = distinct(symmetry, a, b) if names is None else names
        self.a, self.b = ({name: as_weight(state[name]) for name in names} for state in (a, b))
        self.families = families(symmetry)
        self.terms = self._terms()
        self.tolerance = TOLERANCE * sum((self.a[name].norm() * self.b[name].norm()).item() for name in self.a)
        self.version = dict.fromkeys(self.a, 0)
        self.scored: dict[Term, tuple[int, Tensor]] = {}
        self.units_of_a: dict[Term, Tensor] = {}
        self.prices: dict[Family, np.ndarray] = {}  # of families that are matched again and again
        self.settled: dict[Family, tuple] = {}  # the votes, and the weights' versions, when it was optimal

    def _terms(self) -> dict[Family, list[Term]]:
        family_of = {member: family for family in self.families for member in family.members}
        found: dict[Family, list[Term]] = {family: [] for family in self.families}
        for name in self.a:
            own = places(self.symmetry, self.symmetry.layouts[name])
            count = Counter(family_of[group] for group, _ in own)
            for group, place in own:
                alone, reads = count[family_of[group]] == 1, place.axis in self.symmetry.read[name]
                found[family_of[group]].append(Term(name, group, place, alone, reads))
        return found

    def _score(self, term: Term) -> Tensor:
        if self.scored.get(term, (-1,))[0] != self.version[term.name]:
            if term not in self.units_of_a:
                self.units_of_a[term] = term.place.units(self.a[term.name])
            scores = self.units_of_a[term] @ term.place.units(self.b[term.name]).T
            self.scored[term] = (self.version[term.name], scores)
        return self.scored[term][1]

    def _scores(self, terms: list[Term], votes: float) -> dict[str, Tensor]:
        scores: dict[str, Tensor] = {}
        for term in terms:
            if votes or not term.reads:
                share = votes * self._score(term) if term.reads and votes != 1 else self._score(term)
                scores[term.group] = scores[term.group] + share if term.group in scores else share
        return scores

    def objective(self, names: Mapping | None = None) -> float:
        """sum of <A, pi(B)> over all weights, or those named."""
        return sum((self.a[name].double() * self.b[name].double()).sum().item() for name in names or self.a)

    def improve(self, family: Family, votes: float = 1.0) -> bool:
        """Match one family given all others; whether that moved anything.

        votes: of the weights that read it, from 0 to 1. At 1 only what raises the objective is done, which where a
        weight holds the family twice is checked by computing it.
        """
        terms = self.terms[family]
        versions = (votes, *(self.version[term.name] for term in terms))
        if self.settled.get(family) == versions:
            return False
        exact = all(term.alone for term in terms)
        steps: list[tuple[list[Term], bool]] = []
        if exact or not family.children:
            steps = [(terms, True)]
        else:  # a weight with a group and its children on several axes can vote on one of them at a time
            steps = [([term for term in terms if term.alone], True)]
            steps += [([term for term in terms if term.group == child], False) for child in family.children]
        moves = [self._step(family, of, move_root, votes, exact) for of, move_root in steps if of]
        if exact or not any(moves):
            self.settled[family] = (votes, *(self.version[term.name] for term in terms))
        return any(moves)

    def _step(self, family: Family, terms: list[Term], move_root: bool, votes: float, exact: bool) -> bool:
        scores = self._scores(terms, votes)
        if not scores:
            return False
        moved = self._best(family, scores, move_root)
        if is_still(moved) or gain(family, scores, moved) <= self.tolerance:
            return False
        own = self.terms[family]
        touched = {term.name for term in own}
        weights = {name: permute_tensor(self.symmetry, moved, name, self.b[name]) for name in touched}
        if votes == 1 and not exact:
            old = self.objective(touched)
            before, self.b = self.b, self.b | weights
            if self.objective(touched) - old <= self.tolerance:
                self.b = before
                return False
        scored = {term: self.scored[term] for term in own if term.alone and term in self.scored}
        current = {term: values for term, (at, values) in scored.items() if at == self.version[term.name]}
        self.b |= weights
        for name in touched:
            self.version[name] += 1
        for term, values in current.items():  # B's units moved, and so their scores did: nothing to recompute
            columns = chosen(family, term.group, len(values), moved)
            self.scored[term] = (self.version[term.name], values[:, columns])
        self.permutation = compose(self.symmetry, self.permutation, moved)
        return True

    def _best(self, family: Family, scores: dict[str, Tensor], move_root: bool) -> Relative:
        if family not in self.prices:
            return best(family, scores, move_root)
        found, self.prices[family] = assign_again(scores[family.root].numpy(), self.prices[family], self.tolerance)
        return {family.root: torch.from_numpy(found)}

    def move(self, permutation: Permutation) -> None:
        """Permute B from where it is."""
        self.b = {name: permute_tensor(self.symmetry, permutation, name, weight) for name, weight in self.b.items()}
        self.version = {name: version + 1 for name, version in self.version.items()}
        self.permutation = compose(self.symmetry, self.permutation, permutation)

    def aim_at(self, a: Mapping[str, Tensor]) -> None:
        """Match to other weights from now on, that are near the last ones: then most units stay where they are."""
        self.prices = self.prices or {
            family: np.zeros(family.parents, np.float32) for family in self.families if not family.children
        }
        self.a = {name: as_weight(a[name]) for name in self.a}
        self.scored, self.units_of_a, self.settled = {}, {}, {}

    def turn_to(self, weights: Mapping[str, Tensor]) -> None:
        """Match to these from now on, in the place of A's weights of the same names; B stays as it is."""
        self.a |= weights
        self.version |= {name: self.version[name] + 1 for name in weights}
        self.units_of_a = {term: units for term, units in self.units_of_a.items() if term.name not in weights}

    def sweep(self) -> None:
        """One step of each family, in order of execution."""
        for family in self.families:
            self.improve(family)

    def approach(self, votes: Sequence[float], sweeps: int) -> None:
        """Align layers from the input on by each of these votes, until nothing moves, or for so many sweeps."""
        for share in votes:
            for _ in range(sweeps):
                if not sum([self.improve(family, share) for family in self.families]):
                    break

    def climb(self, order: list[Family]) -> None:
        """Exact ascent until no family of a whole sweep gains."""
        gained = True
        while gained:
            gained = sum(self.improve(family) for family in order) > 0


def as_weight(tensor: Tensor) -> Tensor:
    """float32, on the CPU; of complex numbers both parts, along an axis more that comes last."""
    tensor = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return tensor.detach().to("cpu", torch.float32).contiguous()


def objective(symmetry: Symmetry, a: Mapping[str, Tensor], b: Mapping[str, Tensor], permutation: Permutation) -> float:
    """sum over weights of <A, pi(B)>; a, b: state dicts."""
    ascent = Ascent(symmetry, a, b)
    ascent.move(permutation)
    return ascent.objective()


def match_weights(
    symmetry: Symmetry,
    a: Mapping[str, Tensor],
    b: Mapping[str, Tensor],
    generator: torch.Generator,
    restarts: int = 1,
    start: Permutation | None = None,
) -> Matched:
    """The best of `restarts` ascents, never worse than the start; of several, one more by a homotopy.

    Args:
        a, b: state dicts of two networks with these symmetries.
        generator: draws the start and the order of all ascents but the first.
        start: the permutation of B to start from; None: none.

    Raises InputError if the networks differ in their weights, or a weight is not finite.
    """
    if restarts < 1:
        raise InputError(f"restarts: {restarts} ascents find nothing, ask for 1 or more")
    ascent = Ascent(symmetry, a, b)
    if start is not None:
        ascent.move(start)
    origin, before = (ascent.permutation, dict(ascent.b)), ascent.objective()
    found = []
    for restart in range(restarts):
        if restart:
            ascent.permutation, ascent.b = origin
            ascent.move(draw(symmetry, generator))
        ascent.approach(VOTES[:1], 1)
        shuffled = torch.randperm(len(ascent.families), generator=generator).tolist()
        ascent.climb([ascent.families[index] for index in shuffled] if restart else ascent.families[::-1])
        found.append((ascent.objective(), ascent.permutation))
    if restarts > 1:
        ascent.permutation, ascent.b = origin
        ascent.move(identity(symmetry))
        ascent.approach(VOTES, SWEEPS)
        ascent.climb(ascent.families[::-1])
        found.append((ascent.objective(), ascent.permutation))
    after, permutation = max(found, key=lambda pair: pair[0])
    if after < before:
        ascent.permutation, ascent.b = origin
        ascent.move(identity(symmetry))
        ascent.climb(ascent.families)
        found = [(before, origin[0]), (ascent.objective(), ascent.permutation)]  # rounding may undo the last gain
        after, permutation = max(found, key=lambda pair: pair[0])
    return Matched(permutation, before, after)
