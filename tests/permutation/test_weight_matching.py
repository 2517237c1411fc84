"""Weight matching: what was permuted is found again, and the objective never falls."""

import itertools
import math

import pytest
import torch
from test_permuting import grouped, same
from test_symmetry import IMAGES, Attention, Function, Multihead, Tokens, narrow, own, parameter, randomise, tensors
from torch import nn

from hidden_structure.frame.errors import InputError
from hidden_structure.permutation import permuting
from hidden_structure.permutation.symmetry import derive
from hidden_structure.permutation.weight_matching import match_weights, objective
from hidden_structure.seeding import torch_generator

NETWORKS = {
    "mlp": lambda: own("mlp", 3, 16, "batch"),
    "resnet": lambda: own("resnet", 20, 4, "batch"),
    "resnet, groups": lambda: own("resnet", 8, 8, "group"),
    "vgg": lambda: own("vgg", 11, 4, "none"),
    "vit": lambda: narrow("vit"),
    "densenet": lambda: narrow("densenet"),
    "grouped convolution": lambda: grouped("grouped convolution"),
    "depthwise convolution": lambda: grouped("depthwise convolution with multiplier"),
    "attention": lambda: Multihead(kdim=4, vdim=5),
    "fused attention": lambda: Attention("chunk"),
}


def images_for(name):
    return tensors(2, 3, 32, 32) if name in ("vit", "densenet") else tensors(*IMAGES)


def generator(*names):
    return torch_generator("matching", *names)


def perturbed(state, amount: float, *names):
    noise = torch_generator("noise", *names)
    return {
        name: tensor + amount * tensor.std() * torch.randn(tensor.shape, generator=noise, dtype=tensor.dtype)
        if tensor.is_floating_point() and tensor.numel() > 1
        else tensor
        for name, tensor in state.items()
    }


@pytest.fixture(scope="module")
def independent():
    """The symmetry and the states of three unrelated networks."""
    networks = [randomise(own("resnet", 8, 4, "batch"), f"network {index}") for index in range(3)]
    return derive(networks[0], tensors(*IMAGES)), [network.state_dict() for network in networks]


@pytest.mark.parametrize("amount", [0.0, 0.05])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_planted_permutation_is_found(name, amount):
    network = randomise(NETWORKS[name]())
    symmetry, a = derive(network, images_for(name)), network.state_dict()
    near = perturbed(a, amount)
    planted = permuting.draw(symmetry, torch_generator("planted"))
    b = permuting.apply(symmetry, planted, near)
    found = match_weights(symmetry, a, b, generator(), restarts=5)
    assert same(permuting.apply(symmetry, found.permutation, b), near)
    assert same(found.permutation, permuting.invert(symmetry, planted))
    assert found.before < found.after
    assert found.after == pytest.approx(objective(symmetry, a, near, permuting.identity(symmetry)), rel=1e-6)


def test_a_planted_permutation_of_an_embedding_is_found():
    network = randomise(Tokens(tied=True))
    symmetry = derive(network, torch.randint(9, (4, 6), generator=torch_generator("tokens")))
    a, planted = network.state_dict(), permuting.draw(symmetry, torch_generator("planted"))
    b = permuting.apply(symmetry, planted, a)
    found = match_weights(symmetry, a, b, generator(), restarts=3)
    assert same(permuting.apply(symmetry, found.permutation, b), a)


def test_the_objective_is_the_sum_of_products(independent):
    symmetry, (a, b, _) = independent
    permutation = permuting.draw(symmetry, torch_generator("any"))
    moved = permuting.apply(symmetry, permutation, b)
    expected = sum((a[name] * moved[name]).sum().item() for name in symmetry.layouts if a[name].dim() > 1)
    assert objective(symmetry, a, b, permutation) == pytest.approx(expected, rel=1e-5)


