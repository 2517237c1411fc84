"""Derived symmetries: a random element of the group moves the weights and leaves the function as it is.

Each network here is checked by one helper: what is derived is right, or an InputError says why not.
"""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.resnet import BasicBlock, Bottleneck

from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.networks.build import build
from hidden_structure.permutation import permuting
from hidden_structure.permutation.group import Symmetry
from hidden_structure.permutation.symmetry import derive
from hidden_structure.seeding import global_seed, torch_generator

IMAGES = (3, 3, 8, 8)  # what most networks here take: (b, channels, H, W)


def tensors(*shape: int, name: str = "images") -> torch.Tensor:
    return torch.randn(*shape, generator=torch_generator(name), dtype=torch.float64)


@torch.no_grad()
def randomise(network: nn.Module, name: str = "random") -> nn.Module:
    """Every weight, bias, scale and running statistic drawn, so that no two units are alike; float64."""
    generator = torch_generator(name)
    network.double()
    for key, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            tensor.zero_()
        elif key.endswith("running_var"):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif tensor.dim() < 2:
            tensor.normal_(1.0 if "norm" in key or "bn" in key else 0.0, 0.5, generator=generator)
        else:
            bound = (9 / tensor[0].numel()) ** 0.5  # else the signal would die in deep networks
            tensor.uniform_(-bound, bound, generator=generator)
    return network.eval()


@torch.no_grad()
def changed_by(network: nn.Module, symmetry: Symmetry, images: torch.Tensor, permutation: dict) -> float:
    """The largest change of an output, relative to the outputs' size."""
    permuted = permuting.apply(symmetry, permutation, network.state_dict())
    before, after = network(images), functional_call(network, permuted, images, tie_weights=False)
    assert before.isfinite().all()
    assert before.std(0).max() > 1e-6 * before.abs().max(), "the output does not depend on the image"
    return ((after - before).abs().max() / before.abs().max()).item()


def check(network: nn.Module, images: torch.Tensor | None = None, draws: int = 2) -> Symmetry:
    """Derive the symmetries of a network with random weights, and let random elements of the group act on it."""
    images = tensors(*IMAGES) if images is None else images
    images = images.double() if images.is_floating_point() else images
    randomise(network)
    symmetry = derive(network, images)
    state = {name: tensor for name, tensor in network.state_dict().items() if name in symmetry.layouts}
    moved = not state
    for index in range(draws):
        permutation = permuting.draw(symmetry, torch_generator("draw", index))
        assert changed_by(network, symmetry, images, permutation) < 1e-10
        permuted = permuting.apply(symmetry, permutation, state)
        moved |= not all(torch.equal(permuted[name], tensor) for name, tensor in state.items())
    assert moved
    return symmetry


def units(symmetry: Symmetry) -> int:
    """How many entries are permuted, those inside each entry of a parent counted together."""
    return sum(group.size * (permuting.rows(symmetry, name) or 1) for name, group in symmetry.groups.items())


def sizes(symmetry: Symmetry) -> list[int]:
    return sorted(group.size for group in symmetry.groups.values())


class Function(nn.Module):
    """Layers given by name, and a function of them and the input."""

    def __init__(self, forward, **layers) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.function = forward

    def forward(self, x):
        return self.function(self, x)


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(*shape))


# --- the networks of this repository and of torchvision ---

OWN = [("mlp", 2, 7, norm) for norm in ("batch", "layer", "none")] + [
    (name, depth, width, norm)
    for name, depth, width in [("resnet", 8, 4), ("resnet", 20, 4), ("vgg", 11, 4)]
    for norm in ("batch", "layer", "group", "none")
]
# Groups of norm are permuted as wholes and channels inside each, where they have several; else channels, freely.
GROUPS = {("mlp", 2): 2, ("resnet", 8): 6, ("resnet", 20): 12, ("vgg", 11): 8}


def own(name, depth, width, norm, shape=(8, 8, 3), classes=5, seed=0):
    with global_seed("initialisation", seed):
        return build(params.Network(name=name, depth=depth, width=width, norm=norm), shape, classes)


@pytest.mark.parametrize("variant", OWN, ids=str)
def test_own_networks(variant):
    name, depth, width, norm = variant
    symmetry = check(own(*variant))
    roots = [group for group in symmetry.groups.values() if group.parent is None]
    if norm == "group":
        assert {group.size for group in roots} == {4, 8}
        inside = {group.size for group in symmetry.groups.values() if group.parent is not None}
        assert inside == {"resnet": {2}, "vgg": {2, 4}}[name]
        assert len(roots) == GROUPS[name, depth]
    else:
        assert len(symmetry.groups) == len(roots) == GROUPS[name, depth]
        # Blocks and streams of each stage of a residual network have its width.
        per_stage = GROUPS[name, depth] // 3
        expected = {
            "mlp": [width] * depth,
            "resnet": [width] * per_stage + [2 * width] * per_stage + [4 * width] * per_stage,
            "vgg": [width, 2 * width, *[4 * width] * 2, *[8 * width] * 4],
        }
        assert sizes(symmetry) == expected[name]


def narrow(name: str) -> nn.Module:
    tv = torchvision.models
    if name == "vit":
        return tv.VisionTransformer(32, 16, 2, 2, 8, 12, num_classes=4)
    if name == "densenet":
        return tv.DenseNet(growth_rate=4, block_config=(2, 3, 2), num_init_features=6, bn_size=2, num_classes=4)
    if name == "convnext":
        return tv.ConvNeXt([CNBlockConfig(6, 10, 2), CNBlockConfig(10, None, 1)], num_classes=4)
    if name == "resnet":
        return tv.ResNet(BasicBlock, [1, 1, 1, 1], num_classes=4)
    if name == "resnext":
        return tv.ResNet(Bottleneck, [1, 1, 1, 1], num_classes=4, groups=4, width_per_group=4)
    if name == "mobilenet":
        return tv.MobileNetV2(num_classes=4, width_mult=0.3, round_nearest=2)
    if name == "vgg with linear layers":
        layers = [nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(16, 6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 4))
    raise KeyError(name)


NARROW = ["vit", "densenet", "convnext", "resnet", "resnext", "mobilenet", "vgg with linear layers"]


@pytest.mark.parametrize("name", NARROW)
def test_narrow_networks_of_torchvision(name):
    symmetry = check(narrow(name), tensors(2, 3, 32, 32))
    if name == "vit":  # the stream; heads, with queries and values inside; and the hidden layer of each block
        assert sizes(symmetry) == sorted([8] + 2 * [2, 4, 4, 12])
    if name == "densenet":  # stem 6, then each layer's bottleneck and 4 new channels, and two transitions
        assert sizes(symmetry) == sorted([6, *7 * [8, 4], 7, 9])


