"""Random small networks for the symmetries' fuzz test: every operation along every axis, on whatever came before."""

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Shape = tuple[int, ...]  # without the batch
Step = Callable[[Sequence[Tensor]], Tensor]  # of all tensors so far
CHANNELS = (4, 6, 8, 12)
LARGEST = 4096  # entries a sample


class Drawing:
    """Chooses steps; an operation that does not fit the last tensor's shape gives None, and another one is drawn."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator
        self.layers = nn.ModuleList()
        self.parameters = nn.ParameterList()
        self.shared: dict[tuple, nn.Module] = {}
        self.shapes: list[Shape] = [(3, 4, 4)]

    def below(self, bound: int) -> int:
        return int(self.generator.integers(bound))

    def pick(self, values: Sequence) -> object:
        return values[self.below(len(values))]

    def divisor(self, size: int) -> int | None:
        found = [number for number in range(2, size) if size % number == 0]
        return self.pick(found) if found else None

    def layer(self, kind: type[nn.Module], *arguments: object, **options: object) -> nn.Module:
        """A new layer, or, one time in four, one that the network has already."""
        key = (kind, arguments, tuple(options.items()))
        if key not in self.shared or self.below(4):
            self.shared[key] = kind(*arguments, **options)
            self.layers.append(self.shared[key])
        return self.shared[key]

    def parameter(self, *shape: int) -> Callable[[], Tensor]:
        """Read from the network's list at every call: a trace sees no parameter that a function holds itself."""
        self.parameters.append(nn.Parameter(torch.zeros(*shape)))
        parameters, index = self.parameters, len(self.parameters) - 1
        return lambda: parameters[index]


# Each takes the drawing and the last tensor's shape; gives a step and the shape of what it makes.


def linear(d: Drawing, shape: Shape):
    width = shape[-1] if d.below(2) else d.pick(CHANNELS)
    layer = d.layer(nn.Linear, shape[-1], width, bias=bool(d.below(2)))
    return lambda v: layer(v[-1]), (*shape[:-1], width)


def convolution(d: Drawing, shape: Shape):
    if len(shape) not in (2, 3):
        return None
    channels = shape[0] if d.below(2) else d.pick(CHANNELS)
    groups = d.pick([g for g in (1, 1, 2, 3, 4, 6) if shape[0] % g == channels % g == 0])
    kinds = (nn.Conv1d, nn.Conv2d) if d.below(4) else (nn.ConvTranspose1d, nn.ConvTranspose2d)
    size = d.pick((1, 3))
    layer = d.layer(kinds[len(shape) - 2], shape[0], channels, size, padding=size // 2, groups=groups)
    return lambda v: layer(v[-1]), (channels, *shape[1:])


def norm(d: Drawing, shape: Shape):
    affine, way = bool(d.below(2)), d.below(8)
    groups = d.divisor(shape[0]) or 1
    if way == 0 and len(shape) in (1, 2, 3):
        kind = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d)[len(shape) - 1]
        layer = d.layer(kind, shape[0], affine=affine)
    elif way == 1 and len(shape) in (2, 3) and prod(shape[1:]) > 1:
        layer = d.layer((nn.InstanceNorm1d, nn.InstanceNorm2d)[len(shape) - 2], shape[0], affine=affine)
    elif way == 2:
        layer = d.layer(nn.LayerNorm, shape[-1 - d.below(len(shape)) :], elementwise_affine=affine)
    elif way == 3:
        layer = d.layer(nn.RMSNorm, shape[-1], elementwise_affine=affine)
    elif way in (4, 5):
        layer = d.layer(nn.GroupNorm, groups, shape[0], affine=affine)
    elif way == 6:
        weight = d.parameter(shape[0])
        return lambda v: F.group_norm(v[-1], groups, weight()), shape
    else:
        dim = 1 + d.below(len(shape))
        return d.pick([lambda v: F.normalize(v[-1], dim=dim), lambda v: v[-1].softmax(dim)]), shape
    return lambda v: layer(v[-1]), shape


def activation(d: Drawing, shape: Shape):
    slopes = d.layer(nn.PReLU, shape[0])
    ways = [lambda v: v[-1].relu(), lambda v: F.gelu(v[-1]), lambda v: torch.tanh(v[-1]), lambda v: slopes(v[-1])]
    return d.pick(ways), shape


