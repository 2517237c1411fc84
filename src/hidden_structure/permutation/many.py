"""Cycle-consistent weight matching: permutations that bring three or more networks closest to one another, all at once.

Crisostomi, Fumero, Baieri, Bernard, Rodola 2024, "C2M3: cycle-consistent multi-model merging", section 4: each network
gets one permutation, into an order of units that all share (the universe), so that what takes A to B, B to C and C to A
again leaves all units where they were. Maximised is the sum over pairs of networks of the products of their weights.
Since a permutation leaves the sum of squares of a network's weights alone, this makes the mean of all the longest.

By coordinate ascent: one group of units of one network at a time, by a linear assignment against the sum of all others.
That is weight matching (`weight_matching.py`) to a target that moves. First layers are aligned from the input on, each
by the weights that make its units alone, one network after the other to the sum of those before it. Where no group of
no network gains any more, each network in turn is matched anew to the sum of the others, all its groups, and that is
kept if it leads higher. The paper's own Frank-Wolfe ends about as high, and takes longer (CONTRIBUTING.md).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hidden_structure.frame.errors import InputError
from hidden_structure.permutation.families import Family
from hidden_structure.permutation.group import Symmetry
from hidden_structure.permutation.permuting import Permutation, check_state, compose, invert
from hidden_structure.permutation.weight_matching import SWEEPS, VOTES, Ascent, distinct


@dataclass(frozen=True)
class MatchedTogether:
    """A permutation of each network, and the objective where it started from and with them."""

    permutations: tuple[Permutation, ...]
    before: float
    after: float


def match_together(
    symmetry: Symmetry, states: Sequence[Mapping[str, Tensor]], generator: torch.Generator, restarts: int = 1
) -> MatchedTogether:
    """The best of `restarts` ascents, never worse than no permutation; of several, one more by a homotopy.

    The first network stays as it is: it says in which order the units of all are.

    Args:
        states: state dicts of two or more networks with these symmetries.
        generator: draws in which order networks come, in all ascents but the first.

    Raises InputError if there are fewer than two networks, they differ in their weights, or a weight is not finite.
    """
    if len(states) < 2:
        raise InputError("one network has nothing to be matched with: give two or more")
    ascent = JointAscent(symmetry, states)
    origin, before = ascent.places(), ascent.objective()
    orders = [list(range(len(states)))]
    orders += [torch.randperm(len(states), generator=generator).tolist() for _ in range(restarts - 1)]
    found = [(before, origin)]
    for order, votes in [*((order, VOTES[:1]) for order in orders), *([(orders[0], VOTES)] if restarts > 1 else [])]:
        ascent.put(origin)
        ascent.approach(order, votes)
        ascent.climb(order)
        found.append((ascent.objective(), ascent.places()))
    after, places = max(found, key=lambda one: one[0])
    permutations = [permutation for permutation, _ in places]
    back = invert(symmetry, permutations[0])
    return MatchedTogether(tuple(compose(symmetry, own, back) for own in permutations), before, after)


Places = list[tuple[Permutation, dict[str, Tensor]]]  # of each network its permutation, and its weights with it


class JointAscent:
    """Coordinate ascent of several networks: each an `Ascent` whose A is the sum of the others as permuted so far."""

    def __init__(self, symmetry: Symmetry, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Raises InputError if a state is not of the network whose symmetries these are."""
        for state in states:
            check_state(symmetry, state)
        names = distinct(symmetry, *states)  # of all, for what is equal in two may not be in a third
        self.ascents = [Ascent(symmetry, states[0], state, names) for state in states]
        self.families = self.ascents[0].families
        self.weights = {family: {term.name for term in terms} for family, terms in self.ascents[0].terms.items()}
        self.outdated = [set(ascent.a) for ascent in self.ascents]  # weights of A, since others have moved
        tolerance = len(states) * max(ascent.tolerance for ascent in self.ascents)
        for ascent in self.ascents:
            ascent.tolerance = tolerance

    def places(self) -> Places:
        return [(ascent.permutation, dict(ascent.b)) for ascent in self.ascents]

    def put(self, places: Places) -> None:
        """Go back to where the networks were."""
        for index, (ascent, (permutation, weights)) in enumerate(zip(self.ascents, places, strict=True)):
            moved = [name for name, weight in weights.items() if weight is not ascent.b[name]]
            ascent.permutation, ascent.b = permutation, dict(weights)
            ascent.version |= {name: ascent.version[name] + 1 for name in moved}
            self._has_moved(index, moved)

    def objective(self) -> float:
        """sum over pairs of networks of the products of their weights."""
        for index, ascent in enumerate(self.ascents):
            self._aim(index, ascent.a)
        return sum(ascent.objective() for ascent in self.ascents) / 2

    def approach(self, order: Sequence[int], votes: Sequence[float]) -> None:
        """Align layers from the input on by each of these votes: each network to those before it, then to all."""
        for share in votes:
            for family in self.families:
                for place, index in enumerate(order[1:], 1):
                    self._aim(index, self.weights[family], order[:place])
                    self._improve(index, family, share)
                for _ in range(SWEEPS):
                    if not sum([self.improve(index, family, share) for index in order]):
                        break

    def climb(self, order: Sequence[int]) -> None:
        """Exact ascent until neither a group of a network gains nor a network that is matched anew."""
        self._climb_by_groups(order)
        best, places, failed = self.objective(), self.places(), 0
        while failed < len(order):
            for index in order:
                self._match_anew(index)
                self._climb_by_groups(order)
                if (reached := self.objective()) > best + self.ascents[0].tolerance:
                    best, places, failed = reached, self.places(), 0
                else:
                    self.put(places)
                    failed += 1
                if failed == len(order):
                    break

    def improve(self, index: int, family: Family, votes: float = 1.0) -> bool:
        """Match one family of one network to the sum of all others; whether that moved anything."""
        self._aim(index, self.weights[family])
        return self._improve(index, family, votes)

    def _climb_by_groups(self, order: Sequence[int]) -> None:
        gained = True
        while gained:
            gained = sum([self.improve(index, family) for family in self.families[::-1] for index in order]) > 0

    def _match_anew(self, index: int) -> None:
        ascent = self.ascents[index]
        self._aim(index, ascent.a)
        ascent.approach(VOTES[:1], 1)
        ascent.climb(self.families[::-1])
        self._has_moved(index, ascent.b)

    def _improve(self, index: int, family: Family, votes: float) -> bool:
        moved = self.ascents[index].improve(family, votes)
        if moved:
            self._has_moved(index, self.weights[family])
        return moved

    def _aim(self, index: int, names: Iterable[str], others: Sequence[int] | None = None) -> None:
        """At the sum of the other networks as they are now, or of these."""
        whom = [other for other in others or range(len(self.ascents)) if other != index]
        changed = sorted(names) if others else sorted(self.outdated[index].intersection(names))
        self.ascents[index].turn_to({name: sum(self.ascents[other].b[name] for other in whom) for name in changed})
        self.outdated[index].difference_update(changed)
        if others:
            self.outdated[index].update(changed)

    def _has_moved(self, index: int, names: Iterable[str]) -> None:
        for other, outdated in enumerate(self.outdated):
            if other != index:
                outdated.update(names)
