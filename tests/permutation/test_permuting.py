"""Permutations as a group that acts on state dicts: identity, composition, inverse, and what is no permutation."""

import pytest
import torch
from test_symmetry import IMAGES, KNOWN, Attention, Function, Multihead, narrow, own, randomise, tensors, units
from torch import nn

from hidden_structure.frame.errors import InputError
from hidden_structure.permutation import permuting
from hidden_structure.permutation.permuting import apply, compose, draw, identity, invert
from hidden_structure.permutation.symmetry import derive
from hidden_structure.seeding import torch_generator

NETWORKS = {
    "mlp": lambda: own("mlp", 2, 7, "batch"),
    "resnet": lambda: own("resnet", 8, 4, "group"),
    "vit": lambda: narrow("vit"),
    "densenet": lambda: narrow("densenet"),
    "grouped convolution": lambda: Function(KNOWN["grouped convolution"][0], **KNOWN["grouped convolution"][1]),
    "group norm of as many groups": lambda: grouped("grouped convolution with group norm of as many groups"),
    "a linear layer called twice": lambda: grouped("a linear layer called twice"),
    "fused queries, keys and values": lambda: Attention("reshape"),
    "attention": lambda: Multihead(kdim=4, vdim=5),
}


def grouped(name):
    return Function(KNOWN[name][0], **KNOWN[name][1])


@pytest.fixture(scope="module", params=NETWORKS)
def problem(request):
    network = randomise(NETWORKS[request.param]())
    size = 32 if request.param in ("vit", "densenet") else 8
    return derive(network, tensors(2, 3, size, size)), network.state_dict()


def drawn(symmetry, *names):
    return draw(symmetry, torch_generator("element", *names))


def same(left, right) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_the_identity_changes_nothing(problem):
    symmetry, state = problem
    assert same(apply(symmetry, identity(symmetry), state), state)


def test_the_inverse_undoes(problem):
    symmetry, state = problem
    permutation = drawn(symmetry, 0)
    moved = apply(symmetry, permutation, state)
    assert not same(moved, state)
    assert same(apply(symmetry, invert(symmetry, permutation), moved), state)
    assert same(compose(symmetry, permutation, invert(symmetry, permutation)), identity(symmetry))
    assert same(compose(symmetry, invert(symmetry, permutation), permutation), identity(symmetry))
    assert same(invert(symmetry, invert(symmetry, permutation)), permutation)


def test_composition_applies_the_second_after_the_first(problem):
    symmetry, state = problem
    first, second, third = (drawn(symmetry, index) for index in range(3))
    one_by_one = apply(symmetry, second, apply(symmetry, first, state))
    both = compose(symmetry, first, second)
    assert same(apply(symmetry, both, state), one_by_one)
    assert not same(apply(symmetry, compose(symmetry, second, first), state), one_by_one)
    left = compose(symmetry, both, third)
    assert same(left, compose(symmetry, first, compose(symmetry, second, third)))


def test_composition_with_some_groups_leaves_the_others_in_place(problem):
    symmetry, state = problem
    first, some = drawn(symmetry, 0), drawn(symmetry, 1)
    for name in symmetry.groups:
        part = {name: some[name]}
        found = apply(symmetry, compose(symmetry, first, part), state)
        assert same(found, apply(symmetry, identity(symmetry) | part, apply(symmetry, first, state)))


def test_every_group_has_a_permutation_of_its_size(problem):
    symmetry, _ = problem
    permutation = drawn(symmetry, 0)
    assert permutation.keys() == symmetry.groups.keys()
    assert sum(entries.numel() for entries in permutation.values()) == units(symmetry)
    for name, entries in permutation.items():
        assert entries.dtype == torch.int64
        expected = torch.arange(symmetry.groups[name].size).expand_as(entries)
        assert torch.equal(entries.sort(-1).values, expected)


