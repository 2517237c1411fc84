"""Whether a derived symmetry is one: what a permuted network computes must be permuted alike, at every operation."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from hidden_structure.frame.errors import InputError
from hidden_structure.networks.features import evaluation_mode
from hidden_structure.networks.weights import copy_of
from hidden_structure.permutation.graphs import bind
from hidden_structure.permutation.group import Symmetry
from hidden_structure.permutation.permuting import Permutation, draw, identity, permute, permute_tensor
from hidden_structure.permutation.tracing import describe
from hidden_structure.seeding import torch_generator

TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-3}  # of the largest value on the way
TOLERANCE |= {dtype.to_complex(): allowed for dtype, allowed in TOLERANCE.items()}
COARSE = {**TOLERANCE, torch.float16: 0.1, torch.bfloat16: 0.1}  # of what is made of values of such a type
ROUNDING = {torch.float64: 1e-14, torch.float32: 1e-6}  # a network that makes more than TOLERANCE of it is no judge
VARIED = 65537  # factors drawn for weights, over and over; a prime, so that no two rows of a matrix get the same

NodeLayouts = Mapping[str, Any]  # of every node's output: one layout a dimension; nested for several outputs


@torch.no_grad()
def check(network: nn.Module, symmetry: Symmetry, layouts: NodeLayouts, images: Tensor) -> None:
    """Let an element of the group that moves every group act on a copy of the network, and compare all they compute.

    Weights are varied first, since a scale of one everywhere would hide a permutation; and computing is in float64,
    unless the network makes tensors of another type on the way.

    Raises InputError, naming the operation and the group, if one is not permuted as was derived.
    """
    permutation = moving(symmetry)
    for dtype in (torch.float64, torch.float32):
        copy, inputs = copy_of(network)._apply(partial(cast, dtype=dtype)), cast(images, dtype)
        vary(copy)
        constants = {name: cast(tensor, dtype) for name, tensor in symmetry.constants.items()}
        try:
            with evaluation_mode(copy):
                trial = partial(_permuted_wrong, copy, symmetry, constants, layouts, inputs)
                wrong = trial(permutation, inputs)
                if wrong is None or trial(identity(symmetry), rounded(inputs)) is not None:
                    return
                alone = (name for name in symmetry.groups if trial(_of_one(symmetry, permutation, name), inputs))
                raise InputError(
                    f"the permutation symmetries derived for {type(network).__name__} are wrong at {wrong}: permuting "
                    f"{next(alone, 'several groups together')} changes what it computes: leave permute.methods empty"
                )
        except RuntimeError:  # of two types in one operation
            if dtype == torch.float32:
                raise


def moving(symmetry: Symmetry) -> Permutation:
    """A random element that leaves no group in place, and no group alike in all entries of its parent."""
    found = draw(symmetry, torch_generator("equivariance"))
    for name, still in identity(symmetry).items():
        if torch.equal(found[name], still):
            found[name] = found[name].roll(1, -1)
        if found[name].dim() == 2 and (found[name] == found[name][0]).all():
            found[name][0] = found[name][0].roll(1)
    return found


def _of_one(symmetry: Symmetry, permutation: Permutation, name: str) -> Permutation:
    return identity(symmetry) | {name: permutation[name]}


def rounded(images: Tensor) -> Tensor:
    """Images that differ by more than rounding would; integers as they are."""
    return images * (1 + ROUNDING[images.dtype]) if images.is_floating_point() else images


def cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """In this precision; `network.to(dtype)` would drop the imaginary part of complex numbers."""
    if tensor.is_complex():
        return tensor.to(dtype.to_complex())
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


@torch.no_grad()
def vary(network: nn.Module) -> None:
    """Scale every entry of a state by up to a half, and move parameters that are zero; signs and masks are kept."""
    pool = torch.empty(2, VARIED).uniform_(-0.5, 0.5, generator=torch_generator("equivariance", "weights"))
    parameters = dict(network.named_parameters())
    for name, tensor in network.state_dict().items():
        if not isinstance(tensor, Tensor) or not (tensor.is_floating_point() or tensor.is_complex()):
            continue  # some modules keep what is no tensor, or counts
        flat, (added, scaled) = tensor.flatten(), pool.to(tensor)  # itself, if it is contiguous
        for part in flat.split(VARIED):
            if name in parameters:
                part.add_(added[: len(part)] * (part == 0))
            part.mul_(1 + scaled[: len(part)])
        if flat.data_ptr() != tensor.data_ptr():
            tensor.copy_(flat.view(tensor.shape))


def _permuted_wrong(
    network: nn.Module,
    symmetry: Symmetry,
    constants: dict[str, Tensor],
    layouts: NodeLayouts,
    images: Tensor,
    permutation: Permutation,
    others: Tensor,
) -> str | None:
    """The first operation whose output, in the permuted network on the other images, is not permuted as derived."""
    permuted, state = copy_of(network), network.state_dict()
    for name, tensor in permuted.state_dict().items():
        if isinstance(tensor, Tensor):
            tensor.copy_(permute_tensor(symmetry, permutation, name, state[name]))
    expected = partial(_as_permuted, symmetry, permutation)
    return first_wrong((network, permuted), symmetry, constants, layouts, (images, others), expected)


def _as_permuted(symmetry: Symmetry, permutation: Permutation, _: str, layouts: Any, value: Tensor) -> Tensor:
    return permute(symmetry, permutation, layouts, value)


def first_wrong(
    networks: tuple[nn.Module, nn.Module],
    symmetry: Symmetry,
    constants: dict[str, Tensor],
    layouts: NodeLayouts,
    images: tuple[Tensor, Tensor],
    expected: Callable[[str, Any, Tensor], Tensor],
) -> str | None:
    """The first operation whose output in the second network is not what is expected from the first one's.

    expected: of a node's name, the layouts of its output, and the output.
    """
    both = [fx.Interpreter(bind(of, symmetry.graph, constants)) for of in networks]
    for interpreter, inputs in zip(both, images, strict=True):
        interpreter.args_iter = iter([inputs.clone()])  # operations may work in place
    sizes: dict[fx.Node, float] = {}  # of the largest value on the way to a node: its rounding may be all that is left
    tolerance: dict[fx.Node, float] = {}  # of the coarsest type on the way
    for node in symmetry.graph.nodes:
        values = [interpreter.run_node(node) for interpreter in both]
        sizes[node] = max([_largest(values[0]), *(sizes[source] for source in node.all_input_nodes)])
        tolerance[node] = max([_coarse(values[0]), *(tolerance[source] for source in node.all_input_nodes)])
        allowed = tolerance[node] * sizes[node]
        named = partial(expected, node.name)
        if node.op != "output" and not _alike(named, layouts[node.name], *values, allowed):
            return describe(node, both[0].module)
        for interpreter, value in zip(both, values, strict=True):
            interpreter.env[node] = value
            for used in interpreter.user_to_last_uses.get(node, []):
                del interpreter.env[used]
    return None


def _alike(expected: Callable[[Any, Tensor], Tensor], layouts: Any, before: Any, after: Any, allowed: float) -> bool:
    """Whether the second output is what is expected from the first one, up to what rounding may do."""
    if isinstance(before, tuple | list) and layouts is not None:
        parts = zip(layouts, before, after, strict=True)
        return all(_alike(expected, *part, allowed) for part in parts)
    if layouts is None or not isinstance(before, Tensor) or before.dtype not in TOLERANCE:
        return True  # what integers and truth values do to others is seen there
    wanted = expected(layouts, before)
    finite = wanted.isfinite()
    if not torch.equal(finite, after.isfinite()):
        return False
    apart = (wanted - after).abs()[finite]
    return not apart.numel() or apart.max().item() <= allowed


def _coarse(value: Any) -> float:
    if isinstance(value, tuple | list):
        return max(map(_coarse, value), default=0.0)
    return COARSE.get(value.dtype, 0.0) if isinstance(value, Tensor) else 0.0


def _largest(value: Any) -> float:
    if isinstance(value, tuple | list):
        return max(map(_largest, value), default=0.0)
    if not isinstance(value, Tensor) or value.dtype not in COARSE or not value.numel():
        return 0.0
    return value.abs().nan_to_num(0.0, 0.0, 0.0).max().item()
