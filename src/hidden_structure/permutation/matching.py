"""All methods of matching the units of two networks, side by side."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from hidden_structure.frame.params import Permute
from hidden_structure.networks.weights import copy_of, load_state
from hidden_structure.permutation import joint_matching
from hidden_structure.permutation.activation_matching import Moments, match_activations, paired_moments
from hidden_structure.permutation.activation_matching import objective as at
from hidden_structure.permutation.families import is_still
from hidden_structure.permutation.group import Symmetry, crossed
from hidden_structure.permutation.permuting import Permutation, apply, compose, identity
from hidden_structure.permutation.straight_through import match_straight_through
from hidden_structure.permutation.weight_matching import Matched, match_weights, objective
from hidden_structure.seeding import Name, torch_generator
from hidden_structure.training.batches import Images, evaluation_batches, laid_out_for

BATCH_SIZE = 500  # images at once when activations are read
PASSES = 10  # at most, of matching activations again


@dataclass(frozen=True, eq=False)
class Problem:
    """Two networks whose units are to be matched.

    networks: of one architecture, on the images' device. labels: int64 (N,), of the images; only the straight-through
    estimator uses them. noise: names the random draws.
    """

    symmetry: Symmetry
    networks: Sequence[nn.Module]
    images: Images
    labels: Tensor
    permute: Permute
    precision: torch.dtype
    noise: tuple[Name, ...]

    @cached_property
    def states(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        a, b = (dict(network.state_dict()) for network in self.networks)
        return a, b

    @cached_property
    def by_weights(self) -> Matched:
        """Weight matching, where the straight-through estimator starts, too."""
        generator = torch_generator("weights", *self.noise)
        return match_weights(self.symmetry, *self.states, generator, self.permute.restarts)

    @cached_property
    def moments(self) -> Moments:
        """Of the activations, which all scores of them are made of."""
        batches = evaluation_batches(self.images, BATCH_SIZE)
        return paired_moments(self.symmetry, *self.networks, batches)

    def permuted(self, permutation: Permutation) -> "Problem":
        """The same with the second network's units in another order."""
        first, second = self.networks[0], copy_of(self.networks[1])
        load_state(second, apply(self.symmetry, permutation, self.states[1]))
        return replace(self, networks=(first, second))


def settled(matcher: Callable[[Problem], Matched]) -> Callable[[Problem], Matched]:
    """A matching of activations, again and again from where it ended if groups lie across one another: there units of
    one are compared at those of the other that stand in the same place, which are the right ones only in the end."""

    def repeated(problem: Problem) -> Matched:
        found = matcher(problem)
        if not crossed(problem.symmetry):
            return found
        reached = [(found.before, identity(problem.symmetry))]
        for _ in range(PASSES):
            permutation = compose(problem.symmetry, reached[-1][1], found.permutation)
            found = matcher(problem.permuted(permutation))
            reached.append((found.before, permutation))
            if is_still(found.permutation):
                break
        after, best = max(reached, key=lambda pair: pair[0])
        return Matched(best, reached[0][0], after)

    return repeated


def straight_through(problem: Problem) -> Matched:
    start, data = problem.by_weights.permutation, (laid_out_for(problem.networks[0], problem.images), problem.labels)
    networks = problem.symmetry, problem.networks[0], *problem.states
    return match_straight_through(*networks, *data, problem.permute.ste, start, problem.precision, *problem.noise)


def jointly(problem: Problem) -> Matched:
    """One ascent: of five the objective's best has no lower barrier (benchmarks/barrier.py)."""
    generator = torch_generator("joint", *problem.noise)
    return joint_matching.match_jointly(problem.symmetry, *problem.states, problem.moments, generator)


MATCHERS: dict[str, Callable[[Problem], Matched]] = {  # of every row of METHODS
    "weights": lambda problem: problem.by_weights,
    "activations": settled(lambda problem: match_activations(problem.symmetry, problem.moments, "products")),
    "correlations": settled(lambda problem: match_activations(problem.symmetry, problem.moments, "correlations")),
    "ste": straight_through,
    "joint": settled(jointly),
}


def there(of: Callable[[Problem, Permutation], float]) -> Callable[[Problem, Permutation], float]:
    """An objective of activations, measured with the second network's units where they are to stand."""

    def measured(problem: Problem, permutation: Permutation) -> float:
        if not crossed(problem.symmetry):
            return of(problem, permutation)
        return of(problem.permuted(permutation), identity(problem.symmetry))

    return measured


OBJECTIVES: dict[str, Callable[[Problem, Permutation], float]] = {  # of those that do not train
    "weights": lambda problem, permutation: objective(problem.symmetry, *problem.states, permutation),
    "activations": there(lambda problem, of: at(problem.symmetry, problem.moments, "products", of)),
    "correlations": there(lambda problem, of: at(problem.symmetry, problem.moments, "correlations", of)),
    "joint": there(
        lambda problem, of: joint_matching.objective(problem.symmetry, *problem.states, problem.moments, of)
    ),
}


def match(problem: Problem) -> Mapping[str, Matched]:
    """The permutation of the second network by every method of permute.methods.

    Raises InputError if a weight, an activation or a loss is not finite.
    """
    return {method: MATCHERS[method](problem) for method in problem.permute.methods}
