"""Linear mode connectivity: what lies on the line between two networks, and on the plane through three.

A network is its state dict on the line theta(alpha) = (1 - alpha) theta_A + alpha theta_B. BatchNorm's running
statistics are interpolated like the weights; `repair` recomputes what an averaged network has lost.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
import torch
from torch import Tensor, nn

from hidden_structure.connectivity.temperature import fitted_temperature, loss_at
from hidden_structure.frame.arrays import Array
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.progress import track
from hidden_structure.networks.features import evaluation_mode
from hidden_structure.networks.weights import as_state, check_is_state, refuse_not_finite
from hidden_structure.training.batches import Images, as_split, check_labels, fastest_batch_size
from hidden_structure.training.loop import evaluate

State = Mapping[str, Tensor]  # a network's state dict
Repair = Callable[[nn.Module, float | None], None]  # mends the network at alpha, in place; None: on no line
# "alphas"; "<split>_loss" (nats) and "<split>_accuracy" at each; where it is fitted, "temperature" and, at that,
# "<split>_calibrated_loss"
Line = dict[str, list[float]]
Split = tuple[Images, Array]  # images, and labels int64 (N,)
COUNTERS = ("num_batches_tracked", "n_averaged")  # last names of tensors that no network computes with


def alphas(points: int) -> list[float]:
    """Evenly spaced from exactly 0 to exactly 1. Raises InputError for fewer than two."""
    if not isinstance(points, Integral) or points < 2:
        raise InputError(f"points: a line has two ends or more, as a whole number, got {points}")
    return np.linspace(0, 1, points).tolist()


@torch.no_grad()
def interpolate(a: State, b: State, alpha: float, into: State | None = None) -> State:
    """(1 - alpha) a + alpha b of every floating-point or complex tensor; of others, which must be alike, a's.

    alpha = 0 and 1 reproduce a and b exactly, but for counters, which are a's: the mean of two counts counts nothing.
    `into`: tensors to write to (a network's state dict), not new ones.

    Raises InputError if the keys, shapes or types of the two differ, or a tensor that is not interpolated.
    """
    _check_alike(a, b)
    found = into or as_state({name: torch.empty_like(tensor) for name, tensor in a.items()}, a)
    for name, target in found.items():
        if is_interpolated(name, a[name], b[name]):
            torch.lerp(a[name], b[name], alpha, out=target)  # which is exact at both ends
        else:
            target.copy_(a[name])
    return found


def is_interpolated(name: str, *tensors: Tensor) -> bool:
    """Whether several networks' tensor of that name is floating-point or complex.

    Raises InputError if it is not, and no counter either, and they differ in it.
    """
    first, *others = tensors
    if first.is_floating_point() or first.is_complex():
        return True
    if name.rpartition(".")[2] not in COUNTERS and not all(torch.equal(first, other) for other in others):
        raise InputError(
            f"{name} differs between the networks and cannot be interpolated, being {first.dtype}: give networks that "
            "agree in it"
        )
    return False


def along_line(
    network: nn.Module,
    a: State,
    b: State,
    alphas: Sequence[float],
    splits: Mapping[str, Split],
    precision: torch.dtype,
    repair: Repair | None = None,
    batch_size: int | None = None,
    fitted_on: str | None = None,
    known: Mapping[float, Mapping[str, float]] | None = None,
) -> Line:
    """Loss and accuracy of every split at every alpha; the network is left at the last one that was measured.

    The ends are repaired like everything between them, or the line would not hang together; so is the temperature,
    which costs no further pass.

    batch_size: None: the fastest. fitted_on: the split whose samples the temperature is fitted to, none that it is
    to be judged on; None: there is none. known: all that is found at some of the alphas, which is not measured again.

    Raises InputError if the states do not fit each other or the network, there are no splits, not as many labels as
    images in one or a label of no class, or a loss is not finite.
    """
    if not splits or not isinstance(splits, Mapping):
        raise InputError("there is nothing to measure along the line: give a split or more by name, images and labels")
    splits = {name: as_split(name, split) for name, split in splits.items()}
    if fitted_on is not None and fitted_on not in splits:
        raise InputError(f"fitted_on: there is no split {fitted_on!r} to fit a temperature to: give one of {[*splits]}")
    known = known or {}
    own = network.state_dict()
    a, b = _beside(a, own), _beside(b, own)
    line: Line = {"alphas": list(alphas)}
    line |= {f"{split}_{quantity}": [] for split in splits for quantity in ("loss", "accuracy")}
    if fitted_on is not None:
        line |= {"temperature": []} | {f"{split}_calibrated_loss": [] for split in splits}
    fastest = batch_size_for(network, splits, precision)
    batch_size = batch_size or fastest
    with evaluation_mode(network):
        for alpha in track(alphas, "points of a line"):
            if alpha in known:
                for name, value in known[alpha].items():
                    line[name].append(value)
                continue
            interpolate(a, b, alpha, own)
            if repair is not None:
                repair(network, alpha)
            logits: dict[str, Tensor] = {}
            for name, split in splits.items():
                with _kept_logits(network) as kept:
                    place = f"alpha {alpha:g}, {name}"
                    loss, accuracy = _evaluate(network, split, precision, batch_size, place, a, b)
                logits[name] = torch.cat(kept)
                line[f"{name}_loss"].append(loss)
                line[f"{name}_accuracy"].append(accuracy)
            if fitted_on is not None:
                temperature = fitted_temperature(logits[fitted_on], splits[fitted_on][1])
                line["temperature"].append(temperature)
                for name, (_, labels) in splits.items():
                    line[f"{name}_calibrated_loss"].append(loss_at(temperature, logits[name], labels))
    return line


def batch_size_for(
    network: nn.Module, splits: Mapping[str, Split], precision: torch.dtype, compared: bool = False
) -> int:
    """The fastest, as `fastest_batch_size` finds it by a first look at what the network puts out.

    Raises InputError if a label is of none of the classes that it tells apart.
    """
    images, _ = next(iter(splits.values()))
    with _kept_logits(network) as kept:
        size = fastest_batch_size(network, images, precision, compared)
    classes = kept[0].shape[-1]  # of a single image a network may drop the first axis
    for name, (_, labels) in splits.items():
        check_labels(labels, classes, name)
    return size


@contextmanager
def _kept_logits(network: nn.Module) -> Iterator[list[Tensor]]:
    """What the network puts out inside the block, a float32 tensor a batch."""
    kept: list[Tensor] = []
    handle = network.register_forward_hook(lambda module, inputs, output: kept.append(output.float()))
    try:
        yield kept
    finally:
        handle.remove()


@dataclass(frozen=True)
class Plane:
    """The plane through three networks, the first its origin, in distances of parameters; and a square grid on it."""

    states: tuple[State, State, State]
    networks: np.ndarray  # float64 (3, 2): where the three lie
    x: list[float]
    y: list[float]

    @torch.no_grad()
    def state(self, x: float, y: float, into: State | None = None) -> State:
        """The network at (x, y), buffers included: the combination of the three whose weights sum to 1.

        Outside the triangle a weight is negative, so running variances are cut off at 0. What is not interpolated,
        `into`, and errors: as of `interpolate`.
        """
        (_, (b_x, _), (c_x, c_y)), (a, b, c) = self.networks.tolist(), self.states
        third = y / c_y
        second = (x - third * c_x) / b_x
        found = into or as_state({name: torch.empty_like(tensor) for name, tensor in a.items()}, a)
        for name, target in found.items():
            target.copy_(a[name])
            if is_interpolated(name, a[name], b[name], c[name]):
                target.mul_(1 - second - third).add_(b[name], alpha=second).add_(c[name], alpha=third)
            if name.endswith("running_var"):
                target.clamp_(min=0)
        return found


def plane(a: State, b: State, c: State, parameters: Collection[str], points: int, margin: float = 0.2) -> Plane:
    """An orthonormal basis by Gram-Schmidt on b - a and c - a, and points x points places around the three.

    parameters: the names that make up theta; running statistics have no say in distances.
    margin: the border on each side, as a share of the larger extent of the three networks.

    Raises InputError if the three lie on one line, or their keys, shapes or types differ.
    """
    _check_alike(a, b)
    _check_alike(a, c)
    origin, second, third = (torch.cat([_real(state[name]) for name in parameters]) for state in (a, b, c))
    second, third = second - origin, third - origin
    length, reach = second.norm().item(), third.norm().item()
    along = torch.dot(third, second).item() / length if length else 0.0
    across = (third - second * (along / length)).norm().item() if length else 0.0
    if across <= 1e-6 * max(length, reach):
        raise InputError("the three networks lie on one line, so no plane is theirs: choose networks that differ")
    networks = np.array([[0.0, 0.0], [length, 0.0], [along, across]])
    low, high = networks.min(0), networks.max(0)
    half = (high - low).max() * (0.5 + margin)
    x, y = (np.linspace(middle - half, middle + half, points).tolist() for middle in (low + high) / 2)
    return Plane((a, b, c), networks, x, y)


def _real(tensor: Tensor) -> Tensor:
    """The entries as float64 (n,); of complex ones both parts."""
    return (torch.view_as_real(tensor) if tensor.is_complex() else tensor).flatten().cpu().double()


def over_plane(
    network: nn.Module, plane: Plane, split: Split, precision: torch.dtype, repair: Repair | None = None
) -> list[list[float]]:
    """The split's loss (nats) at every place of the grid: rows are y, columns x. The network is left at the last one.

    Raises InputError if the states do not fit the network, there are no images, not as many labels, one of no class,
    or a loss is not finite.
    """
    split = as_split("the images", split)
    own, batch_size = network.state_dict(), batch_size_for(network, {"the images": split}, precision)
    plane = replace(plane, states=tuple(_beside(state, own) for state in plane.states))

    def loss(x: float, y: float) -> float:
        plane.state(x, y, own)
        if repair is not None:
            repair(network, None)
        return _evaluate(network, split, precision, batch_size, f"({x:g}, {y:g}) of the plane", *plane.states)[0]

    with evaluation_mode(network):
        return [[loss(x, y) for x in plane.x] for y in track(plane.y, "rows of the plane")]


def _evaluate(
    network: nn.Module, split: Split, precision: torch.dtype, batch_size: int, place: str, *states: State
) -> tuple[float, float]:
    """states: those that the network was merged from."""
    try:
        return evaluate(network, *split, precision, batch_size)
    except InputError as error:
        refuse_not_finite(*states)
        raise InputError(
            f"at {place}: the merged network's loss is not finite: try float32 as the precision, or a norm"
        ) from error


def _beside(state: State, own: State) -> State:
    """A copy of the state where the network's own lies, made once: the network's own is overwritten at every point."""
    _check_alike(own, state)
    return {name: tensor.to(own[name].device, copy=True) for name, tensor in state.items()}


def _check_alike(a: State, b: State) -> None:
    for state in (a, b):
        check_is_state(state, state)
    for name in sorted(a.keys() | b.keys()):
        kinds = [f"{tuple(state[name].shape)} {state[name].dtype}" if name in state else "none" for state in (a, b)]
        if kinds[0] != kinds[1]:
            raise InputError(f"{name} of the networks is {' and '.join(kinds)}: give networks of one architecture")
