"""How much of a network permutations move, and why the rest stays."""

import pytest
import torch
import torch.nn.functional as F
from test_symmetry import Function, lin, randomise, tensors
from torch import nn

from hidden_structure.permutation.activation_matching import match_activations, paired_moments
from hidden_structure.permutation.coverage import kept_in_place, movable_share, summary, unread
from hidden_structure.permutation.permuting import apply, draw
from hidden_structure.permutation.symmetry import derive
from hidden_structure.seeding import torch_generator

IMAGES = (3, 3, 8, 8)


def test_all_of_a_perceptron_but_its_last_bias_can_move():
    network = randomise(Function(lambda m, x: m.d(m.c(x.flatten(1)).relu()), c=lin(192, 6), d=lin(6, 4)))
    state = network.state_dict()
    symmetry = derive(network, tensors(*IMAGES))
    total = 192 * 6 + 6 + 6 * 4 + 4
    assert movable_share(symmetry, state) == pytest.approx(1 - 4 / total)
    assert kept_in_place(symmetry, state) == {"the logits": pytest.approx(4 / total)}
    assert unread(symmetry) == []


def test_the_operation_that_keeps_weights_in_place_is_named():
    layers = {"c": lin(192, 6), "e": lin(6, 8), "f": lin(2, 4)}
    network = randomise(Function(lambda m, x: m.f(m.e(m.c(x.flatten(1)).relu())[:, 1::4]), **layers))
    symmetry = derive(network, tensors(*IMAGES))
    assert "e.bias" in symmetry.stays
    assert any("getitem" in reason for reason in symmetry.stays["e.bias"])
    assert "getitem" in summary(symmetry, network.state_dict())


def hand_written(m, x):
    """Attention whose queries and keys only meet each other, and a product with a parameter behind a convolution."""
    x = m.stem(x).flatten(2).transpose(1, 2)
    scores = (m.q(x) @ m.k(x).transpose(1, 2)).softmax(-1)
    return m.head((scores @ m.v(x)).mean(1) @ m.w)


def in_heads(m, x):
    """Attention of two heads, whose queries, keys and values are on another axis than their heads."""
    x = m.stem(x).flatten(2).transpose(1, 2)
    q, k, v = m.qkv(x).reshape(x.shape[0], -1, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
    return m.head(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2).mean(1))


def test_activations_match_heads_and_the_units_inside_each():
    network, other = (
        randomise(Function(in_heads, stem=nn.Conv2d(3, 5, 3), qkv=lin(5, 24), head=lin(8, 3))) for _ in "ab"
    )
    images = tensors(40, 3, 8, 8)
    symmetry = derive(network, images[:2])
    assert [group.parent is not None for group in symmetry.groups.values()].count(True) == 2
    planted = draw(symmetry, torch_generator("planted"))
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    other.load_state_dict(apply(symmetry, planted, state))
    found = match_activations(symmetry, paired_moments(symmetry, network, other, [images]), "products").permutation
    back = apply(symmetry, found, other.state_dict())
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_activations_match_whatever_products_read():
    """Queries and keys too, which only each other read, and what a bare parameter reads: planted ones are all found."""
    network, other = (
        randomise(
            Function(
                hand_written,
                w=nn.Parameter(torch.zeros(6, 7)),
                stem=nn.Conv2d(3, 5, 3),
                **{name: lin(5, width) for name, width in {"q": 4, "k": 4, "v": 6}.items()},
                head=lin(7, 3),
            )
        )
        for _ in range(2)
    )
    images = tensors(40, 3, 8, 8)
    symmetry = derive(network, images[:2])
    assert unread(symmetry) == []
    planted = draw(symmetry, torch_generator("planted"))
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    other.load_state_dict(apply(symmetry, planted, state))
    network.load_state_dict(state)
    found = match_activations(symmetry, paired_moments(symmetry, network, other, [images]), "products").permutation
    back = apply(symmetry, found, other.state_dict())
    assert all(torch.equal(back[name], state[name]) for name in state)
