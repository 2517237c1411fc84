"""Activation matching: units that fire alike are found, however the images come."""

import copy

import pytest
import torch
from test_permuting import grouped, same
from test_symmetry import Multihead, narrow, own, randomise, tensors

from hidden_structure.frame.errors import InputError
from hidden_structure.permutation import permuting
from hidden_structure.permutation.activation_matching import PairedMoments, match_activations, paired_moments
from hidden_structure.permutation.symmetry import derive
from hidden_structure.seeding import torch_generator

SCORES = ["products", "correlations"]
NETWORKS = {
    "mlp": lambda: own("mlp", 3, 12, "batch"),
    "mlp, layer norm": lambda: own("mlp", 2, 12, "layer"),
    "resnet": lambda: own("resnet", 20, 4, "batch"),
    "resnet, groups": lambda: own("resnet", 8, 4, "group"),
    "vgg": lambda: own("vgg", 11, 4, "none"),
    "densenet": lambda: narrow("densenet"),
    "vit": lambda: narrow("vit"),
    "attention": lambda: Multihead(batch_first=True),
    "attention, sequence first": lambda: Multihead(kdim=4, vdim=5),
    "grouped convolution": lambda: grouped("grouped convolution"),
}


def images_for(name, count=48):
    return tensors(count, 3, 32, 32) if name in ("densenet", "vit") else tensors(count, 3, 8, 8)


def with_state(network, state):
    other = copy.deepcopy(network)
    other.load_state_dict(state)
    return other


def matched(symmetry, a, b, batches, score):
    return match_activations(symmetry, paired_moments(symmetry, a, b, batches), score)


def independent(name="resnet"):
    return [randomise(NETWORKS[name](), letter) for letter in "ab"]


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_planted_permutation_is_found(name, score):
    """Up to units that never fire or fire alike, which leave nothing to find: the activations' score is that of A."""
    network, images = randomise(NETWORKS[name]()), images_for(name)
    symmetry = derive(network, images[:2])
    planted = permuting.draw(symmetry, torch_generator("planted"))
    other = with_state(network, permuting.apply(symmetry, planted, network.state_dict()))
    found = matched(symmetry, network, other, [images], score)
    itself = matched(symmetry, network, network, [images], score)
    assert found.after == pytest.approx(itself.before, rel=1e-5)
    assert found.before < found.after
    if score == "correlations":
        right = permuting.invert(symmetry, planted)
        silent = units_that_do_not_vary(symmetry, network, images)
        for group, entries in found.permutation.items():
            wrong = (entries != right[group]).sum().item()
            assert wrong <= silent.get(group, 0), group


@pytest.mark.parametrize("score", SCORES)
def test_networks_that_work_in_place_each_get_the_images_as_they_are(score):
    class InPlace(torch.nn.Module):
        def __init__(self, network, in_place):
            super().__init__()
            self.network, self.in_place = network, in_place

        def forward(self, images):
            images = images.mul_(0.5).sub_(1) if self.in_place else images.mul(0.5).sub(1)
            return self.network(images)

    images, found = images_for("mlp"), []
    before = images.clone()
    for in_place in (True, False):
        networks = [InPlace(network, in_place) for network in independent("mlp")]
        symmetry = derive(networks[0], images[:2].clone())
        found.append(matched(symmetry, *networks, [images], score))
    assert torch.equal(images, before)
    assert found[0].before == found[1].before
    assert all(torch.equal(entries, found[1].permutation[group]) for group, entries in found[0].permutation.items())


def units_that_do_not_vary(symmetry, network, images):
    """How many of each group: their score with themselves is not 1 in every reading."""
    from hidden_structure.permutation.activation_matching import Reader

    found: dict[str, int] = {}
    with torch.no_grad():
        values = Reader(network, symmetry).read(images, symmetry.readings)
    for reading, activations in values.items():
        constant = (activations.flatten(0, -2).std(0) < 1e-5).sum().item()
        for segment in reading.layout:
            for factor in segment:
                if factor.group:
                    found[factor.group] = found.get(factor.group, 0) + constant
    return found


