"""Matching beyond permutations: what was planted is found, and never less than permutations reach."""

from copy import deepcopy

import pytest
import torch
from architectures import make
from test_symmetry import randomise
from torch import nn
from torch.func import functional_call

from hidden_structure.frame.errors import InputError
from hidden_structure.permutation import linear_maps
from hidden_structure.permutation.linear_maps import Element
from hidden_structure.permutation.linear_matching import balanced, match_maps
from hidden_structure.permutation.linear_symmetry import derive_maps
from hidden_structure.seeding import torch_generator

NAMES = ["ViT, `nn.RMSNorm`", "ViT of `nn.MultiheadAttention` (torchvision)", "LLaMA, a head of its own", "U-Net"]


@pytest.fixture(scope="module", params=NAMES)
def case(request):
    network, example = make(request.param)
    randomise(network)
    example = example.double() if example.is_floating_point() else example
    return network, example, derive_maps(network, example)


def apart(a, b) -> float:
    """The distance of two states, relative to the first one's size."""
    names = [name for name, tensor in a.items() if tensor.is_floating_point()]
    squares = [sum((x[name] - y * b[name]).square().sum() for name in names) for x, y in ((a, 1), (a, 0))]
    return (squares[0] / squares[1]).sqrt().item()


def test_a_planted_element_is_found_and_permutations_do_not_find_it(case):
    network, _, maps = case
    a = network.state_dict()
    planted = linear_maps.draw(maps, torch_generator("planted"))
    b = linear_maps.apply(maps, planted, linear_maps.fold(maps, a))
    found = match_maps(maps, a, b, torch_generator("match"))
    assert apart(found.a, found.b) < 1e-5
    permuted = Element(found.element.permutation, linear_maps.unmoved(maps).matrices)
    assert max(found.before, found.permuted) < (1 - 1e-4) * found.after
    assert apart(found.a, linear_maps.apply(maps, permuted, balanced(maps, b))) > 0.05


def test_both_networks_keep_their_functions(case):
    network, example, maps = case
    a = dict(network.state_dict())
    b = dict(randomise(deepcopy(network), "other").state_dict())
    found = match_maps(maps, a, b, torch_generator("match"))
    assert found.before <= found.permuted <= found.after
    for before, after in ((a, found.a), (b, found.b)):
        outputs = [functional_call(network, dict(state), example, tie_weights=False) for state in (before, after)]
        assert (outputs[0] - outputs[1]).abs().max() < 1e-9 * outputs[0].abs().max()


def test_balanced_weights_have_the_least_norm_of_their_function(case):
    network, _, maps = case
    state = balanced(maps, network.state_dict())

    def norm(tensors):
        return sum(tensors[name].square().sum() for name in maps.symmetry.layouts if tensors[name].dim() > 1)

    for index in range(5):
        other = linear_maps.apply(maps, linear_maps.draw(maps, torch_generator("balance", index)), state)
        assert norm(state) < norm(other)
        assert torch.isclose(norm(balanced(maps, other)), norm(state), rtol=1e-9)


class Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(nn.Linear(n, 12, dtype=torch.complex64) for n in (192, 12)))
        self.head = nn.Linear(12, 4)

    def forward(self, images):
        return self.head(self.layers(images.flatten(1).to(self.layers[0].weight.dtype)).abs())


def test_complex_weights_are_refused_before_they_lose_a_part():
    network = Complex()
    maps = derive_maps(network, torch.randn(3, 3, 8, 8))
    with pytest.raises(InputError, match="is complex"):
        match_maps(maps, network.state_dict(), network.state_dict(), torch_generator("match"))
