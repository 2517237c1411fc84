"""A permutation that is known: which units are elsewhere, and that every matching puts them back."""

from dataclasses import replace

import pytest
import torch
from test_activation_matching import NETWORKS, images_for
from test_symmetry import randomise
from torch import nn

from hidden_structure.connectivity import planted as study
from hidden_structure.frame import params
from hidden_structure.permutation import planted, weight_matching
from hidden_structure.permutation.activation_matching import match_activations, objective, paired_moments
from hidden_structure.permutation.group import crossed
from hidden_structure.permutation.matching import Problem
from hidden_structure.permutation.permuting import draw, identity, invert
from hidden_structure.permutation.symmetry import derive
from hidden_structure.seeding import global_seed, torch_generator
from hidden_structure.training.batches import Images, evaluation_batches

SETTINGS = {"restarts": 1, "samples": 48, "ste": {"epochs": 1, "batch_size": 16, "lr": 1e-3}}


def posed(name, network=None, methods=("weights", "activations", "correlations", "joint", "ste")):
    """A problem of a network and itself, and 48 images."""
    network = (network or randomise(NETWORKS[name]())).float()
    _, channels, size, _ = images_for(name, 2).shape
    pixels = torch.randint(0, 256, (48, size, size, channels), generator=torch_generator("pixels"), dtype=torch.uint8)
    images = Images(pixels, torch.full((channels,), 1 / 64), torch.full((channels,), -2.0))
    with torch.no_grad():
        labels = network.eval()(images.normalise(pixels)).argmax(1)  # its own answers, so that its loss is low
    symmetry = derive(network, next(evaluation_batches(images, 2)))
    settings = params.Permute(methods=list(methods), **SETTINGS)
    return Problem(symmetry, (network, network), images, labels, settings, torch.float32, (name,))


def found_again(problem):
    rows = study.found_again(problem, (problem.images, problem.labels))
    return {row["method"]: row for row in rows}


def count(found):
    return sum(int(units.sum()) for units in found.values())


@pytest.mark.parametrize("name", ["mlp", "resnet", "attention", "grouped convolution"])
def test_every_method_puts_all_units_back(name):
    found = found_again(posed(name))
    assert list(found) == ["none", "weights", "activations", "correlations", "joint"]
    bare = found.pop("none")
    assert bare["units"] > 0
    assert bare["found"] == 0
    for row in found.values():
        assert row["units"] == bare["units"]
        assert row["found"] == 1
        assert row["before"] < row["after"] == pytest.approx(row["known"], rel=1e-5)
        assert row["barrier"] == pytest.approx(0, abs=1e-4)
        assert row["barrier"] < bare["barrier"]


class Mixer(nn.Module):
    """Units of tokens and of channels lie along the same activations."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norms = nn.Conv2d(3, 12, 2, stride=2), nn.ModuleList(nn.LayerNorm(12) for _ in range(3))
        self.tokens = nn.ModuleList(nn.Sequential(nn.Linear(16, 10), nn.ReLU(), nn.Linear(10, 16)) for _ in range(2))
        self.head = nn.Linear(12, 10)

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2)
        for norm, mixed in zip(self.norms, self.tokens, strict=False):
            x = x + mixed(norm(x).transpose(1, 2)).transpose(1, 2)
        return self.head(self.norms[-1](x).mean(1))


class Imaginary(nn.Module):
    """Complex weights of which the real parts tell nothing, all being 0."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(n, 12, bias=False, dtype=torch.complex64) for n in (192, 12))
        self.head = nn.Linear(12, 10)
        with torch.no_grad():
            for layer in self.layers:
                layer.weight.real.zero_()

    def forward(self, images):
        units = self.layers[0](images.flatten(1).to(self.layers[0].weight.dtype))
        return self.head(self.layers[1](units * units.abs()).abs())


def test_complex_units_are_put_back_by_both_of_their_parts():
    with global_seed("initialisation"):
        found = found_again(posed("mlp", Imaginary()))
    del found["none"]
    assert all(row["units"] == 24 and row["found"] == 1 for row in found.values()), found


class Squared(nn.Module):
    """The products of every two of its units."""

    def __init__(self) -> None:
        super().__init__()
        self.units, self.head = nn.Linear(192, 12), nn.Linear(144, 10)

    def forward(self, images):
        units = self.units(images.flatten(1))
        return self.head((units[:, :, None] * units[:, None]).flatten(1))


CROSSED = {
    "mixer": Mixer,
    "groups of norm and of a convolution": lambda: nn.Sequential(
        nn.Conv2d(3, 12, 3), nn.GroupNorm(6, 12), nn.ReLU(), nn.Conv2d(12, 12, 3, groups=2), nn.ReLU(), *pooled_head(12)
    ),
}


def pooled_head(units):
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(units, 10)


@pytest.mark.parametrize("name", CROSSED)
def test_groups_that_lie_across_one_another_are_put_back_and_told_what_they_reach(name):
    problem = posed("mlp", randomise(CROSSED[name]()), methods=("activations", "correlations", "joint"))
    assert crossed(problem.symmetry)
    for row in found_again(problem).values():
        if row["method"] != "none":
            assert row["found"] == 1 if name == "mixer" else row["found"] > 0.9  # steps may end at a local optimum
            assert row["before"] < row["after"] <= row["known"] * (1 + 1e-5)


def test_a_group_may_lie_across_itself():
    """No matching reaches more than the permutation that is known, measured with the units where it puts them."""
    problem = posed("mlp", randomise(Squared()), methods=("correlations",))
    assert crossed(problem.symmetry)
    (row,) = (row for row in found_again(problem).values() if row["method"] != "none")
    assert row["before"] < row["after"] <= row["known"] * (1 + 1e-5)