FULL = {"resnet18": 16, "resnet50": 16, "vgg16_bn": 32, "densenet121": 32, "mobilenet_v2": 16, "convnext_tiny": 32}


@pytest.mark.parametrize(("name", "size"), [*FULL.items(), ("vit_b_16", 16)])
def test_named_networks_of_torchvision(name, size):
    options = {"image_size": size} if name == "vit_b_16" else {}
    with torch.device("meta"):  # `check` draws the weights anyway
        network = torchvision.models.get_model(name, weights=None, num_classes=4, **options)
        if name == "vgg16_bn":  # as deep as it is, with a classifier that takes no seconds
            network.classifier = nn.Sequential(lin(25088, 64), nn.ReLU(), lin(64, 64), nn.ReLU(), lin(64, 4))
    network.to_empty(device="cpu")
    symmetry = check(network, tensors(2, 3, size, size), draws=1)
    expected = {"resnet18": 64 + 128 + 256 + 512 + 2 * (64 + 128 + 256 + 512), "vgg16_bn": 4224 + 2 * 64}
    assert units(symmetry) >= expected.get(name, 1000)


# --- layers one by one: what must be found is the number of permuted units, or the sizes of the groups ---


class Attention(nn.Module):
    """Self-attention written by hand on (b, 3, 8, 8) images as 8 tokens of 24, in several ways."""

    def __init__(self, way: str, width: int = 6, heads: int = 2) -> None:
        super().__init__()
        self.way, self.heads, self.width = way, heads, width
        self.embed = nn.Linear(24, width)
        self.norm = nn.LayerNorm(width)
        if way in ("chunk", "split", "reshape"):
            self.qkv = nn.Linear(width, 3 * width)
        else:
            self.q, self.k, self.v = (nn.Linear(width, width, bias=way != "einsum") for _ in range(3))
        self.out = nn.Linear(width, width)
        self.head = nn.Linear(width, 4)

    def forward(self, x):
        b, n, d = x.shape[0], 8, self.width // self.heads
        x = self.embed(x.transpose(1, 2).reshape(b, n, 24))
        y = self.norm(x)
        if self.way == "reshape":
            q, k, v = self.qkv(y).reshape(b, n, 3, self.heads, d).permute(2, 0, 3, 1, 4).unbind(0)
        elif self.way in ("chunk", "split"):
            q, k, v = self.qkv(y).chunk(3, dim=-1) if self.way == "chunk" else self.qkv(y).split(self.width, -1)
            q, k, v = (part.view(b, n, self.heads, d).transpose(1, 2) for part in (q, k, v))
        else:
            q, k, v = (layer(y).view(b, n, self.heads, d).transpose(1, 2) for layer in (self.q, self.k, self.v))
        if self.way == "einsum":
            weights = torch.einsum("bhnd,bhmd->bhnm", q, k).softmax(-1)
            z = torch.einsum("bhnm,bhmd->bnhd", weights, v).reshape(b, n, self.width)
        elif self.way in ("sdpa", "causal"):
            z = F.scaled_dot_product_attention(q, k, v, is_causal=self.way == "causal")
            z = z.transpose(1, 2).reshape(b, n, self.width)
        else:
            z = (torch.matmul(q, k.transpose(-2, -1)) * d**-0.5).softmax(-1) @ v
            z = z.permute(0, 2, 1, 3).contiguous().view(b, n, self.width)
        return self.head((x + self.out(z)).mean(1))


class Tokens(nn.Module):
    """Integer tokens in, through an embedding that is also the head."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 5)
        self.hidden = nn.Linear(5, 7)
        self.back = nn.Linear(7, 5)
        self.head = nn.Linear(5, 9)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, x):
        x = self.embedding(x.long())
        return self.head((x + self.back(self.hidden(x).relu())).mean(1))


class Multihead(nn.Module):
    """nn.MultiheadAttention between two sequences of several widths."""

    def __init__(self, **options) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(24, 6), nn.Linear(24, options.get("kdim", 6)), nn.Linear(24, 5)
        self.attention = nn.MultiheadAttention(6, 2, **options)
        self.own = "vdim" in options
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        x = x.transpose(1, 2).flatten(2)
        if not self.attention.batch_first:
            x = x.transpose(0, 1)
        a, b = self.a(x).relu(), self.b(x).relu()
        y, _ = self.attention(a, b, self.c(x).relu() if self.own else b)
        return self.head((a + y).mean(1 if self.attention.batch_first else 0))


def flat_linear(in_features: int) -> nn.Linear:
    return nn.Linear(in_features, 4)


def chunked(m, x):
    a, b = m.c(x).chunk(2, 1)
    return m.d((a * b.sigmoid()).flatten(1))


def twice_split(m, x):
    """Cuts that do not meet: those of the copies of x in its concatenation with itself."""
    y = m.c(x)
    a, b, c = torch.cat([y, y], 1).split([3, 7, 6], 1)
    return m.f(torch.cat([m.d(a.mean((2, 3))), m.e(b.mean((2, 3))), c.mean((2, 3))], 1))


conv, lin = nn.Conv2d, nn.Linear


def steps(m, x):
    """A cell, one step after the other, from zeros."""
    x = m.c(x.flatten(2))
    hidden, cells = x.new_zeros(x.shape[0], 5), x.new_zeros(x.shape[0], 5)
    for step in range(x.shape[1]):
        hidden, cells = m.cell(x[:, step], (hidden, cells))
    return m.d(hidden)


def continued(m, x):
    """One recurrent layer from where another one ended, and a head of both its layers' last states."""
    _, hidden = m.first(m.c(x.flatten(2)))
    _, hidden = m.second(x.flatten(2), hidden)
    return m.d(torch.cat([hidden[0], hidden[-1]], 1))


def shared(m, x):
    """Attention of four heads, two of which share each head of keys and values."""
    x = x.flatten(2)
    q = m.q(x).view(-1, 3, 4, 2).transpose(1, 2)
    k, v = (layer(x).view(-1, 3, 2, 2).transpose(1, 2) for layer in (m.k, m.v))
    if m.way == "copies":
        k, v = (part[:, :, None].expand(-1, 2, 2, 3, 2).reshape(-1, 4, 3, 2) for part in (k, v))
        return m.d(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2).mean(1))
    return m.d(F.scaled_dot_product_attention(q, k, v, enable_gqa=True).transpose(1, 2).flatten(2).mean(1))