def split_axis(d: Drawing, shape: Shape):
    dim = d.below(len(shape))
    outer = d.divisor(shape[dim])
    if outer is None or len(shape) > 3:
        return None
    new = (*shape[:dim], outer, shape[dim] // outer, *shape[dim + 1 :])
    return lambda v: v[-1].reshape(-1, *new), new


def merge_axes(d: Drawing, shape: Shape):
    if len(shape) < 2:
        return None
    dim = d.below(len(shape) - 1)
    return lambda v: v[-1].flatten(dim + 1, dim + 2), (*shape[:dim], shape[dim] * shape[dim + 1], *shape[dim + 2 :])


def transpose(d: Drawing, shape: Shape):
    if len(shape) < 2:
        return None
    one, two = d.generator.choice(len(shape), 2, replace=False).tolist()
    new = list(shape)
    new[one], new[two] = new[two], new[one]
    return lambda v: v[-1].transpose(one + 1, two + 1), tuple(new)


def shuffle(d: Drawing, shape: Shape):
    groups = d.divisor(shape[0])
    if groups is None:
        return None
    inner = shape[0] // groups
    return lambda v: v[-1].reshape(-1, groups, inner, *shape[1:]).transpose(1, 2).reshape(-1, *shape), shape


def _same(d: Drawing, shape: Shape) -> int | None:
    found = [index for index, other in enumerate(d.shapes) if other == shape and index]
    return d.pick(found) if found else None


def residual(d: Drawing, shape: Shape):
    index = _same(d, shape)
    if index is None:
        return None
    return d.pick([lambda v: v[-1] + v[index], lambda v: v[-1] * v[index], lambda v: v[index].sigmoid() * v[-1]]), shape


def turned_residual(d: Drawing, shape: Shape):
    """Added to its own transpose, where two axes are equal."""
    pairs = [(i, j) for i in range(len(shape)) for j in range(i) if shape[i] == shape[j]]
    if not pairs:
        return None
    one, two = d.pick(pairs)
    return lambda v: v[-1] + v[-1].transpose(one + 1, two + 1).relu(), shape


def gate(d: Drawing, shape: Shape):
    """Along one axis, by what a linear layer makes of the means over all others."""
    dim = d.below(len(shape))
    layer = d.layer(nn.Linear, shape[dim], shape[dim])
    others = [other + 1 for other in range(len(shape)) if other != dim]
    view = [shape[dim] if other == dim else 1 for other in range(len(shape))]

    def step(v):
        means = v[-1].mean(others) if others else v[-1]
        return v[-1] * layer(means).sigmoid().reshape(-1, *view)

    return step, shape


def centred(d: Drawing, shape: Shape):
    dim = 1 + d.below(len(shape))
    ways = [
        lambda v: v[-1] - v[-1].mean(dim, keepdim=True),
        lambda v: v[-1] / (1 + v[-1].norm(dim=dim, keepdim=True)),
        lambda v: v[-1] - v[-1].amax(dim, keepdim=True),
    ]
    return d.pick(ways), shape


def added_parameter(d: Drawing, shape: Shape):
    first = d.below(len(shape))
    own = [size if d.below(3) else 1 for size in shape[first:]]
    parameter = d.parameter(*own)
    return d.pick([lambda v: v[-1] + parameter(), lambda v: v[-1] * parameter()]), shape


def matrix(d: Drawing, shape: Shape):
    """A parameter times the tensor, from either side or by einsum."""
    if len(shape) >= 2 and d.below(2):
        width = shape[-2] if d.below(2) else d.pick(CHANNELS)
        left = d.parameter(width, shape[-2])
        return lambda v: left() @ v[-1], (*shape[:-2], width, shape[-1])
    width = shape[-1] if d.below(2) else d.pick(CHANNELS)
    right, back = d.parameter(shape[-1], width), bool(d.below(2) and width == shape[-1])
    if len(shape) == 2 and d.below(2):
        return lambda v: torch.einsum("bij,jk->bik", v[-1], right()), (shape[0], width)
    return (lambda v: v[-1] @ right() @ right().t()) if back else (lambda v: v[-1] @ right()), (*shape[:-1], width)


def products(d: Drawing, shape: Shape):
    """Attention along any axis: among heads, tokens or units."""
    if len(shape) < 2:
        return None
    index = _same(d, shape)
    key = d.layer(nn.Linear, shape[-1], shape[-1])
    earlier = -1 if index is None else index

    def attend(v):
        q, k = v[-1], key(v[earlier])
        return (q @ k.transpose(-2, -1)).softmax(-1) @ v[earlier]

    def across(v):
        return (v[-1].transpose(-2, -1) @ v[earlier]).softmax(-1) @ v[-1].transpose(-2, -1)

    def dot(v):
        return F.scaled_dot_product_attention(v[-1], key(v[earlier]), v[earlier])

    way = d.below(4)
    if way == 0:
        return across, (*shape[:-2], shape[-1], shape[-2])
    if way == 1:
        return lambda v: v[-1] @ key(v[earlier]).transpose(-2, -1), (*shape[:-1], shape[-2])
    return (attend if way == 2 else dot), shape


def joined(d: Drawing, shape: Shape):
    index, dim = _same(d, shape), d.below(len(shape))
    if index is None or prod(shape) * 2 > LARGEST:
        return None
    if d.below(4) == 0 and len(shape) < 4:
        return lambda v: torch.stack([v[-1], v[index]], dim + 1), (*shape[:dim], 2, *shape[dim:])
    new = (*shape[:dim], 2 * shape[dim], *shape[dim + 1 :])
    return lambda v: torch.cat([v[-1], v[index]], dim + 1), new


def cut(d: Drawing, shape: Shape):
    dim = d.below(len(shape))
    if shape[dim] < 2:
        return None
    at = 1 + d.below(shape[dim] - 1)
    if shape[dim] % 2 == 0 and d.below(2):
        half = (*shape[:dim], shape[dim] // 2, *shape[dim + 1 :])
        ways = [
            lambda v: F.glu(v[-1], dim + 1),
            lambda v: v[-1].chunk(2, dim + 1)[0] * v[-1].chunk(2, dim + 1)[1].relu(),
            lambda v: v[-1].chunk(2, dim + 1)[0] + v[-1].chunk(2, dim + 1)[1],
            lambda v: v[-1].narrow(dim + 1, 0, half[dim]) * v[-1].narrow(dim + 1, half[dim], half[dim]).sigmoid(),
            lambda v: v[-1].narrow(dim + 1, 0, half[dim]) - v[-1].narrow(dim + 1, shape[dim] - at, at).mean(),
        ]
        return d.pick(ways), half
    if not d.below(4):
        whole, part = (slice(None),) * (dim + 1), (*shape[:dim], at, *shape[dim + 1 :])
        ways = [
            lambda v: v[-1][*whole, :at],
            lambda v: v[-1][*whole, -at:],
            lambda v: v[-1][*whole, :at] + v[-1][*whole, -at:],  # which may overlap
        ]
        return d.pick(ways), part
    ways = [  # in another order
        lambda v: torch.cat([v[-1].split([at, shape[dim] - at], dim + 1)[part] for part in (1, 0)], dim + 1),
        lambda v: torch.cat([v[-1].narrow(dim + 1, at, shape[dim] - at), v[-1].narrow(dim + 1, 0, at)], dim + 1),
    ]
    return d.pick(ways), shape


def copies(d: Drawing, shape: Shape):
    if prod(shape) * 2 > LARGEST:
        return None
    dim = d.below(len(shape))
    new = (*shape[:dim], 2 * shape[dim], *shape[dim + 1 :])
    counts = [2 if other == dim else 1 for other in range(len(shape))]

    def beside(v):
        return v[-1].unsqueeze(dim + 2).expand(-1, *shape[: dim + 1], 2, *shape[dim + 1 :]).reshape(-1, *new)

    ways = [lambda v: v[-1].repeat(1, *counts), lambda v: v[-1].repeat_interleave(2, dim + 1), beside]
    return d.pick(ways), new


def slices(d: Drawing, shape: Shape):
    """Of one layer, as queries, keys and values are: unequal ways of taking them, and of using them."""
    dim = d.below(len(shape))
    count = d.divisor(shape[dim])
    if count is None:
        return None
    inner, combine = shape[dim] // count, d.below(4)
    apart = (*shape[:dim], count, inner, *shape[dim + 1 :])
    new = (*shape[:dim], inner, *shape[dim + 1 :])
    turned = d.below(2)

    def step(v):
        x = v[-1].reshape(-1, *apart)
        if turned:
            x = x.movedim(dim + 1, 0)
        if combine == 3:  # one slice is read in another way, so that all must be permuted alike
            return x.sum(0 if turned else dim + 1) + x.select(0 if turned else dim + 1, 1)
        parts = x.unbind(0 if turned else dim + 1) if combine else [
            x[(slice(None),) * (0 if turned else dim + 1) + (index,)] for index in range(count)
        ]  # fmt: skip
        return parts[0] * parts[-1].sigmoid() if combine == 1 else parts[0].relu() + sum(parts[1:])

    return step, new


def ordered(d: Drawing, shape: Shape):
    dim = 1 + d.below(len(shape))
    order = torch.arange(shape[dim - 1]).flip(0)
    ways = [
        lambda v: torch.roll(v[-1], 1, dim),
        lambda v: torch.flip(v[-1], (dim,)),
        lambda v: v[-1].cumsum(dim),
        lambda v: v[-1][(slice(None),) * dim + (order,)],
    ]
    return d.pick(ways), shape


def recurrent(d: Drawing, shape: Shape):
    if len(shape) != 2:
        return None
    both, width, last = bool(d.below(2)), d.pick(CHANNELS), d.below(3)
    kind = d.pick([nn.RNN, nn.GRU, nn.LSTM])
    layer = d.layer(kind, shape[1], width, batch_first=True, bidirectional=both)
    if last == 0:
        return lambda v: _left(layer, v[-1])[-1], (width,)
    if last == 1 and both:
        return lambda v: torch.cat([_left(layer, v[-1])[0], _left(layer, v[-1])[1]], 1), (2 * width,)
    return lambda v: layer(v[-1])[0], (shape[0], width * (1 + both))


def _left(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x)[1][0] if isinstance(layer, nn.LSTM) else layer(x)[1]


def pooled(d: Drawing, shape: Shape):
    if len(shape) == 3 and d.below(2):
        ways = [lambda v: F.max_pool2d(v[-1], 3, 1, 1), lambda v: F.avg_pool2d(v[-1], 3, 1, 1)]
        return d.pick(ways), shape
    if len(shape) == 2:
        return lambda v: F.max_pool1d(v[-1], 3, 1, 1), shape
    if len(shape) == 3 and shape[0] % 4 == 0:
        return lambda v: F.pixel_shuffle(v[-1], 2), (shape[0] // 4, 2 * shape[1], 2 * shape[2])
    return None


def reduced(d: Drawing, shape: Shape):
    if len(shape) < 2:
        return None
    dim = d.below(len(shape))
    ways = [lambda v: v[-1].mean(dim + 1), lambda v: v[-1].sum(dim + 1), lambda v: v[-1].select(dim + 1, 0)]
    return d.pick(ways), (*shape[:dim], *shape[dim + 1 :])


OPERATIONS = [
    linear, linear, convolution, convolution, norm, norm, activation, split_axis, split_axis, merge_axes, transpose,
    shuffle, residual, residual, turned_residual, gate, centred, added_parameter, matrix, products, joined, cut, copies,
    pooled, reduced, slices, slices, ordered, recurrent,
]  # fmt: skip


class RandomNetwork(nn.Module):
    """Images (b, 3, 4, 4) to three logits, by a stem, up to `most` random operations and a head."""

    def __init__(self, generator: np.random.Generator, most: int = 9) -> None:
        super().__init__()
        d = Drawing(generator)
        self.steps: list[Step] = []
        self.names: list[str] = []
        self._add(d, *self._stem(d))
        for _ in range(1 + d.below(most)):
            found = None
            while found is None:
                operation = d.pick(OPERATIONS)
                found = operation(d, d.shapes[-1])
            self.names.append(operation.__name__)
            self._add(d, *found)
        self.layers, self.free = d.layers, d.parameters
        self.head = nn.Linear(prod(d.shapes[-1]), 3)

    def _stem(self, d: Drawing) -> tuple[Step, Shape]:
        """A vector, tokens, or images; or units in heads, or channels in groups, which may permute inside each."""
        width, way = d.pick(CHANNELS), d.below(5)
        heads = d.divisor(width)
        inner = width // heads
        if way < 2:
            layer = d.layer(nn.Linear, 48, width)
            if way == 0:
                return lambda v: layer(v[-1].flatten(1)), (width,)
            return lambda v: layer(v[-1].flatten(1)).reshape(-1, heads, inner).transpose(1, 2), (inner, heads)
        if way == 2:
            layer = d.layer(nn.Linear, 12, width)
            return lambda v: layer(v[-1].transpose(1, 2).flatten(2)), (4, width)
        layer = d.layer(nn.Conv2d, 3, width, 3, padding=1)
        if way == 3:
            return lambda v: layer(v[-1]), (width, 4, 4)
        return lambda v: layer(v[-1]).reshape(-1, heads, inner, 16).transpose(1, 2), (inner, heads, 16)

    def _add(self, d: Drawing, step: Step, shape: Shape) -> None:
        if shape == d.shapes[-1] and d.below(3) == 0:  # as a branch beside what goes in
            branch = step

            def step(v):
                return v[-1] + branch(v)

        self.steps.append(step)
        d.shapes.append(shape)

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for step in self.steps:
            values.append(step(values))
        return self.head(values[-1].flatten(1))
