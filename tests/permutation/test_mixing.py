"""What mixes the entries along an axis leaves no permutation of its own to the units inside each of them.

Units (5 in each of 4 heads) may be permuted head by head, until an operation mixes the heads and keeps the units apart.
Every operation of the list does that here.
"""

import operator

import pytest
import torch
import torch.nn.functional as F
from test_symmetry import Function, check, sizes, tensors
from torch import nn
from torchvision.models import swin_transformer

from hidden_structure.permutation import rules

HEADS, UNITS = 4, 5


def units_of_heads(m, x):
    """(b, units, heads)"""
    return m.stem(x.flatten(1)).view(-1, HEADS, UNITS).transpose(1, 2)


def by_class(prefix: str) -> dict[str, type[nn.Module]]:
    return {name.lower(): getattr(nn, name) for name in dir(nn) if name.startswith(prefix)}


MODULES = by_class("")
PADDED = {name for name in rules.POOLINGS if name.endswith(("pad1d", "pad2d", "pad3d"))}


def channels(v, dims: int):
    """Heads as channels: (b x units, heads, 1, ...)."""
    return v.reshape(-1, HEADS, *[1] * dims)


def places(v, dims: int):
    """Heads as the last places: (b, units, ..., heads)."""
    return v.reshape(-1, UNITS, *[1] * (dims - 1), HEADS)


def pooling(name: str):
    dims = int(name[-2])
    if name in PADDED:
        sides = (1, -1, *[0, 0] * (dims - 1))
        arguments = (sides, 0.0) if name.startswith("constant") else (sides,)
        if not name.startswith(("zero", "constant")):  # the others cannot cut
            arguments = ((1, 1, *[0, 0] * (dims - 1)),)
        layer = MODULES[name](*arguments)
    elif name.startswith("adaptive"):
        layer = MODULES[name]((*[1] * (dims - 1), 2) if dims > 1 else 2)
    elif name.startswith("lp"):
        layer = MODULES[name](2, (*[1] * (dims - 1), 2) if dims > 1 else 2)
    else:
        layer = MODULES[name]((*[1] * (dims - 1), 2) if dims > 1 else 2)
    return lambda m, v: m.layer(places(v, dims)), {"layer": layer}


def normed(name: str):
    dims = int(name[-2])
    if name.startswith("instance"):
        return lambda m, v: m.layer(places(v, dims)), {"layer": MODULES[name](UNITS, affine=True)}
    layer = MODULES[name](UNITS)
    return lambda m, v: m.layer(v.transpose(1, 2).reshape(-1, UNITS, *[1] * (dims if dims > 1 else 0))), {
        "layer": layer
    }


def parameter(*shape: int):
    return nn.Parameter(torch.zeros(*shape))


def reduction(name: str):
    if name in ("all", "any"):
        return lambda m, v: v * getattr(v > 0, name)(2, keepdim=True), {}
    return lambda m, v: v - getattr(v, name)(2, keepdim=True), {}