@pytest.mark.parametrize("name", ["mlp", "resnet", "attention", "grouped convolution", "densenet", "vit"])
def test_in_most_networks_they_do_not(name):
    assert not crossed(posed(name).symmetry)


def test_the_network_is_left_as_it_is():
    problem = posed("mlp")
    before = {name: tensor.clone() for name, tensor in problem.networks[0].state_dict().items()}
    found_again(problem)
    assert all(torch.equal(tensor, before[name]) for name, tensor in problem.networks[0].state_dict().items())


def test_the_order_is_the_name_of_the_problem_s():
    problem = posed("mlp", methods=["weights"])
    assert found_again(problem) == found_again(problem)
    other = found_again(replace(problem, noise=("another",)))
    assert other["weights"]["before"] != found_again(problem)["weights"]["before"]


def test_a_matching_that_finds_nothing_is_told(monkeypatch):
    """In whatever way the methods fail: here each leaves the units where they are."""

    def nothing(problem):
        still = weight_matching.Matched(identity(problem.symmetry), 0.0, 0.0)
        return dict.fromkeys(problem.permute.methods, still)

    monkeypatch.setattr(study, "match", nothing)
    found = found_again(posed("mlp"))
    assert {row["found"] for row in found.values()} == {0.0}
    assert found["weights"]["barrier"] == found["none"]["barrier"]
    assert all(row["known"] > row["after"] for row in found.values() if row["method"] != "none")


def test_where_no_unit_moves_nothing_is_told(monkeypatch):
    monkeypatch.setattr(study, "plant", lambda symmetry, network, generator: (network, identity(symmetry)))
    assert found_again(posed("mlp")) == {}


def test_units_that_are_swapped_are_elsewhere_and_no_others():
    problem = posed("mlp")
    swapped = identity(problem.symmetry)
    (first, *_) = swapped
    swapped[first][[2, 5]] = swapped[first][[5, 2]]
    batches = [problem.images.normalise(problem.images.pixels)]
    found = planted.elsewhere(problem.symmetry, problem.networks[0], batches, swapped)
    assert found[first].nonzero().flatten().tolist() == [2, 5]
    assert count(found) == 2
    back = planted.elsewhere(problem.symmetry, problem.networks[0], batches, swapped, invert(problem.symmetry, swapped))
    assert count(back) == 0


def test_heads_move_the_units_inside_them():
    problem = posed("attention")
    drawn = draw(problem.symmetry, torch_generator("drawn"))
    batches = [problem.images.normalise(problem.images.pixels)]
    heads = {group.parent for group in problem.symmetry.groups.values()} & problem.symmetry.groups.keys()
    assert heads
    for head in heads:
        moved = identity(problem.symmetry) | {head: drawn[head].roll(1) if head in drawn else drawn[head]}
        children = [name for name, group in problem.symmetry.groups.items() if group.parent == head]
        found = planted.elsewhere(problem.symmetry, problem.networks[0], batches, moved)
        assert head not in found, "a head counts by its units"
        stay = (moved[head] == torch.arange(len(moved[head]))).sum().item()
        for child in children:
            size = problem.symmetry.groups[child].size
            assert found[child].sum() == size * (len(moved[head]) - stay)


@pytest.mark.parametrize("kind", ["dead", "twins"])
def test_units_that_compute_the_same_may_stand_in_each_other_s_places(kind):
    network = randomise(NETWORKS["mlp"]())
    with torch.no_grad():
        hidden = network.hidden
        if kind == "dead":
            hidden.norm2.weight[:4], hidden.norm2.bias[:4] = 0, -1  # zero after the ReLU, by whatever weights
        else:
            hidden.linear2.weight[:4] = hidden.linear2.weight[0].clone()
            if hidden.linear2.bias is not None:
                hidden.linear2.bias[:4] = hidden.linear2.bias[0].clone()
            for tensor in (hidden.norm2.weight, hidden.norm2.bias, hidden.norm2.running_mean, hidden.norm2.running_var):
                tensor[:4] = tensor[0].clone()
    problem = posed("mlp", network)
    batches = [problem.images.normalise(problem.images.pixels)]
    swapped = identity(problem.symmetry)
    group = next(name for name in swapped if "2" in name)
    swapped[group][[0, 1, 2, 3, 6, 7]] = swapped[group][[3, 0, 1, 2, 7, 6]]
    found = planted.elsewhere(problem.symmetry, network, batches, swapped)
    assert found[group].nonzero().flatten().tolist() == [6, 7]
    again = found_again(problem)
    assert {row["found"] for method, row in again.items() if method != "none"} == {1.0}
    if kind == "twins":  # units that never fire may fire once they are averaged, where norms stand between
        assert all(row["barrier"] == pytest.approx(0, abs=1e-4) for method, row in again.items() if method != "none")


def test_the_objective_of_activations_is_what_matching_reached():
    problem = posed("resnet")
    network = problem.networks[0]
    other, order = planted.plant(problem.symmetry, network, torch_generator("order"))
    batches = [problem.images.normalise(problem.images.pixels)]
    moments = paired_moments(problem.symmetry, network, other, batches)
    for score in ("products", "correlations"):
        found = match_activations(problem.symmetry, moments, score)
        reached = [
            objective(problem.symmetry, moments, score, of) for of in (found.permutation, identity(problem.symmetry))
        ]
        assert reached == pytest.approx([found.after, found.before], rel=1e-6)
        assert objective(problem.symmetry, moments, score, invert(problem.symmetry, order)) == pytest.approx(
            found.after
        )
