"""Cutting by slices is cutting by chunks; what takes entries by where they stand leaves these in place."""

import pytest
import torch
import torch.nn.functional as F
from test_symmetry import Function, check, sizes, sound, tensors
from torch import nn

from hidden_structure.permutation.coverage import unread

FEATURES = (3, 12)
STEPS = (3, 5, 6)


def gated_by(halves):
    def forward(m, x):
        left, right = halves(m.a(x))
        return m.head(left * right.sigmoid())

    return lambda: check(Function(forward, a=nn.Linear(12, 8), head=nn.Linear(4, 3)), tensors(*FEATURES))


GATES = {
    "slices": lambda h: (h[:, :4], h[:, 4:]),
    "slices from the end": lambda h: (h[..., :-4], h[..., -4:]),
    "narrow": lambda h: (h.narrow(1, 0, 4), h.narrow(-1, 4, 4)),
    "a slice and a narrow": lambda h: (h[:, 0:4:1], torch.narrow(h, 1, 4, 4)),
    "slices of a slice": lambda h: (h[:, 0:8][:, :4], h[:, 4:][:, :4]),
}


@pytest.mark.parametrize("halves", GATES.values(), ids=GATES)
def test_slices_are_chunks(halves):
    assert sizes(gated_by(halves)()) == sizes(gated_by(lambda h: h.chunk(2, 1))()) == [4]


def sliced_heads(m, x):
    z, shape = m.qkv(x), (*x.shape[:2], 3, 4)
    q, k, v = (part.reshape(shape).transpose(1, 2) for part in (z[..., :12], z[..., 12:24], z[..., 24:]))
    mixed = (q @ k.transpose(-2, -1)).softmax(-1) @ v
    return m.head(m.out(mixed.transpose(1, 2).flatten(2)).mean(1))


def test_fused_projections_may_be_sliced():
    layers = {"qkv": nn.Linear(6, 36), "out": nn.Linear(12, 7), "head": nn.Linear(7, 3)}
    assert sizes(check(Function(sliced_heads, **layers), tensors(*STEPS))) == [3, 4, 4, 7]


def fused_weight(m, x):
    q, k, v = (F.linear(x, m.w[start : start + 4], m.b[start : start + 4]) for start in (0, 4, 8))
    return m.head(((q @ k.transpose(-2, -1)).softmax(-1) @ v).mean(1))


def test_a_fused_weight_may_be_sliced():
    layers = {"w": nn.Parameter(torch.zeros(12, 6)), "b": nn.Parameter(torch.zeros(12)), "head": nn.Linear(4, 3)}
    assert sizes(check(Function(fused_weight, **layers), tensors(*STEPS))) == [4, 4]


def lstm(m, x):
    h = c = x.new_zeros(x.shape[0], 5)
    for step in range(x.shape[1]):
        gates = m.read(x[:, step]) + m.recur(h)
        i, f, g, o = gates[:, :5], gates[:, 5:10], gates[:, 10:15], gates[:, 15:]
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
    return m.head(h)


def test_a_hand_written_lstm_may_slice_its_gates():
    layers = {"read": nn.Linear(6, 20), "recur": nn.Linear(5, 20), "head": nn.Linear(5, 3)}
    assert sizes(check(Function(lstm, **layers), tensors(*STEPS))) == [5]


def half_kept(m, x):
    hidden = m.a(x)
    return m.head(torch.cat([hidden[:, :3], m.b(hidden[:, 3:]).relu()], 1))


def test_parts_may_be_of_any_size():
    layers = {"a": nn.Linear(12, 8), "b": nn.Linear(5, 6), "head": nn.Linear(9, 3)}
    assert sizes(check(Function(half_kept, **layers), tensors(*FEATURES))) == [3, 5, 6]


def test_what_no_slice_takes_is_no_group():
    layers = {"a": nn.Linear(12, 9), "head": nn.Linear(4, 3)}
    network = Function(lambda m, x: (lambda h: m.head(h[:, 1:3] @ m.w + h[:, 4:8]))(m.a(x)), **layers)
    network.w = nn.Parameter(torch.zeros(2, 4))
    symmetry = check(network, tensors(*FEATURES))
    assert sizes(symmetry) == [2, 4]
    assert not unread(symmetry)


def shifted(m, x):
    hidden = m.a(x)
    return m.head(hidden[:, 1:] - hidden[:, :-1])


