"""Parameters that share memory without being one: permuting the one would change the other."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing._internal.two_tensor import TwoTensor

from hidden_structure.frame.errors import InputError
from hidden_structure.networks.weights import overlapping
from hidden_structure.permutation.permuting import apply, draw
from hidden_structure.permutation.symmetry import derive
from hidden_structure.seeding import torch_generator


class Layers(nn.Module):
    """Three hidden layers of 6 units, and whatever of them is made to share its memory."""

    def __init__(self, share, read=None):
        super().__init__()
        self.a, self.b, self.c, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.read = read
        share(self)
        self.double()
        share(self)  # casting takes it apart

    def forward(self, x):
        hidden = self.c(self.b(self.a(x).relu()).relu()).relu()
        return self.head(hidden if self.read is None else hidden * self.read(self))


def by_data(m):
    m.c.weight.data = m.b.weight.data


def turned(m):
    m.c.weight.data = m.b.weight.data.t()


def in_part(m):
    flat = torch.randn(8, 6, dtype=m.a.weight.dtype)
    m.b.weight.data, m.c.weight.data = flat[:6], flat[2:]


def in_a_buffer(m):
    m.register_buffer("scales", m.b.bias.data, persistent=False)


def in_an_attribute(m):
    m.scales = m.b.bias.data


def in_a_constant(m):
    m.constants = (m.b.bias.data[:6],)


SHARING = {
    "in an attribute": (in_an_attribute, lambda m: m.scales, r"^b\.bias and scales share memory but are two"),
    "in a constant": (in_a_constant, lambda m: m.constants[0], r"^b\.bias and a constant of its code share memory"),
    "by data": (
        by_data,
        None,
        r"^b\.weight and c\.weight share memory but are two, .*: assign one to the other, c\.weight = b\.weight$",
    ),
    "turned": (turned, None, r"^b\.weight and c\.weight share memory but are two, .*: read b\.weight in place"),
    "in part": (in_part, None, r"^b\.weight and c\.weight share memory but are two"),
    "in a buffer": (in_a_buffer, lambda m: m.scales, r"^b\.bias and scales share memory but are two"),
}


@pytest.mark.parametrize(("share", "read", "reason"), SHARING.values(), ids=SHARING)
def test_parameters_that_share_memory_but_are_two_are_refused(share, read, reason):
    with pytest.raises(InputError, match=reason) as caught:
        derive(Layers(share, read), torch.randn(4, 6, dtype=torch.float64))
    assert "\n" not in str(caught.value)


def one(m):
    m.c.weight = m.b.weight


def beside(m):
    flat = torch.randn(2, 36, dtype=m.a.weight.dtype)
    m.b.weight.data, m.c.weight.data = flat[0].view(6, 6), flat[1].view(6, 6)


def interleaved(m):
    flat = torch.randn(6, 6, 2, dtype=m.a.weight.dtype)
    m.b.weight.data, m.c.weight.data = flat[..., 0], flat[..., 1]


def alike(m):
    """Two that are permuted in the same way: what loading writes twice is the same."""
    m.one = nn.Parameter(torch.randn(6, dtype=m.a.weight.dtype))
    m.two = nn.Parameter(m.one.data)


def tables(m):
    """What stays in place may share its memory: masks of many layers are often one."""
    table = torch.randn(4, 6)
    for layer in (m.a, m.b):
        layer.register_buffer("table", table[:])


def constants(m):
    m.constants = torch.ones(6, dtype=torch.float64).split([2, 4]) * 2


OTHERS = {
    "one": (one, None),
    "beside": (beside, None),
    "interleaved": (interleaved, None),
    "alike": (alike, lambda m: m.one + m.two),
    "tables": (tables, None),
    "constants": (constants, lambda m: m.constants[0].sum() + m.constants[2].sum()),
}


@pytest.mark.parametrize(("share", "read"), OTHERS.values(), ids=OTHERS)
def test_others_are_loaded_permuted_with_the_function_they_had(share, read):
    network, images = Layers(share, read), torch.randn(4, 6, dtype=torch.float64)
    symmetry = derive(network, images)
    before = network(images)
    network.load_state_dict(apply(symmetry, draw(symmetry, torch_generator("draw")), network.state_dict()))
    torch.testing.assert_close(network(images), before)


def test_tensors_without_memory_share_none():
    tensors = {
        **{name: torch.zeros(0) for name in "ab"},
        **{name: torch.zeros(3, device="meta") for name in "cd"},
        **{name: torch.zeros(3).to_sparse() for name in "ef"},
    }
    assert not list(overlapping(tensors))
    assert not list(overlapping({name: TwoTensor(torch.zeros(3), torch.zeros(3)) for name in "ab"}))
    assert list(overlapping({"a": torch.zeros(4), **{name: torch.ones(1).expand(4) for name in "bc"}})) == []


def test_memory_may_be_shared_in_many_ways():
    array = np.zeros(12, dtype=np.float32)
    whole, part = torch.from_numpy(array), torch.from_numpy(array[5:])
    assert list(overlapping({"whole": whole, "part": part})) == [("whole", "part")]
    assert list(overlapping({"part": part, "start": whole[:6], "end": whole[7:]})) == [
        ("part", "start"),
        ("part", "end"),
    ]
    assert not list(overlapping({"start": whole[:6], "end": whole[6:]}))
    assert list(overlapping({"bits": whole.view(torch.int32), "halves": whole.view(torch.int16)}))
    assert not list(overlapping({"even": whole[::2], "odd": whole[1::2]}))
    assert not list(overlapping({"one": whole, "again": whole}))