SQUARE = {"w": parameter(HEADS, HEADS)}
EXAMPLES = {
    "softmax": (lambda m, v: v.softmax(2), {}),
    "logsoftmax": (lambda m, v: F.log_softmax(v, 2), {}),
    "softmin": (lambda m, v: m.layer(v), {"layer": nn.Softmin(2)}),
    "softmax2d": (lambda m, v: m.layer(v.transpose(1, 2)[:, :, None]), {"layer": nn.Softmax2d()}),
    "normalize": (lambda m, v: F.normalize(v, dim=2), {}),
    **{name: reduction(name) for name in rules.REDUCTIONS},
    **{
        name: (lambda m, v, name=name: v - getattr(v, name)(2, keepdim=True)[0], {})
        for name in ("max", "min", "median", "nanmedian")
    },
    "varmean": (lambda m, v: v - torch.var_mean(v, 2, keepdim=True)[1], {}),
    "stdmean": (lambda m, v: v / (1 + torch.std_mean(v, 2, keepdim=True)[0]), {}),
    "norm": (lambda m, v: v / (1 + v.norm(dim=2, keepdim=True)), {}),
    "linalgnorm": (lambda m, v: v / (1 + torch.linalg.norm(v, dim=2, keepdim=True)), {}),
    "linalgvectornorm": (lambda m, v: v / (1 + torch.linalg.vector_norm(v, dim=2, keepdim=True)), {}),
    **{name: pooling(name) for name in rules.POOLINGS if name in MODULES},
    "interpolate": (lambda m, v: F.interpolate(v, scale_factor=1), {}),
    "upsample": (lambda m, v: m.layer(v), {"layer": nn.Upsample(scale_factor=2, mode="linear")}),
    **{
        name: (lambda m, v: m.layer(places(v, 2)), {"layer": MODULES[name](scale_factor=(1, 2))})
        for name in ("upsamplingnearest2d", "upsamplingbilinear2d")
    },
    "pad": (lambda m, v: F.pad(v, (1, -1)), {}),
    "linear": (lambda m, v: m.layer(v), {"layer": nn.Linear(HEADS, HEADS)}),
    **{
        name: (
            lambda m, v, dims=int(name[-2]): m.layer(channels(v, dims)).reshape(-1, UNITS, HEADS),
            {"layer": MODULES[name](HEADS, HEADS, 1)},
        )
        for name in rules.CONVOLUTIONS
    },
    **{f"batchnorm{dims}d": normed(f"batchnorm{dims}d") for dims in (1, 2, 3)},
    **{f"instancenorm{dims}d": normed(f"instancenorm{dims}d") for dims in (1, 2, 3)},
    "batchnorm": (
        lambda m, v: F.batch_norm(v.transpose(1, 2).reshape(-1, UNITS), m.running_mean, m.running_var),
        {"running_mean": parameter(UNITS), "running_var": parameter(UNITS)},
    ),
    "instancenorm": (lambda m, v: F.instance_norm(v), {}),
    "groupnorm": (lambda m, v: m.layer(v.transpose(1, 2)), {"layer": nn.GroupNorm(2, HEADS, affine=False)}),
    "layernorm": (lambda m, v: m.layer(v), {"layer": nn.LayerNorm(HEADS, elementwise_affine=False)}),
    "rmsnorm": (lambda m, v: F.rms_norm(v, (HEADS,)), {}),
    "pixelshuffle": (lambda m, v: F.pixel_shuffle(channels(v, 2), 2), {}),
    "pixelunshuffle": (lambda m, v: F.pixel_unshuffle(v.reshape(-1, UNITS, 2, 2), 2), {}),
    "getitem": (lambda m, v: v * v[:, :, 1].unsqueeze(2), {}),
    "unbind": (lambda m, v: v * v.unbind(2)[1].unsqueeze(2), {}),
    "select": (lambda m, v: v * v.select(2, 1).unsqueeze(2), {}),
    "narrow": (lambda m, v: v * v.narrow(2, 1, 1), {}),
    "indexselect": (lambda m, v: v * v.index_select(2, torch.arange(1)), {}),
    "gather": (lambda m, v: v * v.gather(2, torch.ones_like(v[:, :, :1], dtype=torch.int64)), {}),
    "matmul": (lambda m, v: v @ m.w, SQUARE),
    "imatmul": (lambda m, v: operator.imatmul(v.relu(), m.w), SQUARE),
    "bmm": (lambda m, v: torch.bmm(v, v.transpose(1, 2)), {}),
    "mm": (lambda m, v: torch.mm(v.reshape(-1, HEADS), m.w).reshape(-1, UNITS, HEADS), SQUARE),
    "addmm": (lambda m, v: torch.addmm(m.b, v.reshape(-1, HEADS), m.w).reshape(-1, UNITS, HEADS), {
        "b": parameter(HEADS), **SQUARE}),
    "baddbmm": (lambda m, v: torch.baddbmm(m.b, v, v.transpose(1, 2)), {"b": parameter(1, UNITS, UNITS)}),
    "scaleddotproductattention": (lambda m, v: F.scaled_dot_product_attention(v, v, v), {}),
    "einsum": (lambda m, v: torch.einsum("buh,hk->buk", v, m.w), SQUARE),
    "multiheadattention": (
        lambda m, v: m.layer(v, v, v, need_weights=False)[0],
        {"layer": nn.MultiheadAttention(HEADS, 2, batch_first=True)},
    ),
    "roll": (lambda m, v: torch.roll(v, 1, 2), {}),
    "flip": (lambda m, v: torch.flip(v, (2,)), {}),
    "cumsum": (lambda m, v: v.cumsum(2), {}),
    "cumprod": (lambda m, v: v.cumprod(2), {}),
    "logcumsumexp": (lambda m, v: v.logcumsumexp(2), {}),
    **{
        kind: (lambda m, v: m.layer(v)[0], {"layer": MODULES[kind](HEADS, HEADS, batch_first=True)})
        for kind in ("rnn", "gru", "lstm")
    },
    **{
        f"{kind}cell": (lambda m, v: m.layer(v.reshape(-1, HEADS)).reshape(-1, UNITS, HEADS), {
            "layer": MODULES[f"{kind}cell"](HEADS, HEADS)}) for kind in ("rnn", "gru")
    },
    "lstmcell": (lambda m, v: m.layer(v.reshape(-1, HEADS))[0].reshape(-1, UNITS, HEADS), {
        "layer": nn.LSTMCell(HEADS, HEADS)}),
    "shiftedwindowattention": (lambda m, v: m.layer(v.transpose(1, 2)[:, None]), {
        "layer": swin_transformer.ShiftedWindowAttention(UNITS, [1, 2], [0, 1], 1)}),
    "patchmergingpad": (lambda m, v: m.layer(v.transpose(1, 2)[:, None]), {
        "layer": swin_transformer.PatchMerging(UNITS)}),
}  # fmt: skip
UNMADE = {"circularpad1d", "circularpad2d", "circularpad3d", "syncbatchnorm"}  # no CPU, or no padding of one entry
UNMADE |= {"getrelativepositionbias"}  # of a table, not of activations


@pytest.mark.parametrize("name", sorted(rules.MIXING.keys() - UNMADE))
def test_units_have_no_permutation_of_their_own_where_heads_are_mixed(name):
    mix, layers = EXAMPLES[name]

    def forward(m, x):
        v = units_of_heads(m, x)
        y = mix(m, v)
        return m.head(torch.cat([v.relu().flatten(1), y.reshape(-1, m.entries)], 1))

    network = Function(forward, stem=nn.Linear(192, HEADS * UNITS), **layers).double().eval()
    with torch.no_grad():
        entries = mix(network, units_of_heads(network, tensors(3, 3, 8, 8))).numel() // 3
    network.entries, network.head = entries, nn.Linear(HEADS * UNITS + entries, 4)
    symmetry = check(network)
    assert not [group for group in symmetry.groups.values() if group.parent is not None and group.size == UNITS]


def test_without_mixing_they_have_one():
    def forward(m, x):
        return m.head(units_of_heads(m, x).relu().flatten(1))

    layers = {"stem": nn.Linear(192, HEADS * UNITS), "head": nn.Linear(HEADS * UNITS, 4)}
    symmetry = check(Function(forward, **layers))
    assert sizes(symmetry) == [HEADS, UNITS]
    assert any(group.parent is not None for group in symmetry.groups.values())
