"""Cycle-consistent weight matching: what was planted is found, cycles are the identity, the objective never falls."""

import itertools

import pytest
import torch
from test_permuting import same
from test_symmetry import IMAGES, Function, own, randomise, tensors
from test_weight_matching import NETWORKS, images_for, perturbed
from torch import nn

from hidden_structure.frame.errors import InputError
from hidden_structure.permutation import permuting
from hidden_structure.permutation.many import match_together
from hidden_structure.permutation.symmetry import derive
from hidden_structure.permutation.weight_matching import match_weights, objective
from hidden_structure.seeding import torch_generator

PLANTED = ("mlp", "resnet, groups", "vit", "grouped convolution", "attention")


def generator(*names):
    return torch_generator("together", *names)


def summed(symmetry, states, permutations):
    """sum over pairs of <pi_i(theta_i), pi_j(theta_j)>."""
    moved = [permuting.apply(symmetry, *own) for own in zip(permutations, states, strict=True)]
    stay = permuting.identity(symmetry)
    return sum(objective(symmetry, a, b, stay) for a, b in itertools.combinations(moved, 2))


def untouched(symmetry, states):
    return [permuting.identity(symmetry)] * len(states)


@pytest.fixture(scope="module")
def independent():
    """The symmetry and the states of four unrelated networks."""
    networks = [randomise(own("resnet", 8, 4, "batch"), f"network {index}") for index in range(4)]
    return derive(networks[0], tensors(*IMAGES)), [network.state_dict() for network in networks]


@pytest.mark.parametrize("amount", [0.0, 0.05])
@pytest.mark.parametrize("name", PLANTED)
def test_planted_permutations_are_found(name, amount):
    network = randomise(NETWORKS[name]())
    symmetry, a = derive(network, images_for(name)), network.state_dict()
    near = [perturbed(a, amount, index) for index in range(4)]
    planted = [permuting.draw(symmetry, torch_generator("planted", index)) for index in range(4)]
    states = [permuting.apply(symmetry, *own) for own in zip(planted, near, strict=True)]
    found = match_together(symmetry, states, generator(), restarts=2)
    expected = [permuting.compose(symmetry, permuting.invert(symmetry, own), planted[0]) for own in planted]
    assert all(same(*both) for both in zip(found.permutations, expected, strict=True))
    assert found.before < found.after
    assert found.after == pytest.approx(summed(symmetry, near, untouched(symmetry, near)), rel=1e-5)


def test_every_cycle_is_the_identity(independent):
    symmetry, states = independent
    found = match_together(symmetry, states, generator()).permutations

    def between(i, j):  # what takes network i to network j, by the order of units that they share
        return permuting.compose(symmetry, found[i], permuting.invert(symmetry, found[j]))

    for cycle in itertools.permutations(range(4), 3):
        gone = permuting.identity(symmetry)
        for i, j in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
            gone = permuting.compose(symmetry, gone, between(i, j))
        assert same(gone, permuting.identity(symmetry))
    assert same(found[0], permuting.identity(symmetry))
    assert not same(found[1], permuting.identity(symmetry))


def test_the_objective_is_the_one_that_is_reported_and_rises(independent):
    symmetry, states = independent
    found = match_together(symmetry, states, generator())
    assert found.before == pytest.approx(summed(symmetry, states, untouched(symmetry, states)), rel=1e-5, abs=1e-4)
    assert found.after == pytest.approx(summed(symmetry, states, found.permutations), rel=1e-5)
    assert found.after > found.before


def test_matched_states_are_not_made_worse(independent):
    symmetry, states = independent
    first = match_together(symmetry, states, generator())
    moved = [permuting.apply(symmetry, *own) for own in zip(first.permutations, states, strict=True)]
    again = match_together(symmetry, moved, generator("again"))
    assert again.before == pytest.approx(first.after, rel=1e-6)
    assert again.after >= again.before


def test_two_networks_end_no_lower_than_by_weight_matching(independent):
    symmetry, states = independent
    for a, b in itertools.combinations(states, 2):
        together = match_together(symmetry, [a, b], generator())
        assert together.after >= match_weights(symmetry, a, b, generator()).after * (1 - 1e-6)