@pytest.mark.parametrize("score", SCORES)
def test_nearly_equal_networks_are_matched(score):
    network, images = randomise(NETWORKS["mlp, layer norm"]()), images_for("mlp", 200)
    symmetry, noise = derive(network, images[:2]), torch_generator("noise")
    state = network.state_dict()
    near = {key: t + 0.01 * t.std() * torch.randn(t.shape, generator=noise, dtype=t.dtype) for key, t in state.items()}
    planted = permuting.draw(symmetry, torch_generator("planted"))
    other = with_state(network, permuting.apply(symmetry, planted, near))
    found = matched(symmetry, network, other, [images], score)
    if score == "correlations":  # products are largest for large activations, and need not pair equals
        assert same(found.permutation, permuting.invert(symmetry, planted))
    assert found.after > found.before


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("name", ["resnet", "vit"])
def test_batches_do_not_matter(name, score):
    networks, images = independent(name), images_for(name, 24)
    symmetry = derive(networks[0], images[:2])
    whole = matched(symmetry, *networks, [images], score)
    parts = matched(symmetry, *networks, images.split([1, 10, 2, 11]), score)
    assert same(whole.permutation, parts.permutation)
    assert (whole.before, whole.after) == pytest.approx((parts.before, parts.after), rel=1e-4)


@pytest.mark.parametrize("score", SCORES)
def test_the_objective_never_falls_and_is_that_of_the_result(score):
    networks, images = independent(), images_for("resnet", 24)
    symmetry = derive(networks[0], images[:2])
    found = matched(symmetry, *networks, [images], score)
    assert found.after > found.before
    permuted = with_state(networks[1], permuting.apply(symmetry, found.permutation, networks[1].state_dict()))
    again = matched(symmetry, networks[0], permuted, [images], score)
    assert again.before == pytest.approx(found.after, rel=1e-4)
    assert again.after == pytest.approx(found.after, rel=1e-4), "one pass finds the optimum of every group"


@pytest.mark.parametrize("score", SCORES)
def test_products_and_correlations_are_those_of_their_definition(score):
    networks, images = independent("mlp, layer norm"), images_for("mlp", 50)
    symmetry = derive(networks[0], images[:2])
    found = matched(symmetry, *networks, images.split(20), score)
    before = after = 0.0
    for depth, group in zip((3, 6), symmetry.groups, strict=True):
        with torch.no_grad():
            a, b = (network.hidden[:depth](images.flatten(1)) for network in networks)
        if score == "correlations":
            table = torch.corrcoef(torch.cat([a, b], 1).T).nan_to_num()[: a.shape[1], a.shape[1] :]
        else:
            table = a.T @ b / len(images)
        before += table.diagonal().sum().item()
        after += table[torch.arange(len(table)), found.permutation[group]].sum().item()
    assert (found.before, found.after) == pytest.approx((before, after), rel=1e-4)


@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("size", [1, 7, 500, 20_000])
def test_correlations_are_exact_however_the_samples_come(offset, size):
    """And however far the activations are from 0, which costs plain float32 sums all their digits."""
    a, b = (values + offset for values in torch.randn(2, 20_000, 24, generator=torch_generator("units")))
    b[:, :12] += a[:, :12]
    moments = PairedMoments(24)
    for both in zip(a.split(size), b.split(size), strict=True):
        moments.add(*both)
    centred = [values.double() - values.double().mean(0) for values in (a, b)]
    covariance = centred[0].T @ centred[1]
    expected = covariance / torch.outer(*(values.norm(dim=0) for values in centred))
    torch.testing.assert_close(moments.scores(True), expected, rtol=0, atol=1e-5)
    products = a.double().T @ b.double() / len(a)
    torch.testing.assert_close(moments.scores(False), products, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(moments.scores(True), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("score", SCORES)
def test_dead_units_are_harmless(score):
    networks = independent("mlp")
    symmetry, images = derive(networks[0], images_for("mlp")[:2]), images_for("mlp")
    with torch.no_grad():
        for network in networks:
            network.hidden.norm2.weight[:4], network.hidden.norm2.bias[:4] = 0, -1  # zero after the ReLU
            network.hidden.norm3.weight[5], network.hidden.norm3.bias[5] = 0, 1  # always the same
    found = matched(symmetry, *networks, [images], score)
    assert torch.isfinite(torch.tensor([found.before, found.after])).all()
    permuting.check(symmetry, found.permutation)
    assert found.after > found.before


def test_what_is_not_finite_or_empty_is_refused():
    networks, images = independent("mlp"), images_for("mlp")
    symmetry = derive(networks[0], images[:2])
    with pytest.raises(InputError, match="no images"):
        matched(symmetry, *networks, [], "products")
    with torch.no_grad():
        networks[1].hidden.linear2.weight[0, 0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        matched(symmetry, *networks, [images], "correlations")


def test_networks_and_modes_are_left_as_they_are():
    networks, images = independent(), images_for("resnet", 8)
    symmetry = derive(networks[0], images[:2])
    networks[0].train()
    before = [{name: tensor.clone() for name, tensor in network.state_dict().items()} for network in networks]
    matched(symmetry, *networks, [images], "products")
    assert [network.training for network in networks] == [True, False]
    assert all(same(network.state_dict(), state) for network, state in zip(networks, before, strict=True))