def unregistered(m, x):
    """Modules without weights that the pass itself makes, and types that are compared."""
    x = m.c(x.flatten(1))
    x = x if x.dtype == m.c.weight.dtype else x.to(m.c.weight.dtype)
    return m.d(nn.Softmax(dim=-1)(nn.ReLU()(x)))


KNOWN = {
    "a recurrent cell in a loop": (steps, {"c": lin(64, 6), "cell": nn.LSTMCell(6, 5), "d": lin(5, 4)}, 6 + 5),
    "a recurrent layer that goes on with the states of another": (
        continued,
        {
            "c": lin(64, 6),
            "first": nn.GRU(6, 5, num_layers=2, batch_first=True),
            "second": nn.GRU(64, 5, num_layers=2, batch_first=True),
            "d": lin(10, 4),
        },
        6 + 5,
    ),
    "images as the steps of one sequence": (
        lambda m, x: m.d(m.r(x.flatten(1))[0]),
        {"r": nn.RNN(192, 5), "d": lin(5, 4)},
        5,
    ),
    "grouped queries by copies": (
        shared,
        {"q": lin(64, 8), "k": lin(64, 4), "v": lin(64, 4), "d": lin(8, 4), "way": "copies"},
        2 + 2 + 4 + 4,
    ),
    "grouped queries": (
        shared,
        {"q": lin(64, 8), "k": lin(64, 4), "v": lin(64, 4), "d": lin(8, 4), "way": "option"},
        2 + 4 + 4 + 4,
    ),
    "tokens in a circle": (
        lambda m, x: m.d((m.c(x.flatten(2)) + torch.roll(m.c(x.flatten(2)), 1, 1)).relu().flatten(1)),
        {"c": lin(64, 5), "d": lin(15, 4)},
        5,
    ),
    "a table of biases": (
        lambda m, x: m.d((m.c(x.flatten(2)) + m.table[m.places]).relu().mean(1)),
        {"c": lin(64, 5), "d": lin(5, 4), "table": parameter(2, 5), "places": torch.tensor([0, 1, 1])},
        5,
    ),
    "unregistered modules": (unregistered, {"c": lin(192, 5), "d": lin(5, 4)}, 5),
    "cast to float32 on the way": (
        lambda m, x: m.d((m.c(x.flatten(1)).to(torch.float32).double() * m.s).relu()),
        {"c": lin(192, 5), "s": parameter(5), "d": lin(5, 4)},
        5,
    ),
    "cast as other tensors are, whose shape plays no part": (
        lambda m, x: m.d(m.c(x.flatten(1)).to(m.s).type_as(x).relu()),
        {"c": lin(192, 5), "s": parameter(7), "d": lin(5, 4)},
        5,
    ),
    # the inputs inside each group have a permutation of their own
    "grouped convolution": (
        lambda m, x: m.d(m.g(m.c(x).relu()).relu().flatten(1)),
        {"c": conv(3, 6, 3), "g": conv(6, 9, 3, groups=3), "d": flat_linear(9 * 16)},
        3 + 6 + 9,
    ),
    "grouped convolutions of different numbers of groups": (
        lambda m, x: m.d(m.h(m.g(m.c(x).relu()).relu()).relu().mean((2, 3))),
        {"c": conv(3, 8, 3), "g": conv(8, 8, 3, groups=2), "h": conv(8, 8, 3, groups=4), "d": flat_linear(8)},
        4,
    ),
    "grouped convolution with group norm of as many groups": (
        lambda m, x: m.d(m.g(m.norm(m.c(x)).relu()).relu().flatten(1)),
        {"c": conv(3, 8, 3), "norm": nn.GroupNorm(2, 8), "g": conv(8, 4, 3, groups=2), "d": flat_linear(64)},
        2 + 8 + 4,
    ),
    # blocks of the norm inside groups of the convolution
    "grouped convolution after a group norm of more groups": (
        lambda m, x: m.d(m.g(m.norm(m.c(x)).relu()).relu().flatten(1)),
        {"c": conv(3, 8, 3), "norm": nn.GroupNorm(4, 8), "g": conv(8, 8, 3, groups=2), "d": flat_linear(128)},
        4,
    ),
    "grouped convolution after a group norm of fewer groups": (
        lambda m, x: m.d(m.g(m.norm(m.c(x)).relu()).relu().flatten(1)),
        {"c": conv(3, 8, 3), "norm": nn.GroupNorm(2, 8), "g": conv(8, 8, 3, groups=4), "d": flat_linear(128)},
        4,
    ),
    "grouped convolution of a concatenation": (
        lambda m, x: m.d(m.g(torch.cat([m.c(x), m.e(x)], 1)).flatten(1)),
        {"c": conv(3, 4, 3), "e": conv(3, 4, 3), "g": conv(8, 8, 3, groups=2), "d": flat_linear(128)},
        4,
    ),
    "depthwise convolution with multiplier": (
        lambda m, x: m.d(m.g(m.c(x).relu()).relu().flatten(1)),
        {"c": conv(3, 5, 3), "g": conv(5, 10, 3, groups=5), "d": flat_linear(160)},
        5 + 10,
    ),
    "shuffled channels": (
        lambda m, x: m.d(m.g(m.c(x)).view(-1, 2, 4, 6, 6).transpose(1, 2).reshape(-1, 8, 6, 6).mean((2, 3))),
        {"c": conv(3, 8, 3), "g": conv(8, 8, 1, groups=2), "d": flat_linear(8)},
        8,
    ),
    "shuffled channels between grouped convolutions": (
        lambda m, x: m.d(m.h(m.g(m.c(x)).view(-1, 2, 4, 6, 6).transpose(1, 2).reshape(-1, 8, 6, 6)).mean((2, 3))),
        {"c": conv(3, 8, 3), "g": conv(8, 8, 1, groups=2), "h": conv(8, 8, 1, groups=2), "d": flat_linear(8)},
        0,
    ),
    "group norm": (
        lambda m, x: m.d(m.norm(m.c(x)).relu().flatten(1)),
        {"c": conv(3, 9, 3), "norm": nn.GroupNorm(3, 9), "d": flat_linear(9 * 36)},
        3 + 9,
    ),
    "concatenation, then flatten": (
        lambda m, x: m.d(torch.cat([m.c(x).relu(), m.e(x).relu(), x[:, :, 1:-1, 1:-1]], 1).flatten(1)),
        {"c": conv(3, 4, 3), "e": conv(3, 5, 3), "d": flat_linear(12 * 36)},
        9,
    ),
    "concatenation of a tensor with itself": (
        lambda m, x: m.d(torch.cat([m.c(x), m.c(x).relu(), m.e(x)], 1).flatten(1)),
        {"c": conv(3, 4, 3), "e": conv(3, 5, 3), "d": flat_linear(13 * 36)},
        9,
    ),
    # axes.sections cuts a node that is cut already
    "cuts that do not meet": (
        twice_split,
        {"c": conv(3, 8, 3), "d": lin(3, 5), "e": lin(7, 5), "f": flat_linear(16)},
        10,
    ),
    "channels last, then flatten": (
        lambda m, x: m.d(m.c(x).relu().permute(0, 2, 3, 1).flatten(1)),
        {"c": conv(3, 5, 3), "d": flat_linear(180)},
        5,
    ),
    "linear layers over channels last": (
        lambda m, x: m.d(m.f(m.e(m.c(x).permute(0, 2, 3, 1)).relu()).permute(0, 3, 1, 2).mean((2, 3))),
        {"c": conv(3, 5, 3), "e": lin(5, 7), "f": lin(7, 5), "d": flat_linear(5)},
        17,
    ),
    "a linear layer called twice": (
        lambda m, x: m.d(m.e(m.e(m.c(x.flatten(1)).relu()).relu())),
        {"c": lin(192, 6), "e": lin(6, 6), "d": flat_linear(6)},
        6,
    ),
    "a weight tied to its transpose": (
        lambda m, x: F.linear(m.e(m.c(x.flatten(1)).relu()).relu(), m.e.weight.t())[:, :3],
        {"c": lin(192, 6), "e": lin(6, 7)},
        7,
    ),
    "residual additions": (
        lambda m, x: m.d((m.c(x) + m.e(m.c(x).relu()) + m.s).relu().flatten(1)),
        {"c": conv(3, 5, 3), "e": conv(5, 5, 3, padding=1), "s": parameter(5, 1, 1), "d": flat_linear(180)},
        5,
    ),
    "squeeze and excite": (
        lambda m, x: m.d((m.c(x) * m.f(m.e(m.c(x).mean((2, 3), keepdim=True)).relu()).sigmoid()).flatten(1)),
        {"c": conv(3, 6, 3), "e": conv(6, 2, 1), "f": conv(2, 6, 1), "d": flat_linear(216)},
        8,
    ),
    "squeeze and excite with linear layers": (
        lambda m, x: m.d((m.c(x) * m.f(m.e(m.c(x).mean([2, 3])).relu()).sigmoid()[:, :, None, None]).flatten(1)),
        {"c": conv(3, 6, 3), "e": lin(6, 2), "f": lin(2, 6), "d": flat_linear(216)},
        8,
    ),
    "a slope for each channel": (
        lambda m, x: m.d(m.a(m.c(x)).flatten(1)),
        {"c": conv(3, 5, 3), "a": nn.PReLU(5), "d": flat_linear(180)},
        5,
    ),
    "one slope": (lambda m, x: m.d(m.a(m.c(x.flatten(1)))), {"c": lin(192, 5), "a": nn.PReLU(), "d": lin(5, 4)}, 5),
    "layer norm over channels and pixels": (
        lambda m, x: m.d(m.norm(m.c(x)).relu().flatten(1)),
        {"c": conv(3, 5, 3), "norm": nn.LayerNorm((5, 6, 6)), "d": flat_linear(180)},
        5,
    ),
    "RMS norm": (
        lambda m, x: m.d(m.norm(m.c(x.flatten(1))).relu()),
        {"c": lin(192, 7), "norm": nn.RMSNorm(7), "d": flat_linear(7)},
        7,
    ),
    "instance norm": (
        lambda m, x: m.d(m.norm(m.c(x)).relu().flatten(1)),
        {"c": conv(3, 5, 3), "norm": nn.InstanceNorm2d(5, affine=True, track_running_stats=True), "d": lin(180, 4)},
        5,
    ),
    "a gated linear unit by chunks": (chunked, {"c": conv(3, 8, 3), "d": flat_linear(144)}, 4),
    "a bilinear form": (
        lambda m, x: m.d(torch.einsum("bi,bj->bij", m.c(x.flatten(1)), m.e(x.flatten(1))).flatten(1)),
        {"c": lin(192, 3), "e": lin(192, 4), "d": flat_linear(12)},
        7,
    ),
    "a learned matrix by matmul": (
        lambda m, x: m.d((m.c(x.flatten(1)) @ m.w).relu()),
        {"c": lin(192, 5), "w": parameter(5, 7), "d": flat_linear(7)},
        12,
    ),
    "a mixer of tokens": (
        lambda m, x: m.d(m.f(F.gelu(m.e(m.c(x.flatten(2)).transpose(1, 2)))).mean(1)),
        {"c": lin(64, 7), "e": lin(3, 6), "f": lin(6, 5), "d": flat_linear(5)},
        7 + 6 + 5,
    ),
    "an image from a linear layer, normalised": (
        lambda m, x: m.d(m.norm(m.c(x.flatten(1)).view(-1, 4, 3, 3)).relu().flatten(1)),
        {"c": lin(192, 36), "norm": nn.BatchNorm2d(4), "d": flat_linear(36)},
        4 + 12,
    ),
    # convolution does not fix the pixels' axes
    "an image from a linear layer, convolved": (
        lambda m, x: m.d(m.e(m.c(x.flatten(1)).view(-1, 4, 3, 3)).relu().flatten(1)),
        {"c": lin(192, 36), "e": conv(4, 5, 2), "d": flat_linear(20)},
        4 + 5,
    ),
    "transposed convolutions": (
        lambda m, x: m.d(m.e(m.c(x).relu()).relu().flatten(1)),
        {"c": nn.ConvTranspose2d(3, 4, 1), "e": nn.ConvTranspose2d(4, 5, 3), "d": flat_linear(500)},
        9,
    ),
    "transposed convolutions in groups": (
        lambda m, x: m.d(m.e(m.c(x).relu()).relu().flatten(1)),
        {"c": conv(3, 4, 3), "e": nn.ConvTranspose2d(4, 6, 3, groups=2), "d": flat_linear(384)},
        2 + 4 + 6,
    ),
    "group norm by its function": (
        lambda m, x: m.d(F.group_norm(m.c(x), 3, m.s, m.t).relu().flatten(1)),
        {"c": conv(3, 9, 3), "s": parameter(9), "t": parameter(9), "d": flat_linear(9 * 36)},
        3 + 9,
    ),
    "scaled and shifted at once": (
        lambda m, x: m.d(torch.addcmul(m.b, m.s, m.c(x.flatten(1))).relu()),
        {"c": lin(192, 5), "s": parameter(1, 5), "b": parameter(1, 5), "d": flat_linear(5)},
        5,
    ),
    "divided by norms over pixels": (
        lambda m, x: m.d((m.c(x) / (1 + m.c(x).norm(p=2, dim=(2, 3), keepdim=True))).flatten(1)),
        {"c": conv(3, 5, 3), "d": flat_linear(180)},
        5,
    ),
    "branches stacked and weighed": (
        lambda m, x: m.d(
            (torch.stack([m.c(x), m.e(x)], 1) * m.f(m.c(x).mean((2, 3))).softmax(0)[:, None, :, None, None])
            .sum(1)
            .flatten(1)
        ),
        {"c": conv(3, 5, 3), "e": conv(3, 5, 3), "f": lin(5, 5), "d": flat_linear(180)},
        5,
    ),
    "a token repeated for each image": (
        lambda m, x: m.d((m.t.repeat(8, 1) + m.c(x.transpose(1, 2).flatten(2))).relu().mean(1)),
        {"c": lin(24, 6), "t": parameter(1, 6), "d": flat_linear(6)},
        6,
    ),
    "a gated linear unit": (
        lambda m, x: m.d(m.g(m.c(x.flatten(1)))),
        {"c": lin(192, 10), "g": nn.GLU(), "d": flat_linear(5)},
        5,
    ),
    "shuffled pixels": (
        lambda m, x: m.d(m.e(m.c(x)).relu().mean((2, 3))),
        {"c": conv(3, 12, 3), "e": nn.PixelShuffle(2), "d": flat_linear(3)},
        3,
    ),
    "channels shuffled by a module": (
        lambda m, x: m.d(m.e(m.c(x)).relu().mean((2, 3))),
        {"c": conv(3, 6, 3), "e": nn.ChannelShuffle(2), "d": flat_linear(6)},
        6,
    ),
    "channels shuffled, then normed in groups": (
        lambda m, x: m.d(m.norm(m.e(m.c(x))).relu().mean((2, 3))),
        {"c": conv(3, 12, 3), "e": nn.ChannelShuffle(2), "norm": nn.GroupNorm(3, 12), "d": flat_linear(12)},
        2 + 6,
    ),
    "channels added to themselves shuffled": (
        lambda m, x: m.d((m.c(x) + m.e(m.c(x))).relu().mean((2, 3))),
        {"c": conv(3, 4, 3), "e": nn.ChannelShuffle(2), "d": flat_linear(4)},
        2,
    ),
    # channels last, as Swin has them
    "places padded, and channels by nothing": (
        lambda m, x: m.d(F.pad(m.c(x).permute(0, 2, 3, 1), (0, 0, 0, 1, 0, 0)).mean((1, 2))),
        {"c": conv(3, 6, 3), "d": lin(6, 4)},
        6,
    ),
    "the largest of each unit's places": (
        lambda m, x: m.d(m.c(x).flatten(2).max(2)[0]),
        {"c": conv(3, 6, 3), "d": lin(6, 4)},
        6,
    ),
    "the least of each unit's places, by name": (
        lambda m, x: m.d(m.c(x).flatten(2).min(dim=2).values),
        {"c": conv(3, 6, 3), "d": lin(6, 4)},
        6,
    ),
    "the larger of two": (
        lambda m, x: m.d(torch.max(m.c(x.flatten(1)), m.e(x.flatten(1)))),
        {"c": lin(192, 6), "e": lin(192, 6), "d": lin(6, 4)},
        6,
    ),
    "variances and means": (
        lambda m, x: m.d(torch.cat(torch.var_mean(m.c(x), (2, 3)), 1)),
        {"c": conv(3, 6, 3), "d": lin(12, 4)},
        6,
    ),
    "channels of zeros around a shortcut": (
        lambda m, x: m.d((m.e(m.c(x)) + F.pad(m.c(x), (0, 0, 0, 0, 2, 2))).relu().mean((2, 3))),
        {"c": conv(3, 4, 3), "e": conv(4, 8, 1), "d": lin(8, 4)},
        4 + 2 + 2,
    ),
    "tokens mixed, with a residual": (
        lambda m, x: m.d((m.c(x.flatten(1)).view(-1, 2, 4) + m.w @ m.c(x.flatten(1)).view(-1, 2, 4)).flatten(1)),
        {"c": lin(192, 8), "w": parameter(2, 2), "d": flat_linear(8)},
        2 + 4,
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_layers(name):
    forward, layers, expected = KNOWN[name]
    assert units(check(Function(forward, **layers), draws=3)) >= expected


@pytest.mark.parametrize("way", ["matmul", "sdpa", "causal", "einsum", "chunk", "split", "reshape"])
def test_attention_written_by_hand_has_the_symmetry_of_its_heads(way):
    symmetry = check(Attention(way), draws=3)
    assert {group.size for group in symmetry.groups.values() if group.parent is None} >= {6}
    assert sizes(symmetry) == [2, 3, 3, 6]  # heads, queries and keys in each, values in each, stream


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_first": True},
        {"kdim": 4, "vdim": 5},
        {"add_bias_kv": True},
        {"bias": False},
        {"add_zero_attn": True},
    ],
    ids=str,
)
def test_multihead_attention(options):
    symmetry = check(Multihead(**options), draws=3)
    inside = [group.size for group in symmetry.groups.values() if group.parent is not None]
    assert inside == [3, 3]
    assert {4, 5, 6} & set(sizes(symmetry)) >= ({4, 5, 6} if "kdim" in options else {6})