def overlapping(m, x):
    hidden = m.a(x)
    return m.head(hidden[:, :5] * hidden[:, 3:])


def one_by_all(m, x):
    return m.head(m.a(x)[:, :1] * m.a(x))


def positions(m, x):
    return m.head((m.a(x) + m.table[:, : x.shape[1]]).relu().mean(1))


def flattened(m, x):
    """A cut through a product of places and units."""
    hidden = m.a(x).flatten(1)
    return m.head(hidden[:, :15] * hidden[:, 20:])


ORDERED = {
    "neighbours": (shifted, FEATURES, {"a": nn.Linear(12, 8), "head": nn.Linear(7, 3)}),
    "parts that overlap": (overlapping, FEATURES, {"a": nn.Linear(12, 8), "head": nn.Linear(5, 3)}),
    "steps": (lambda m, x: m.head(m.a(x)[:, ::2]), FEATURES, {"a": nn.Linear(12, 8), "head": nn.Linear(4, 3)}),
    "one by all": (one_by_all, FEATURES, {"a": nn.Linear(12, 8), "head": nn.Linear(8, 3)}),
    "through a product": (flattened, STEPS, {"a": nn.Linear(6, 7), "head": nn.Linear(15, 3)}),
}


@pytest.mark.parametrize(("forward", "shape", "layers"), ORDERED.values(), ids=ORDERED)
def test_what_depends_on_the_order_is_right(forward, shape, layers):
    assert sound(Function(forward, **layers), tensors(*shape)) is None


def test_rows_of_a_table_that_are_not_read_are_no_group():
    layers = {"a": nn.Linear(6, 7), "head": nn.Linear(7, 3), "table": nn.Parameter(torch.zeros(1, 9, 7))}
    assert sizes(check(Function(positions, **layers), tensors(*STEPS))) == [7]


def last_by(way):
    def forward(m, x):
        hidden = m.b(m.a(x).relu())
        return m.head(way(hidden, (x[..., 0] > 0).sum(1).clamp(max=4)))

    return lambda: check(Function(forward, a=nn.Linear(6, 7), b=nn.Linear(7, 8), head=nn.Linear(8, 3)), tensors(*STEPS))


LAST = {
    "pairs of indices": lambda h, last: h[torch.arange(h.shape[0]), last],
    "gather": lambda h, last: h.gather(1, last[:, None, None].expand(-1, 1, 8)).squeeze(1),
    "index_select": lambda h, last: h.index_select(1, torch.tensor([0, 3, 3])).mean(1),
    "index_select, named": lambda h, last: torch.index_select(h, dim=1, index=torch.tensor([2])).squeeze(1),
    "a step": lambda h, last: h[:, -1],
}


@pytest.mark.parametrize("way", LAST.values(), ids=LAST)
def test_units_move_where_one_step_is_taken(way):
    assert sizes(last_by(way)()) == [7, 8]


LISTS = {
    "a list of channels": lambda x: x[:, [2, 1, 0]],
    "lists of places": lambda x: x[:, :, [0, 2, 4], [1, 1, 5]][..., None],
    "a mask of places": lambda x: x[:, :, torch.arange(64).view(8, 8) % 3 == 0][..., None],
    "a list and a slice": lambda x: x[:, :, [1, 2], :5],
    "lists apart": lambda x: x[:, [2, 1, 0], :, [3, 1, 2]][:, :, :, None],
}


@pytest.mark.parametrize("way", LISTS.values(), ids=LISTS)
def test_images_may_be_indexed_in_any_way(way):
    network = Function(
        lambda m, x: m.head(m.a(way(x).flatten(2).mean(2)).relu()), a=nn.LazyLinear(6), head=nn.Linear(6, 3)
    )
    network(tensors(3, 3, 8, 8).float())
    assert sizes(check(network)) == [6]


def test_units_that_are_looked_up_stay():
    def by_indices(m, x):
        return m.head(m.a(x)[:, torch.tensor([3, 1])] + m.a(x).index_select(1, torch.tensor([0, 1])))

    layers = {"a": nn.Linear(12, 8), "head": nn.Linear(2, 3)}
    symmetry = check(Function(by_indices, **layers, b=nn.Linear(2, 2)), tensors(*FEATURES))
    assert not symmetry.groups
