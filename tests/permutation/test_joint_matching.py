"""Joint matching: weights and activations vote, and where one says nothing the other decides."""

import pytest
import torch
from test_activation_matching import NETWORKS, images_for, independent, with_state
from test_permuting import same
from test_symmetry import randomise

from hidden_structure.frame.errors import InputError
from hidden_structure.permutation import permuting
from hidden_structure.permutation.activation_matching import match_activations, paired_moments, unit_scores
from hidden_structure.permutation.joint_matching import match_jointly
from hidden_structure.permutation.symmetry import derive
from hidden_structure.permutation.weight_matching import match_weights, objective
from hidden_structure.seeding import torch_generator


def problem(name, networks):
    images = images_for(name)
    symmetry = derive(networks[0], images[:2])
    return symmetry, [network.state_dict() for network in networks], paired_moments(symmetry, *networks, [images])


def matched(symmetry, states, moments, restarts=1, share=1.0):
    return match_jointly(symmetry, *states, moments, torch_generator("ascent"), restarts, share)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_planted_permutation_is_found(name):
    network = randomise(NETWORKS[name]())
    symmetry = derive(network, images_for(name)[:2])
    planted = permuting.draw(symmetry, torch_generator("planted"))
    other = with_state(network, permuting.apply(symmetry, planted, network.state_dict()))
    found = matched(*problem(name, [network, other]))
    itself = matched(*problem(name, [network, network]))
    assert itself.after == itself.before
    assert found.after == pytest.approx(itself.after, rel=1e-5)
    assert found.before < found.after
    assert same(found.permutation, permuting.invert(symmetry, planted))


@pytest.mark.parametrize("name", ["mlp", "vgg"])
def test_the_order_of_units_does_not_matter(name):
    """Where layers are aligned one after the other; units that share a residual stream start from where they are."""
    networks = independent(name)
    symmetry, states, moments = problem(name, networks)
    planted = permuting.draw(symmetry, torch_generator("planted"))
    moved = with_state(networks[1], permuting.apply(symmetry, planted, states[1]))
    found = matched(*problem(name, [networks[0], moved])).permutation
    whole = permuting.compose(symmetry, planted, found)
    assert same(whole, matched(symmetry, states, moments).permutation)


@pytest.mark.parametrize("name", ["mlp", "resnet", "attention"])
def test_how_large_all_weights_are_does_not_matter(name):
    symmetry, states, moments = problem(name, independent(name))
    larger = [{key: 4 * value if value.dim() > 1 else value for key, value in state.items()} for state in states]
    found, other = matched(symmetry, states, moments), matched(symmetry, larger, moments)
    assert same(found.permutation, other.permutation)
    assert other.after == pytest.approx(16 * found.after, rel=1e-5)


@pytest.mark.parametrize("name", ["mlp", "resnet", "attention"])
def test_a_vote_that_drowns_the_other_decides(name):
    symmetry, states, moments = problem(name, independent(name))
    by_weights = match_weights(symmetry, *states, torch_generator("ascent"))
    by_correlations = match_activations(symmetry, moments, "correlations")
    silent, loud = (matched(symmetry, states, moments, share=share) for share in (0.0, 1e4))
    assert same(silent.permutation, by_weights.permutation)
    assert silent.after == pytest.approx(by_weights.after)
    reached = (correlations(moments, of.permutation) for of in (loud, by_correlations))
    assert next(reached) == pytest.approx(next(reached), rel=1e-3)


@pytest.mark.parametrize("name", ["mlp", "resnet"])
def test_both_have_a_say(name):
    """More of the weights' objective than correlation matching has, and more correlation than weight matching."""
    symmetry, states, moments = problem(name, independent(name))
    joint = matched(symmetry, states, moments).permutation
    by_weights = match_weights(symmetry, *states, torch_generator("ascent")).permutation
    by_correlations = match_activations(symmetry, moments, "correlations").permutation
    assert objective(symmetry, *states, by_correlations) < objective(symmetry, *states, joint)
    assert correlations(moments, by_weights) < correlations(moments, joint)


def correlations(moments, permutation):
    scores = unit_scores(moments, "correlations")
    own = ((of, permutation[group]) for group, of in scores.items() if permutation[group].dim() == 1)
    return sum(of[torch.arange(len(of)), entries].sum().item() for of, entries in own)


def test_more_restarts_never_end_lower_and_the_same_draws_give_the_same():
    found = problem("resnet", independent("resnet"))
    several = [matched(*found, restarts=3) for _ in range(2)]
    assert several[0].after == several[1].after >= matched(*found).after
    assert same(several[0].permutation, several[1].permutation)


@pytest.mark.parametrize("broken", ["a weight", "an activation"])
def test_what_is_not_finite_is_refused(broken):
    symmetry, states, moments = problem("mlp", independent("mlp"))
    if broken == "a weight":
        name = next(name for name in symmetry.layouts if states[1][name].dim() > 1)
        states[1][name] = torch.full_like(states[1][name], float("nan"))
    else:
        next(iter(moments.values()))[0][2].products.fill_(float("nan"))
    with pytest.raises(InputError, match="not finite"):
        matched(symmetry, states, moments)