@pytest.mark.parametrize("tied", [False, True])
def test_embeddings_of_tokens(tied):
    tokens = torch.randint(9, (4, 6), generator=torch_generator("tokens"))
    assert sizes(check(Tokens(tied), tokens)) == [5, 7]


# --- what mixes entries in ways that not every permutation commutes with: fixed, or refused, but never wrong ---


def sound(network: nn.Module, images: torch.Tensor | None = None) -> str | None:
    """What was derived is right, or an InputError of one line names the node; gives its message."""
    images = tensors(*IMAGES) if images is None else images
    try:
        derive(randomise(network), images)
    except InputError as error:
        message = str(error)
    else:
        check(network, images, draws=4)
        return None
    assert "\n" not in message
    assert "node " in message or "torch.fx" in message
    return message


def heads(m, x):
    """(b, 3 heads, 4 units) of a linear layer."""
    return m.c(x.flatten(1)).view(-1, 3, 4)


class Queries(nn.Module):
    """Learned queries that attend to an image; their attention weights are features as well."""

    def __init__(self, averaged: bool) -> None:
        super().__init__()
        self.queries = parameter(1, 5, 6)
        self.embed = nn.Linear(24, 6)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.averaged = averaged
        self.read = nn.Linear(5 * 8 * (1 if averaged else 2), 4)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        x = self.embed(x.transpose(1, 2).flatten(2))
        queries = self.queries.expand(x.shape[0], -1, -1)
        y, weights = self.attention(queries, x, x, average_attn_weights=self.averaged)
        return self.head(y.mean(1)) + self.read(weights.flatten(1))


