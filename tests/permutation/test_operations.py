"""Operations that treat units one by one, or all alike, leave all their permutations."""

import operator

import pytest
import torch
import torch.nn.functional as F
from test_symmetry import Function, check, sizes, sound, tensors
from torch import nn

IMAGES = (3, 3, 8, 8)
STEPS = (3, 5, 6)

UNIT_BY_UNIT = {
    "log2": lambda m, h: (h.square() + 1).log2() + (h.square() + 1).log10(),
    "exp2": lambda m, h: torch.exp2(-h.square()),
    "logaddexp": lambda m, h: torch.logaddexp(h, m.b(h)) + torch.logaddexp2(h, h.relu()),
    "unary plus": lambda m, h: +h.relu() + torch.positive(h),
    "cumprod over rows": lambda m, h: h.sigmoid().cumprod(2),
    "logcumsumexp over columns": lambda m, h: torch.logcumsumexp(h, dim=-1),
    "Softmax2d": lambda m, h: nn.Softmax2d()(h) + m.softmax(m.b(h)),
    "UpsamplingNearest2d": lambda m, h: m.nearest(h) + m.bilinear(h),
    "median over pixels": lambda m, h: h - h.flatten(2).median(2, keepdim=True)[0][..., None],
    "median over units": lambda m, h: h - h.median(1, keepdim=True).values,
    "median of all": lambda m, h: h - h.median(),
    "remainders": lambda m, h: torch.remainder(h, 0.7) + h.fmod(0.9) + h % 0.8,
    "angles": lambda m, h: torch.atan2(h, m.b(h)) + torch.hypot(h, m.b(h)) + h.tanh().asin(),
    "masks": lambda m, h: h * ((h > 0) & (m.b(h) > 0) | (h > 1)),
}


@pytest.mark.parametrize("operation", UNIT_BY_UNIT.values(), ids=UNIT_BY_UNIT)
def test_units_of_convolutions_move(operation):
    layers = {"a": nn.Conv2d(3, 6, 3), "b": nn.Conv2d(6, 6, 1), "c": nn.Conv2d(6, 5, 1), "head": nn.Linear(5, 3)}
    layers |= {"softmax": nn.Softmax2d(), "nearest": nn.UpsamplingNearest2d(scale_factor=2)}
    layers |= {"bilinear": nn.UpsamplingBilinear2d(scale_factor=2)}
    network = Function(lambda m, x: m.head(m.c(operation(m, m.a(x))).relu().mean((2, 3))), **layers)
    assert sizes(check(network, tensors(*IMAGES))) == [5, 6]


@pytest.mark.parametrize("turned", [lambda w: w.T, lambda w: w.mT, lambda w: w.t(), lambda w: w[None].mT[0]])
def test_a_matrix_may_be_turned(turned):
    layers = {"a": nn.Parameter(torch.zeros(6, 12)), "b": nn.Parameter(torch.zeros(6, 12)), "head": nn.Linear(6, 3)}
    network = Function(lambda m, x: m.head((x @ turned(m.a)).relu() @ m.b @ turned(m.a)), **layers)
    assert 6 in sizes(check(network, tensors(3, 12)))


def masked_scores(mask):
    def forward(m, x):
        q, k, v = (part.view(*x.shape[:2], 3, 4).transpose(1, 2) for part in m.qkv(x).chunk(3, -1))
        weights = mask(q @ k.transpose(-2, -1))
        return m.head((weights @ v).transpose(1, 2).flatten(2).mean(1))

    layers = {"qkv": nn.Linear(6, 36), "head": nn.Linear(12, 3)}
    return check(Function(forward, **layers), tensors(*STEPS))


@pytest.mark.parametrize("mask", [torch.tril, lambda s: s.triu(-1), lambda s: torch.triu(s, diagonal=1)])
def test_heads_move_where_scores_become_a_triangle(mask):
    assert sizes(masked_scores(mask)) == [3, 4, 4]


ORDERED = {
    "a triangle of units": lambda h: torch.tril(h.view(-1, 2, 4)).flatten(1),
    "cumprod of units": lambda h: h.cumprod(1),
    "where the median is": lambda h: h * h.median(1, keepdim=True)[1],
    "softmax over units as images": lambda h: F.interpolate(h[:, None], size=8)[:, 0],
    "operator": lambda h: operator.mod(h, torch.arange(1.0, 9.0, dtype=h.dtype)),
}


@pytest.mark.parametrize("operation", ORDERED.values(), ids=ORDERED)
def test_what_goes_by_the_order_of_units_is_right(operation):
    network = Function(lambda m, x: m.head(operation(m.a(x))), a=nn.Linear(12, 8), head=nn.Linear(8, 3))
    assert sound(network, tensors(3, 12)) is None
