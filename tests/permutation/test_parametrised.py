"""Weights that a layer computes from others: weight norm's units move, others stay and say so."""

import warnings

import pytest
import torch
from test_symmetry import Function, check, randomise, sizes, tensors
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from hidden_structure.frame.errors import InputError
from hidden_structure.permutation.coverage import kept_in_place, movable_share, summary
from hidden_structure.permutation.linear_symmetry import derive_maps
from hidden_structure.permutation.symmetry import derive

NORMS = {"parametrised": parametrizations.weight_norm, "hook": weight_norm}


@pytest.fixture(params=NORMS)
def normed(request):
    def made(*arguments, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # deprecated, and in use
            return NORMS[request.param](*arguments, **options)

    return made


def perceptron(first, second):
    return Function(lambda m, x: m.second(m.first(x.flatten(1)).relu()), first=first, second=second)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_moves_with_its_units(normed, dim):
    network = perceptron(normed(nn.Linear(192, 6), dim=dim), normed(nn.Linear(6, 4), dim=dim))
    symmetry = check(network)
    assert sizes(symmetry) == [6]
    assert len(symmetry.layouts) == 3 + (2 if dim is not None else 0) - (dim == 0) - (dim == 1)
    assert movable_share(symmetry, network.state_dict()) > (
        0.98 if dim != 1 else 0.85
    )  # whose lengths are those of pixels


def test_weight_norm_of_convolutions_in_groups(normed):
    layers = {"a": nn.Conv2d(3, 12, 1), "b": nn.Conv2d(12, 12, 3, groups=3), "c": nn.Conv2d(12, 5, 1)}
    plain = check(Function(lambda m, x: m.d(m.c(m.b(m.a(x))).relu().mean((2, 3))), **layers, d=nn.Linear(5, 3)))
    layers = {name: normed(layer) for name, layer in layers.items()}
    found = check(Function(lambda m, x: m.d(m.c(m.b(m.a(x))).relu().mean((2, 3))), **layers, d=nn.Linear(5, 3)))
    assert sizes(found) == sizes(plain)


def test_weight_norm_of_transposed_convolutions(normed):
    layers = {"a": normed(nn.Conv2d(3, 6, 1)), "b": normed(nn.ConvTranspose2d(6, 4, 2), dim=1), "c": nn.Linear(4, 3)}
    assert sizes(check(Function(lambda m, x: m.c(m.b(m.a(x).relu()).relu().mean((2, 3))), **layers))) == [4, 6]


def test_weight_norm_that_the_networks_own_code_reads():
    layers = {"first": parametrizations.weight_norm(nn.Linear(192, 6)), "second": nn.Linear(6, 4)}
    network = Function(lambda m, x: m.second((x.flatten(1) @ m.first.weight.T).relu()), **layers)
    assert sizes(check(network)) == [6]
    layers = {"first": parametrizations.orthogonal(nn.Linear(192, 6)), "second": nn.Linear(6, 4)}
    symmetry = derive(Function(network.function, **layers), torch.randn(3, 3, 8, 8))
    assert not symmetry.groups
    assert symmetry.stays["first.parametrizations.weight.original"] == ("the parametrisation of first.weight",)


@pytest.mark.parametrize("part", ["in_proj_weight", "out_proj"])
def test_weight_norm_of_attention(part):
    layer = nn.MultiheadAttention(12, 3, batch_first=True)
    parametrizations.weight_norm(*([layer, part] if part == "in_proj_weight" else [layer.out_proj]))
    layers = {"a": nn.Linear(6, 12), "layer": layer, "head": nn.Linear(12, 3)}
    network = Function(lambda m, x: m.head(m.layer(*[m.a(x)] * 3)[0].mean(1)), **layers)
    assert sizes(check(network, tensors(3, 5, 6))) == [3, 4, 4, 12, 12]


def test_a_layer_that_is_not_understood_is_refused_by_its_name():
    layers = {"first": nn.Linear(192, 6), "second": parametrizations.weight_norm(nn.Bilinear(6, 6, 4))}
    network = Function(lambda m, x: m.second(m.first(x.flatten(1)), m.first(x.flatten(1))), **layers)
    with pytest.raises(
        InputError, match=r"^the permutation symmetries of node second \(ParametrizedBilinear, in second"
    ):
        derive(network, torch.randn(3, 3, 8, 8))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_a_recurrent_layer_stays_right(normed, kind):
    layers = {"layer": normed(kind(3, 5, batch_first=True), "weight_hh_l0"), "head": nn.Linear(5, 3)}
    network = Function(lambda m, x: m.head(m.layer(x.flatten(2).transpose(1, 2))[0][:, -1]), **layers)
    derive(randomise(network), tensors(3, 3, 2, 2))


def test_matrices_leave_weight_norm_at_permutations(normed):
    for layers in (
        (nn.Linear(192, 6, bias=False), normed(nn.Linear(6, 4))),
        (normed(nn.Linear(192, 6)), nn.Linear(6, 4)),
    ):
        first, second = layers
        network = Function(lambda m, x: m.second(m.first(x.flatten(1))), first=first, second=second)
        maps = derive_maps(randomise(network), tensors(3, 3, 8, 8))
        assert sizes(maps.symmetry) == [6]
        assert not maps.kinds


OTHERS = {
    "spectral": parametrizations.spectral_norm,
    "spectral, hook": spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "pruned": lambda layer: prune.random_unstructured(layer, "weight", 0.5),
    "pruned twice": lambda layer: prune.l1_unstructured(prune.random_unstructured(layer, "weight", 0.5), "weight", 0.5),
    "normed twice": lambda layer: parametrizations.spectral_norm(parametrizations.weight_norm(layer)),
}


@pytest.mark.parametrize("how", OTHERS.values(), ids=OTHERS)
def test_the_parametrisation_that_keeps_weights_in_place_is_named(how):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        network = perceptron(how(nn.Linear(192, 6)), nn.Linear(6, 4)).eval()
    symmetry = derive(network, torch.randn(3, 3, 8, 8))
    shares = kept_in_place(symmetry, network.state_dict())
    assert not symmetry.groups
    assert next(iter(shares)) == "the parametrisation of first.weight"
    assert shares["the parametrisation of first.weight"] > 0.9
    assert "by the parametrisation of first.weight" in summary(symmetry, network.state_dict())