def biased(m, x):
    """Attention with a learned bias for every head and pair of tokens."""
    x = m.c(x.transpose(1, 2).flatten(2))
    q, k, v = (layer(x).view(-1, 8, 2, 3).transpose(1, 2) for layer in (m.q, m.k, m.v))
    return m.d(F.scaled_dot_product_attention(q, k, v, attn_mask=m.bias).transpose(1, 2).flatten(2).mean(1))


MIXING = {
    "a slice of the channels": (lambda m, x: m.d(m.c(x)[:, :3].flatten(1)), {"c": conv(3, 5, 3), "d": lin(108, 4)}),
    "every second channel": (lambda m, x: m.d(m.c(x)[:, ::2].flatten(1)), {"c": conv(3, 5, 3), "d": lin(108, 4)}),
    "one channel": (lambda m, x: m.d(m.c(x)[:, 1].flatten(1)), {"c": conv(3, 5, 3), "d": lin(36, 4)}),
    "channels by a list": (lambda m, x: m.d(m.c(x)[:, [0, 2]].flatten(1)), {"c": conv(3, 5, 3), "d": lin(72, 4)}),
    "unbound channels": (lambda m, x: m.d(m.c(x).unbind(1)[2].flatten(1)), {"c": conv(3, 5, 3), "d": lin(36, 4)}),
    "a view across the channels": (
        lambda m, x: m.d(m.c(x.flatten(1)).view(-1, 3, 4).relu().sum(1)),
        {"c": lin(192, 12), "d": lin(4, 4)},
    ),
    "a view that does not divide": (
        lambda m, x: m.d(torch.cat([m.c(x.flatten(1)), m.e(x.flatten(1))], 1).view(-1, 3, 4).relu().sum(1)),
        {"c": lin(192, 5), "e": lin(192, 7), "d": lin(4, 4)},
    ),
    "a convolution along the units of a linear layer": (
        lambda m, x: m.d(m.e(m.c(x.flatten(1))[:, None]).relu().flatten(1)),
        {"c": lin(192, 8), "e": nn.Conv1d(1, 2, 3), "d": lin(12, 4)},
    ),
    # 2-dimensional input is (channels, length)
    "pooling along units": (
        lambda m, x: m.d(m.e(m.c(x.flatten(1)))),
        {"c": lin(192, 8), "e": nn.MaxPool1d(3, 1, 1), "d": lin(8, 4)},
    ),
    "pooling along units, with a channel": (
        lambda m, x: m.d(F.avg_pool1d(m.c(x.flatten(1))[:, None], 3, 1, 1)[:, 0]),
        {"c": lin(192, 8), "d": lin(8, 4)},
    ),
    # 4-dimensional input has no batch
    "three-dimensional pooling of channels": (
        lambda m, x: m.d(F.avg_pool3d(m.c(x), 3, 1, 1).flatten(1)),
        {"c": conv(3, 6, 3), "d": lin(216, 4)},
    ),
    # only the number of channels is compared
    "channels shifted by padding": (
        lambda m, x: m.d(F.pad(m.c(x), (0, 0, 0, 0, 1, -1)).flatten(1)),
        {"c": conv(3, 6, 3), "d": lin(216, 4)},
    ),
    # From here to the outer products: heads are mixed, whose units would have permutations of their own
    "softmax over heads": (
        lambda m, x: m.d(heads(m, x).softmax(1).flatten(1)),
        {"c": lin(192, 12), "d": lin(12, 4)},
    ),
    "normalised over heads": (
        lambda m, x: m.d(F.normalize(heads(m, x), dim=1).flatten(1)),
        {"c": lin(192, 12), "d": lin(12, 4)},
    ),
    "layer norm over heads": (
        lambda m, x: m.d(m.norm(heads(m, x).transpose(1, 2)).flatten(1)),
        {"c": lin(192, 12), "norm": nn.LayerNorm(3), "d": lin(12, 4)},
    ),
    "layer norm without weights over heads": (
        lambda m, x: m.d(m.norm(heads(m, x).transpose(1, 2)).flatten(1)),
        {"c": lin(192, 12), "norm": nn.LayerNorm(3, elementwise_affine=False), "d": lin(12, 4)},
    ),
    "instance norm over heads": (
        lambda m, x: m.d(m.norm(heads(m, x).transpose(1, 2)).flatten(1)),
        {"c": lin(192, 12), "norm": nn.InstanceNorm1d(4), "d": lin(12, 4)},
    ),
    "products of heads": (
        lambda m, x: m.d((heads(m, x) @ heads(m, x).transpose(1, 2)).flatten(1)),
        {"c": lin(192, 12), "d": lin(9, 4)},
    ),
    "products of heads by einsum": (
        lambda m, x: m.d(torch.einsum("bhd,bgd->bhg", heads(m, x), heads(m, x)).flatten(1)),
        {"c": lin(192, 12), "d": lin(9, 4)},
    ),
    "heads that attend to heads": (
        lambda m, x: m.d(((heads(m, x) @ heads(m, x).transpose(1, 2)).softmax(-1) @ heads(m, x)).flatten(1)),
        {"c": lin(192, 12), "d": lin(12, 4)},
    ),
    "sums of heads": (
        lambda m, x: m.d((heads(m, x)[:, :, None] + heads(m, x)[:, None]).relu().flatten(1)),
        {"c": lin(192, 12), "d": lin(36, 4)},
    ),
    "outer products of grouped channels": (
        lambda m, x: m.d(torch.einsum("bi,bj->bij", m.g(m.c(x)).mean((2, 3)), m.g(m.c(x)).mean((2, 3))).flatten(1)),
        {"c": conv(3, 4, 3), "g": conv(4, 6, 3, groups=2), "d": lin(36, 4)},
    ),
    "a sum over heads": (lambda m, x: m.d(heads(m, x).relu().sum(1)), {"c": lin(192, 12), "d": lin(4, 4)}),
    "a difference from the mean of heads": (
        lambda m, x: m.d((heads(m, x) - heads(m, x).mean(1, keepdim=True)).relu().flatten(1)),
        {"c": lin(192, 12), "d": lin(12, 4)},
    ),
    "group norm across heads, twice over": (
        lambda m, x: m.d(m.norm(torch.cat([heads(m, x).transpose(1, 2).flatten(1)] * 2, 1)).relu()),
        {"c": lin(192, 12), "norm": nn.GroupNorm(8, 24, affine=False), "d": lin(24, 4)},
    ),
    "heads joined": (
        lambda m, x: m.d((torch.cat([heads(m, x), heads(m, x).relu()], 1) * m.s).flatten(1)),
        {"c": lin(192, 12), "s": parameter(6, 4), "d": lin(24, 4)},
    ),
    "one linear layer for all heads": (
        lambda m, x: m.d(m.e(heads(m, x)).relu().flatten(1)),
        {"c": lin(192, 12), "e": lin(4, 2), "d": lin(6, 4)},
    ),
    "swapped concatenations": (
        lambda m, x: m.d((torch.cat([m.c(x), m.e(x)], 1) + torch.cat([m.e(x).relu(), m.c(x).relu()], 1)).flatten(1)),
        {"c": conv(3, 3, 3), "e": conv(3, 5, 3), "d": lin(288, 4)},
    ),
    "pixel shuffle": (
        lambda m, x: m.d(m.e(m.c(x)).flatten(1)),
        {"c": conv(3, 8, 3), "e": nn.PixelShuffle(2), "d": lin(288, 4)},
    ),
    "a shift of tokens": (
        lambda m, x: m.d(torch.roll(m.c(x.flatten(2)), 1, 1).flatten(1)),
        {"c": lin(64, 5), "d": lin(15, 4)},
    ),
    "unnamed variance": (
        lambda m, x: m.d(m.c(x.flatten(1)) * m.c(x.flatten(1)).var(False)),
        {"c": lin(192, 5), "d": lin(5, 4)},
    ),
    "a transposed matrix by its attribute": (
        lambda m, x: m.d(m.c(x.flatten(1)) @ m.w.T),
        {"c": lin(192, 5), "w": parameter(7, 5), "d": lin(7, 4)},
    ),
    "a constant of the forward pass": (
        lambda m, x: m.d(m.c(x.flatten(1)) * torch.arange(1.0, 6.0, dtype=torch.float64)),
        {"c": lin(192, 5), "d": lin(5, 4)},
    ),
    "a weight that another function reads": (
        lambda m, x: m.d(m.c(x.flatten(1))) + m.c.weight.cumsum(0)[:4, 0],
        {"c": lin(192, 5), "d": lin(5, 4)},
    ),
    "units upside down": (lambda m, x: m.d(torch.flip(m.c(x.flatten(1)), (1,))), {"c": lin(192, 6), "d": lin(6, 4)}),
    "flipped by the method": (
        lambda m, x: m.d(m.c(x.flatten(2)).flip(1, 2).flatten(1)),
        {"c": lin(64, 6), "d": lin(18, 4)},
    ),
    "running sums of units": (lambda m, x: m.d(m.c(x.flatten(1)).cumsum(1)), {"c": lin(192, 6), "d": lin(6, 4)}),
    "units in a circle": (
        lambda m, x: m.d(torch.roll(m.c(x.flatten(1)), 1, 1)),
        {"c": lin(192, 6), "d": lin(6, 4)},
    ),
    "all entries in a circle": (
        lambda m, x: m.d(torch.roll(m.c(x.flatten(1)), 1)),
        {"c": lin(192, 6), "d": lin(6, 4)},
    ),
    # as the transposed convolution
    "a bilinear layer of images": (
        lambda m, x: m.d(m.e(x.flatten(1), x.flatten(1)).relu()),
        {"e": nn.Bilinear(192, 192, 3), "d": lin(3, 4)},
    ),
    "a norm of weights": (
        lambda m, x: m.d(m.c(x.flatten(1)).relu()),
        {"c": nn.utils.parametrizations.weight_norm(lin(192, 5)), "d": lin(5, 4)},
    ),
    "where the largest unit stands": (
        lambda m, x: m.d(m.c(x.flatten(1)).max(1, keepdim=True)[1] * m.c(x.flatten(1))),
        {"c": lin(192, 6), "d": lin(6, 4)},
    ),
    "the largest unit, and where it stands": (
        lambda m, x: m.d(m.c(x.flatten(1)) + sum(m.c(x.flatten(1)).max(dim=1, keepdim=True))),
        {"c": lin(192, 6), "d": lin(6, 4)},
    ),
    "units reflected": (
        lambda m, x: m.d(F.pad(m.c(x.flatten(1))[:, None], (1, 1), mode="reflect").flatten(1)),
        {"c": lin(192, 6), "d": lin(8, 4)},
    ),
    "units cut off": (
        lambda m, x: m.d(F.pad(m.c(x.flatten(1)), (1, -1))),
        {"c": lin(192, 6), "d": lin(6, 4)},
    ),
    # attn_mask's own axes stay free, and heads are not tied to it
    "attention with a learned bias": (
        biased,
        {"c": lin(24, 6), "q": lin(6, 6), "k": lin(6, 6), "v": lin(6, 6), "d": lin(6, 4), "bias": parameter(2, 8, 8)},
    ),
}