def test_draws_are_uniform_and_those_of_their_generator():
    symmetry = derive(own("mlp", 1, 3, "none"), tensors(*IMAGES))
    assert same(drawn(symmetry, 0), drawn(symmetry, 0))
    generator = torch_generator("many")
    seen = [tuple(draw(symmetry, generator)["hidden.linear1.weight"].tolist()) for _ in range(600)]
    counts = {order: seen.count(order) for order in set(seen)}
    assert len(counts) == 6
    assert min(counts.values()) > 60, "each of the six orders is expected a hundred times"


def test_nothing_else_is_touched_and_types_are_kept(problem):
    symmetry, state = problem
    types = (torch.float16, torch.float32, torch.bfloat16, torch.float64)
    mixed = {
        name: tensor.to(types[index % 4]) if tensor.is_floating_point() else tensor
        for index, (name, tensor) in enumerate(state.items())
    }
    before = {name: tensor.clone() for name, tensor in mixed.items()}
    moved = apply(symmetry, drawn(symmetry, 0), mixed)
    assert list(moved) == list(mixed)
    for name, tensor in moved.items():
        assert (tensor.dtype, tensor.shape) == (mixed[name].dtype, mixed[name].shape)
        assert name in symmetry.layouts or torch.equal(tensor, mixed[name])
        assert torch.equal(tensor.flatten().sort().values, mixed[name].flatten().sort().values)
    assert same(mixed, before)


@pytest.mark.parametrize("wrong", ["repeated", "negative", "too large", "short", "long", "row missing", "flat"])
def test_a_wrong_permutation_is_refused(problem, wrong):
    symmetry, state = problem
    permutation = drawn(symmetry, 0)
    name = max(symmetry.groups, key=lambda group: symmetry.groups[group].parent is not None)
    entries = permutation[name].clone()
    if wrong in ("repeated", "negative", "too large"):
        found = {"repeated": entries[..., 1], "negative": -1, "too large": entries.shape[-1]}[wrong]
        entries[..., 0] = found
    elif wrong == "short":
        entries = entries[..., entries[0].argsort() if entries.dim() > 1 else entries.argsort()][..., :-1]
    elif wrong == "long":
        entries = torch.cat([entries, torch.full_like(entries[..., :1], entries.shape[-1])], -1)
    elif wrong == "row missing":
        entries = entries[:-1]
    else:
        entries = entries[None]
    with pytest.raises(InputError, match="the permutation is not of this network") as error:
        apply(symmetry, permutation | {name: entries}, state)
    assert "\n" not in str(error.value)


def test_a_permutation_of_other_groups_is_refused(problem):
    symmetry, state = problem
    permutation = drawn(symmetry, 0)
    name = next(iter(permutation))
    without = {key: entries for key, entries in permutation.items() if key != name}
    for wrong in (without, permutation | {"another.weight": permutation[name]}, {}):
        with pytest.raises(InputError, match="its groups differ"):
            apply(symmetry, wrong, state)


@pytest.mark.parametrize("other", [("mlp", 2, 8, "batch"), ("mlp", 2, 3, "batch")])
def test_a_state_of_another_width_is_refused(other):
    symmetry = derive(own("mlp", 2, 7, "batch"), tensors(*IMAGES).float())
    with pytest.raises(InputError, match="shape"):
        apply(symmetry, identity(symmetry), own(*other).state_dict())


@pytest.mark.parametrize("other", [("resnet", 8, 4, "batch"), ("mlp", 1, 7, "batch")])
def test_a_state_of_another_architecture_is_refused(other):
    """Not even one that only lacks some tensors."""
    symmetry = derive(own("mlp", 2, 7, "batch"), tensors(*IMAGES).float())
    with pytest.raises(InputError):
        apply(symmetry, drawn(symmetry, 0), own(*other).state_dict())


def test_a_network_without_hidden_units_has_no_symmetry():
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
    symmetry = derive(network, tensors(*IMAGES))
    assert symmetry.groups == {}
    assert identity(symmetry) == permuting.draw(symmetry, torch_generator("none")) == {}
    assert same(apply(symmetry, {}, network.state_dict()), network.state_dict())