def test_three_networks_end_higher_than_each_matched_to_the_first(independent):
    symmetry, states = independent
    first, *others = states[:3]
    pairwise = [permuting.identity(symmetry)]
    pairwise += [match_weights(symmetry, first, b, generator(), restarts=3).permutation for b in others]
    assert match_together(symmetry, states[:3], generator()).after > summed(symmetry, states[:3], pairwise)


def test_no_pair_of_units_of_one_network_can_be_exchanged_for_a_gain(independent):
    symmetry, states = independent
    found = match_together(symmetry, states[:3], generator())
    for index, (name, group) in itertools.product(range(3), symmetry.groups.items()):
        exchanged = found.permutations[index][name].clone()
        exchanged[[0, group.size - 1]] = exchanged[[group.size - 1, 0]]
        other = list(found.permutations)
        other[index] = other[index] | {name: exchanged}
        assert summed(symmetry, states[:3], other) <= found.after + 1e-3


def test_more_restarts_are_never_worse(independent):
    symmetry, states = independent
    after = [match_together(symmetry, states, generator(), restarts).after for restarts in (1, 2, 4)]
    assert after == sorted(after)
    assert after[0] < after[-1], "no restart helped: the test is empty"


def test_the_same_generator_gives_the_same_permutations(independent):
    symmetry, states = independent
    first, again = (match_together(symmetry, states, generator(), restarts=3) for _ in range(2))
    assert all(same(*both) for both in zip(first.permutations, again.permutations, strict=True))
    assert (first.before, first.after) == (again.before, again.after)


def test_states_are_left_as_they_are(independent):
    symmetry, states = independent
    kept = [{name: tensor.clone() for name, tensor in state.items()} for state in states]
    match_together(symmetry, states, generator())
    assert all(
        torch.equal(tensor, old[name])
        for state, old in zip(states, kept, strict=True)
        for name, tensor in state.items()
    )


def test_networks_that_cannot_be_matched_are_refused(independent):
    symmetry, states = independent
    with pytest.raises(InputError, match=r"^one network has nothing to be matched with: give two or more$"):
        match_together(symmetry, states[:1], generator())
    odd = dict(states[1])
    name = next(name for name in symmetry.layouts if odd[name].dim() > 1)
    for broken, message in (
        ({name: odd[name][:1]}, "not of the permutation's network"),
        ({name: odd[name] * float("nan")}, "not finite"),
    ):
        with pytest.raises(InputError, match=message):
            match_together(symmetry, [states[0], odd | broken, states[2]], generator())


def residual(name, zero):
    """A network of two residual branches, whose weights may be 0, as some start."""

    def forward(m, x):
        x = m.enter(x.flatten(1)).relu()
        x = x + m.one(x)
        return m.head(x + m.two(x))

    layers = {"enter": nn.Linear(192, 8), "one": nn.Linear(8, 8), "two": nn.Linear(8, 8), "head": nn.Linear(8, 5)}
    network = randomise(Function(forward, **layers), name)
    for layer in (network.one, network.two) if zero else ():
        nn.init.zeros_(layer.weight)
    return network


@pytest.mark.parametrize("zeros", [(True, False), (True, True, False), (False, True, False), (True, True)])
def test_weights_may_be_alike_in_some_networks_and_not_in_others(zeros):
    networks = [residual(f"network {index}", zero) for index, zero in enumerate(zeros)]
    symmetry, states = derive(networks[0], tensors(*IMAGES)), [network.state_dict() for network in networks]
    found = match_together(symmetry, states, generator(), restarts=2)
    assert found.before < found.after
    moved = [permuting.apply(symmetry, *own) for own in zip(found.permutations, states, strict=True)]
    names = [f"{layer}.weight" for layer in ("enter", "one", "two", "head")]
    products = ((a[name] * b[name]).sum().item() for a, b in itertools.combinations(moved, 2) for name in names)
    assert found.after == pytest.approx(sum(products), rel=1e-5)