@pytest.mark.parametrize("name", MIXING)
def test_what_mixes_entries_is_fixed_or_refused(name):
    forward, layers = MIXING[name]
    sound(Function(forward, **layers))


@pytest.mark.parametrize("averaged", [True, False])
def test_attention_weights_of_learned_queries(averaged):
    """Learned queries are free to be permuted, and the weights' rows with them."""
    sound(Queries(averaged))


REFUSED = {
    "sort": (lambda m, x: m.d(torch.sort(m.c(x.flatten(1)), 1)[0]), {}),
    "argmax": (lambda m, x: m.d(m.c(x.flatten(1)) * m.c(x.flatten(1)).argmax(1, keepdim=True)), {}),
    "topk": (lambda m, x: m.d(m.c(x.flatten(1)).topk(6, 1)[0]), {}),
    "LocalResponseNorm": (
        lambda m, x: m.d(m.e(m.c(x)).mean((2, 3))),
        {"c": conv(3, 6, 3), "e": nn.LocalResponseNorm(3)},
    ),
    "Bilinear": (lambda m, x: m.d(m.e(m.c(x.flatten(1)), m.c(x.flatten(1)))), {"e": nn.Bilinear(6, 6, 6)}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused_by_name(name):
    forward, layers = REFUSED[name]
    network = Function(forward, **({"c": lin(192, 6), "d": lin(6, 4)} | layers))
    message = sound(network)
    assert message is not None
    assert "node " in message


@pytest.mark.parametrize("name", ["LocalResponseNorm", "Bilinear"])
def test_what_is_not_understood_is_no_harm_where_all_is_fixed(name):
    """The layer's own weights stay in place then, and what follows is permuted."""
    layers = {
        "LocalResponseNorm": nn.LocalResponseNorm(3),
        "Bilinear": nn.Bilinear(64, 64, 6),
    }
    calls = {
        "LocalResponseNorm": lambda m, x: m.d(m.c(m.e(x)[:, 0, 0, :6]).relu()),
        "Bilinear": lambda m, x: m.d(m.c(m.e(x.flatten(2), x.flatten(2)).mean(1)).relu()),
    }
    symmetry = check(Function(calls[name], c=lin(6, 7), d=lin(7, 4), e=layers[name]))
    assert sizes(symmetry) == [7]


class Filtered(nn.Module):
    """Its first parameter is no real number: a filter, complex, or a choice of entries."""

    def __init__(self, first: torch.Tensor) -> None:
        super().__init__()
        self.complex = first.is_complex()
        self.first = nn.Parameter(first, requires_grad=self.complex)
        self.layer, self.relu, self.head = nn.Linear(192, 6), nn.ReLU(), nn.Linear(6, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        entries = images.flatten(1)
        entries = (entries * self.first).abs() if self.complex else entries[:, self.first]
        return self.head(self.relu(self.layer(entries)))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "first", [torch.randn(192, dtype=torch.complex64), torch.arange(192).flip(0)], ids=["complex", "integers"]
)
def test_images_are_of_a_type_that_the_network_takes(first):
    symmetry = derive(Filtered(first), tensors(*IMAGES))  # float64 images, of a float32 network
    assert {name: group.size for name, group in symmetry.groups.items()} == {"layer.weight": 6}


class Rotating(nn.Module):
    """Complex units; those of one network are mapped by a complex layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.next = nn.Linear(192, 6, dtype=torch.complex64), nn.Linear(6, 5, dtype=torch.complex64)
        self.head = nn.Linear(5, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        entries = images.flatten(1)
        units = self.layer(torch.complex(entries, entries))
        return self.head(self.next(units * units.abs()).abs())


def test_complex_units_can_be_permuted():
    symmetry = derive(Rotating(), tensors(*IMAGES))
    assert {name: group.size for name, group in symmetry.groups.items()} == {"layer.weight": 6, "next.weight": 5}


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Linear(192, 4)

    def forward(self, x):
        return self.c(x.flatten(1)) if x.sum() > 0 else self.c(x.flatten(1).relu())


def test_control_flow_is_refused():
    message = sound(Branching())
    assert message is not None
    assert "Branching" in message


@pytest.mark.parametrize("fails", [False, True])
def test_modes_and_weights_are_left_as_they_were(fails):
    last = nn.LocalResponseNorm(3) if fails else nn.ReLU()
    network = nn.Sequential(conv(3, 6, 3), nn.BatchNorm2d(6), last, nn.Flatten(), nn.Dropout(), lin(216, 4))
    network.train()
    network[1].eval()
    modes = [module.training for module in network.modules()]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    if fails:
        with pytest.raises(InputError):
            derive(network, tensors(*IMAGES))
    else:
        derive(network, tensors(*IMAGES))
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("images", [(1, 3, 8, 8), (2, 3, 8, 8), (8, 3, 8, 8)])
def test_the_number_of_images_does_not_matter(images):
    """Not even where it is that of channels or pixels."""
    forward, layers, _ = KNOWN["concatenation, then flatten"]
    network = randomise(Function(forward, **layers))
    assert derive(network, tensors(*images)) == derive(network, tensors(*IMAGES))


# --- random compositions ---

STEPS = {
    "conv": lambda c: conv(c, 6, 3, padding=1),
    "relu": lambda c: nn.ReLU(),
    "batch": nn.BatchNorm2d,
    "group2": lambda c: nn.GroupNorm(2, c),
    "group3": lambda c: nn.GroupNorm(3, c),
    "layer": lambda c: nn.GroupNorm(1, c),
    "grouped2": lambda c: conv(c, c, 3, padding=1, groups=2),
    "grouped3": lambda c: conv(c, c, 1, groups=3),
    "depthwise": lambda c: conv(c, c, 3, padding=1, groups=c),
    "slopes": nn.PReLU,
}


class Fuzz(nn.Module):
    """A stack of random steps on 12 channels, each maybe added to, multiplied with or joined to an earlier tensor."""

    def __init__(self, steps: list[tuple[str, str, int]]) -> None:
        super().__init__()
        self.steps = steps
        self.stem = conv(3, 12, 3, padding=1)
        self.layers = nn.ModuleList()
        for name, _, _ in steps:
            self.layers.append(conv(12, 12, 1) if name == "conv" else STEPS[name](12))
        self.head = lin(12 * 16, 3)

    def forward(self, x):
        seen = [self.stem(x)]
        for layer, (_, how, back) in zip(self.layers, self.steps, strict=True):
            x, earlier = layer(seen[-1]), seen[back % len(seen)]
            if how == "add":
                x = x + earlier
            elif how == "gate":
                x = x * earlier.mean((2, 3), keepdim=True)
            elif how == "join":
                x = torch.cat([x, earlier], 1).view(x.shape[0], 12, 2, 4, 4).sum(2)
            elif how == "interleave":
                x = torch.cat([x.chunk(2, 1)[0], earlier.chunk(2, 1)[back % 2]], 1)
            elif how == "cut":
                x = torch.cat([x[:, :5], earlier.split([5, 7], 1)[1]], 1)
            elif how == "shuffle":
                x = x.view(x.shape[0], 3, 4, 4, 4).transpose(1, 2).flatten(1, 2)
            elif how == "split":
                a, b, c = x.split([2, 3, 7], 1)
                x = torch.cat([c, a, b], 1)
            seen.append(x)
        return self.head(seen[-1].flatten(1))


WAYS = ["plain", "plain", "plain", "add", "add", "gate", "join", "interleave", "cut", "shuffle", "split"]


@settings(max_examples=80)
@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.sampled_from(WAYS), st.integers(0, 5)), max_size=6))
def test_random_compositions(steps):
    network = Fuzz(steps)
    check(network, tensors(3, 3, 4, 4), draws=2)