class Tied(nn.Module):
    """Two layers of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again = nn.Linear(12, 6), nn.Linear(6, 6, bias=False)
        self.twice, self.head = nn.Linear(6, 6, bias=False), nn.Linear(6, 4)
        self.twice.weight = self.again.weight

    def forward(self, x):
        return self.head(self.twice(self.again(self.first(x).relu()).relu()).relu())


def test_a_tied_weight_counts_once_whether_its_names_share_memory_or_not():
    networks = [randomise(Tied(), f"tied {index}") for index in range(2)]
    symmetry = derive(networks[0], tensors(3, 12))
    stay = permuting.identity(symmetry)
    own = [[weight for weight in network.parameters() if weight.dim() > 1] for network in networks]
    expected = sum((a * b).sum().item() for a, b in zip(*own, strict=True))
    shared = [network.state_dict() for network in networks]
    apart = [{name: tensor.clone() for name, tensor in state.items()} for state in shared]
    for a, b in (shared, apart):
        assert objective(symmetry, a, b, stay) == pytest.approx(expected, rel=1e-5)


def test_matching_raises_the_objective_that_it_reports(independent):
    symmetry, (a, b, _) = independent
    found = match_weights(symmetry, a, b, generator())
    assert found.before == pytest.approx(objective(symmetry, a, b, permuting.identity(symmetry)), rel=1e-6, abs=1e-6)
    assert found.after == pytest.approx(objective(symmetry, a, b, found.permutation), rel=1e-6)
    assert found.after > found.before


def test_no_group_alone_can_gain_more(independent):
    """A fixed point of coordinate ascent: exchanging any two units of one group does not help."""
    symmetry, (a, b, _) = independent
    found = match_weights(symmetry, a, b, generator(), restarts=2)
    for name, group in symmetry.groups.items():
        for i, j in itertools.combinations(range(min(group.size, 5)), 2):
            exchanged = found.permutation[name].clone()
            exchanged[[i, j]] = exchanged[[j, i]]
            other = objective(symmetry, a, b, found.permutation | {name: exchanged})
            assert other <= found.after + 1e-4


def test_more_restarts_are_never_worse(independent):
    symmetry, (a, b, _) = independent
    after = [match_weights(symmetry, a, b, generator(), restarts).after for restarts in (1, 2, 4, 8)]
    assert after == sorted(after)
    assert after[0] < after[-1], "no restart helped: the test is empty"


def test_the_same_generator_gives_the_same_permutation(independent):
    symmetry, (a, b, _) = independent
    first, again = (match_weights(symmetry, a, b, generator(), restarts=4) for _ in range(2))
    assert same(first.permutation, again.permutation)
    assert (first.before, first.after) == (again.before, again.after)


def test_a_start_is_never_left_for_worse(independent):
    symmetry, (a, b, _) = independent
    best = match_weights(symmetry, a, b, generator(), restarts=8)
    again = match_weights(symmetry, a, b, generator("other"), restarts=1, start=best.permutation)
    assert again.before == pytest.approx(best.after, rel=1e-6)
    assert again.after >= again.before
    random = permuting.draw(symmetry, torch_generator("start"))
    started = match_weights(symmetry, a, b, generator(), start=random)
    assert started.before == pytest.approx(objective(symmetry, a, b, random), rel=1e-6, abs=1e-6)
    assert started.after >= started.before
    assert started.after == pytest.approx(objective(symmetry, a, b, started.permutation), rel=1e-6)


def test_the_networks_are_left_as_they_are(independent):
    symmetry, (a, b, _) = independent
    before = [{name: tensor.clone() for name, tensor in state.items()} for state in (a, b)]
    match_weights(symmetry, a, b, generator(), restarts=2)
    assert same(a, before[0])
    assert same(b, before[1])


@pytest.mark.parametrize("index", range(5))
def test_one_hidden_layer_is_matched_globally(index):
    networks = [randomise(own("mlp", 1, 5, "none"), f"{index} {name}") for name in "ab"]
    symmetry, (a, b) = derive(networks[0], tensors(*IMAGES)), [network.state_dict() for network in networks]
    (name,) = symmetry.groups
    every = [objective(symmetry, a, b, {name: torch.tensor(order)}) for order in itertools.permutations(range(5))]
    found = match_weights(symmetry, a, b, generator())
    assert len(set(every)) > 100
    assert found.after == pytest.approx(max(every), rel=1e-6)


@pytest.mark.parametrize("index", range(5))
def test_one_layer_of_heads_is_matched_globally(index):
    """Two heads of two units: 2 * 2 * 2 pairings, the best of them the best together."""
    layers = [
        nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.GroupNorm(2, 4), nn.ReLU(), nn.Linear(4, 3)) for _ in "ab"
    ]
    networks = [randomise(network, f"{index} {letter}") for network, letter in zip(layers, "ab", strict=True)]
    symmetry, (a, b) = derive(networks[0], tensors(*IMAGES)), [network.state_dict() for network in networks]
    root, child = sorted(symmetry.groups, key=lambda name: symmetry.groups[name].parent is not None)
    orders = [torch.tensor(order) for order in ((0, 1), (1, 0))]
    every = [
        objective(symmetry, a, b, {root: heads, child: torch.stack([one, two])})
        for heads, one, two in itertools.product(orders, repeat=3)
    ]
    found = match_weights(symmetry, a, b, generator())
    assert len(set(every)) == 8
    assert found.after == pytest.approx(max(every), rel=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("name", ["stages.1.0.conv1.weight", "stages.1.0.norm1.bias"])  # what no score reads, too
def test_a_weight_that_is_not_finite_is_refused(independent, value, which, name):
    symmetry, states = independent
    pair = [dict(state) for state in states[:2]]
    tensor = pair[which][name].clone()
    tensor[1] = value
    pair[which][name] = tensor
    with pytest.raises(InputError, match="not finite") as error:
        match_weights(symmetry, *pair, generator())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("other", [("resnet", 8, 8, "batch"), ("resnet", 14, 4, "batch"), ("mlp", 2, 4, "batch")])
def test_networks_of_different_shapes_are_refused(independent, other):
    symmetry, (a, *_) = independent
    b = own(*other).state_dict()
    if other[1] == 14:  # the deeper network holds every weight of the other, and more
        a, b, symmetry = b, a, derive(own(*other), tensors(*IMAGES))
    with pytest.raises(InputError) as error:
        match_weights(symmetry, a, b, generator())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("index", range(5))
def test_how_weights_are_stored_does_not_matter(index):
    """Of (inputs, outputs), multiplied from the right, the same start and the same ascent find the same permutation."""
    sizes = [(192, 12), (12, 12), (12, 12), (12, 4)]
    layers = {f"w{place}": parameter(*size) for place, size in enumerate(sizes)}
    turned = {f"w{place}": parameter(*reversed(size)) for place, size in enumerate(sizes)}

    def forward(m, x):
        return ((x.flatten(1) @ m.w0).relu() @ m.w1).relu() @ m.w2 @ m.w3

    def forward_turned(m, x):
        hidden = nn.functional.linear(x.flatten(1), m.w0).relu()
        return nn.functional.linear(nn.functional.linear(nn.functional.linear(hidden, m.w1).relu(), m.w2), m.w3)

    a, b = (dict(randomise(Function(forward, **layers), f"{name} {index}").state_dict()) for name in "ab")
    a, b = ({name: tensor.clone() for name, tensor in state.items()} for state in (a, b))
    found = []
    for network, states in (
        (Function(forward, **layers), (a, b)),
        (Function(forward_turned, **turned), [{name: w.T.contiguous() for name, w in of.items()} for of in (a, b)]),
    ):
        symmetry = derive(randomise(network), tensors(*IMAGES))
        found.append(match_weights(symmetry, *states, generator()).after)
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_several_ascents_never_end_lower_and_mostly_higher_where_layers_share_their_units():
    reached = []
    for seed in range(4):
        networks = [own("resnet", 20, 8, "batch", seed=(2 * seed + end)) for end in range(2)]
        symmetry, states = derive(networks[0], images_for("resnet")), [network.state_dict() for network in networks]
        reached.append([match_weights(symmetry, *states, generator(seed), restarts).after for restarts in (1, 2)])
    assert all(second >= first for first, second in reached)
    assert sum(second > first for first, second in reached) > 1
    first, second = (sum(values) for values in zip(*reached, strict=True))
    assert second > 1.01 * first
