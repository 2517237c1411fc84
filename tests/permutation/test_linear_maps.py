"""Orthogonal and invertible maps: random ones leave the function as it is, and nothing is mapped that must not be."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from architectures import MAPS_HEADER, NETWORKS, make, maps_row
from test_symmetry import Function, parameter, randomise, tensors
from torch import nn
from torch.func import functional_call

from hidden_structure.frame.errors import InputError
from hidden_structure.permutation import linear_maps, linear_rules
from hidden_structure.permutation.linear_maps import LinearMaps
from hidden_structure.permutation.linear_symmetry import derive_maps
from hidden_structure.seeding import torch_generator

DOCUMENT = Path(__file__).parents[2] / "docs" / "symmetries.md"
WITHOUT = (
    "Swin",
    "Mixer",
    "RNN",
    "GRU",
    "LSTM",
    "ConvNeXt",
    "Mobile",
    "Efficient",
    "DenseNet",
    "Shuffle",
    "RegNet",
    "ResNet",
)
MAPPED = [name for name in NETWORKS if not any(word in name for word in WITHOUT)]


def check(network: nn.Module, images: torch.Tensor, draws: int = 2) -> LinearMaps:
    """Derive the maps of a network with random weights, and let random elements of the group act on it, folded."""
    images = images.double() if images.is_floating_point() else images
    maps = derive_maps(randomise(network), images)
    before, folded = network(images), linear_maps.fold(maps, network.state_dict())
    assert before.std(0).max() > 1e-6 * before.abs().max(), "the output does not depend on the image"
    for index in range(draws):
        moved = linear_maps.apply(maps, linear_maps.draw(maps, torch_generator("maps", index)), folded)
        after = functional_call(network, moved, images, tie_weights=False)
        assert (after - before).abs().max() < 1e-10 * before.abs().max()
    return maps


@pytest.mark.parametrize("name", MAPPED)
def test_the_document_says_what_may_be_mapped(name):
    maps = check(*make(name))
    assert maps_row(name, maps) in DOCUMENT.read_text(encoding="utf-8").splitlines()
    assert maps.kinds.keys().isdisjoint(maps.reasons)
    assert maps.kinds.keys() | maps.reasons.keys() == maps.symmetry.groups.keys()


def test_the_document_lists_the_networks_that_gain():
    _, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(MAPS_HEADER)
    lines = rest.strip().split("\n\n")[0].splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == MAPPED


@pytest.mark.parametrize("name", ["MLP-Mixer", "Swin (torchvision)", "`nn.LSTM`, projected", "ConvNeXt (torchvision)"])
def test_other_networks_stay_at_permutations(name):
    assert not check(*make(name), draws=1).kinds


def stream(middle, **layers: nn.Module) -> nn.Module:
    """Three pixels are embedded in eight units, on which something is done before classes read them."""
    return Function(
        lambda self, x: self.head(middle(self, self.embed(x))),
        embed=nn.Linear(3, 8),
        head=nn.Linear(8, 4),
        **layers,
    )


KINDS = {
    "nothing": (lambda _, x: x, {}, "invertible"),
    "a number times it": (lambda _, x: 2 * x / 3, {}, "invertible"),
    "a block beside it": (lambda self, x: x + self.block(x), {"block": nn.Linear(8, 8)}, "invertible"),
    "its products with itself": (lambda _, x: (x @ x.transpose(1, 2)) @ x, {}, "orthogonal"),
    "RMSNorm": (lambda self, x: self.norm(x), {"norm": nn.RMSNorm(8)}, "orthogonal"),
    "RMSNorm by hand": (lambda self, x: x * (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt(), {}, "orthogonal"),
    "a norm by squares": (lambda self, x: x / (x * x).sum(-1, keepdim=True).sqrt(), {}, "orthogonal"),
    "LayerNorm": (lambda self, x: self.norm(x), {"norm": nn.LayerNorm(8)}, "centred"),
    "LayerNorm without a scale": (lambda _, x: F.layer_norm(x, (8,)) + x, {}, "centred"),
    "a nonlinearity": (lambda _, x: F.relu(x), {}, None),
    "a nonlinearity that does nothing here": (lambda _, x: x.clamp(-1e6, 1e6), {}, None),
    "a number added": (lambda _, x: x + 1, {}, None),
    "squares": (lambda _, x: x.pow(2), {}, None),
    "its mean taken off": (lambda _, x: x - x.mean(-1, keepdim=True), {}, None),
    "softmax": (lambda _, x: x.softmax(-1), {}, None),
    "BatchNorm": (lambda self, x: self.norm(x.transpose(1, 2)).transpose(1, 2), {"norm": nn.BatchNorm1d(8)}, None),
    "a scale that is added to": (lambda self, x: x + self.norm(x), {"norm": nn.RMSNorm(8)}, None),
    "two norms in a row": (
        lambda self, x: self.other(self.norm(x)),
        {"norm": nn.RMSNorm(8), "other": nn.RMSNorm(8)},
        None,
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_reads_units_says_how_they_may_be_mapped(name):
    middle, layers, kind = KINDS[name]
    maps = check(stream(middle, **layers), tensors(3, 5, 3))
    assert maps.kinds.get("embed.weight") == kind
    assert (kind is None) == ("embed.weight" in maps.reasons)


def test_a_weight_read_behind_a_scale_and_without_it_keeps_its_group_at_permutations():
    network = stream(lambda self, x: x, norm=nn.RMSNorm(8))
    network.function = lambda self, x: self.head(self.norm(self.embed(x))) + self.head(self.embed(x))
    maps = check(network, tensors(3, 5, 3))
    assert not maps.kinds
    assert maps.reasons["embed.weight"].startswith("head.weight")


def test_a_wrong_rule_is_found(monkeypatch):
    monkeypatch.setitem(linear_rules.RULES, "relu", linear_rules.same)
    with pytest.raises(InputError, match=r"maps derived for Function are wrong at node relu .* match by permutations"):
        derive_maps(randomise(stream(lambda _, x: F.relu(x))), tensors(3, 5, 3))


def test_a_wrong_fold_is_found(monkeypatch):
    monkeypatch.setattr("hidden_structure.permutation.linear_flow.Flow.readers", lambda self: {"norm.weight": set()})
    with pytest.raises(InputError, match="wrong at the logits, once the scales of norms are folded"):
        derive_maps(randomise(stream(lambda self, x: self.norm(x), norm=nn.RMSNorm(8))), tensors(3, 5, 3))


def test_a_scale_of_zero_is_refused_where_a_shift_stands_beside_it():
    network = randomise(stream(lambda self, x: self.norm(x), norm=nn.LayerNorm(8)))
    maps = derive_maps(network, tensors(3, 5, 3))
    state = dict(network.state_dict()) | {"norm.weight": torch.eye(8, dtype=torch.float64)[0]}
    with pytest.raises(InputError, match=r"norm\.weight holds a scale of 0"):
        linear_maps.fold(maps, state)


def test_composed_elements_do_what_both_do():
    network, example = make("ViT, fused qkv (timm)")
    maps = derive_maps(randomise(network), example)
    folded = linear_maps.fold(maps, network.state_dict())
    first, second = (linear_maps.draw(maps, torch_generator("compose", index)) for index in range(2))
    both = linear_maps.apply(maps, linear_maps.compose(maps, first, second), folded)
    for name, tensor in linear_maps.apply(maps, second, linear_maps.apply(maps, first, folded)).items():
        assert torch.allclose(tensor, both[name], rtol=0, atol=1e-10)


def test_the_nearest_matrix_is_of_its_kind_and_none_is_nearer():
    scores = tensors(6, 6)
    for kind in ("orthogonal", "centred"):
        found = linear_maps.nearest(scores, kind)
        assert torch.allclose(found @ found.T, torch.eye(6, dtype=torch.float64))
        others = [linear_maps.nearest(tensors(6, 6, name=str(index)), kind) for index in range(50)]
        assert all((other * scores).sum() < (found * scores).sum() for other in others)
    assert torch.allclose(found.sum(0), torch.ones(6, dtype=torch.float64))


def test_a_scale_parameter_that_multiplies_by_hand_folds():
    network = stream(lambda self, x: x * (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt() * self.scale)
    network.scale = parameter(8)
    assert check(network, tensors(3, 5, 3)).scales.keys() == {"scale"}
