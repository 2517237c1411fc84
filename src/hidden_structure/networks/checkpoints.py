"""A user's checkpoint as the state of a network, whichever training loop saved it: safetensors or PyTorch's own format.

A checkpoint is data, never a program: of PyTorch's files only what `weights_only=True` restores is taken.
"""

import difflib
import errno
import itertools
import os
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hidden_structure.frame.errors import InputError, memory_is_short

OTHERS = ("optim", "sched", "scaler")  # how the names of what is no network begin
DEEPEST = 4  # levels of mappings that are looked into
COUNTS = ("num_batches_tracked", "n_averaged")  # which no output depends on
NAMED = 3  # at most, of several


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """state: the tensors, on the CPU, by the network's own names and in its types; notes: what was done to them."""

    state: dict[str, Tensor]
    notes: tuple[str, ...]


def read(file: str, network: nn.Module, built_for: str = "") -> Checkpoint:
    """The state of a network that is built like this one.

    Of a file that holds other things too, or several states, the one that fits; prefixes that all names share, as those
    of DataParallel, torch.compile and Lightning, are taken off. Where a state holds other things beside the network, as
    Lightning's do of a loss with weights, the names with one prefix are taken if they alone are the network.

    Args:
        file: its path, or path#key where several states in it fit ("last.pt#ema", "last.ckpt#state_dict.ema_net").
        built_for: what the network was built for, said where nothing fits: "8 x 8 grey images and 10 classes".

    Raises InputError, in one line that names the file and the tensor, if it is missing, damaged, holds what only a
    pickle that runs code could restore, no state or several fit, or a value is not finite.
    """
    refuse_missing(file)
    path, key = _place(file)
    every = list(_states(_content(path)))
    states = [(name, state) for name, state in every if key in ("", name)]
    states = states or [part for part in _parts(every) if part[0] == key]
    if every and not states:
        raise InputError(f"{path} has no state {key}: it has {_listed(name for name, _ in every)}")
    if not states:
        raise InputError(f"{path} holds no tensors by name: save network.state_dict()")
    wanted = network.state_dict()
    fits = [(name, _fit(state, wanted)) for name, state in states]
    fitting = [(name, fit) for name, fit in fits if not fit.problems] or list(_fitting_parts(states, wanted))
    if len(fitting) > 1:
        names = [name for name, _ in fitting]
        alone = [name for name in names if name and names.count(name) == 1]
        mend = f"name one, {path}#{alone[0]}" if alone else "save the one that is meant by itself"
        raise InputError(f"{path} holds {len(names)} states that fit, {_listed(names)}: {mend}")
    if not fitting:
        told = min((fit.problems for _, fit in fits), key=len)
        more = f", and {len(told) - 1} more differ" if len(told) > 1 else ""
        built = f" (built for {built_for})" if built_for else ""
        raise InputError(f"{path} does not fit the network{built}: {told[0]}{more}")
    ((name, fit),) = fitting
    notes = [f"taken from {name}"] if name else []
    notes += [f"prefix {fit.prefix} taken off"] if fit.prefix else []
    notes += [f"left out {_listed(fit.left_out)}"] if fit.left_out else []
    state, converted = {}, {}
    for own, like in wanted.items():
        tensor = fit.state.get(own, like)
        _check(tensor, like, f"{path}: {own}")
        state[own] = tensor.detach().to(like.dtype, copy=True)
        if like.is_floating_point() and tensor.dtype != like.dtype:
            converted[_spelt(tensor.dtype)] = _spelt(like.dtype)
    notes += [f"{found} made {made}" for found, made in converted.items()]
    return Checkpoint(state, tuple(notes))


def content(file: str) -> np.ndarray:
    """The bytes of the file, uint8.

    Raises InputError if it is missing.
    """
    refuse_missing(file)
    return np.fromfile(_place(file)[0], np.uint8)


def refuse_missing(file: str) -> None:
    """Raises InputError if there is no such file."""
    path = _place(file)[0]
    if not path.is_file():
        raise InputError(f"{path} is {'not a file' if path.exists() else 'missing'}: give the file of a checkpoint")


@dataclass(frozen=True, eq=False)
class _Fit:
    """state: by the network's names; prefix: what they lost; problems: why it is not the network's; left_out: by the
    file's names, what lies beside it."""

    state: dict[str, Tensor]
    prefix: str
    problems: list[str]
    left_out: tuple[str, ...] = ()


def _place(file: str) -> tuple[Path, str]:
    whole = Path(os.path.expanduser(file))  # Path.expanduser fails where there is no such home
    path, _, key = file.rpartition("#")
    if path and not whole.is_file():
        return Path(os.path.expanduser(path)), key
    return whole, ""


def _content(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            safe = file.read(9)[8:] == b"{"  # the length of a header in JSON, and that
        if safe:
            from safetensors.torch import load_file

            return load_file(path)
        with warnings.catch_warnings(), path.open("rb") as file:  # opened, or the name would say which format it is
            warnings.simplefilter("ignore")  # of formats that are refused below
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers raise a dozen types
        if memory_is_short(error):
            raise MemoryError(f"{path}: {error}") from error
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # PyTorch's of a file cut short
            raise OSError(error.errno, error.strerror, str(path)) from error
        if refused := _refused(path, error):
            raise InputError(
                f"{path} holds {refused}, which only running code of the file could restore, and that is never done: "
                "save it anew, by torch.save(network.state_dict(), ...) or as safetensors"
            ) from error
        raise InputError(
            f"{path} is damaged, or neither safetensors nor a checkpoint of PyTorch: save it anew"
        ) from error


def _refused(path: Path, error: Exception) -> str:
    """What of the file weights_only=True does not restore; empty if something else is wrong with it."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                return "TorchScript"
    if not str(error).startswith("Weights only load failed"):
        return ""
    if zipfile.is_zipfile(path):
        try:
            return _listed(torch.serialization.get_unsafe_globals_in_checkpoint(path))
        except Exception:  # no pickle that torch understands
            return ""
    return "more than tensors" if "GLOBAL" in str(error) or "nsupported class" in str(error) else ""


def _states(content: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """(where, tensors by name) of all mappings that hold tensors, but those of optimizers."""
    if not isinstance(content, Mapping) or depth > DEEPEST:
        return
    named = {name: value for name, value in content.items() if isinstance(name, str)}
    if tensors := {name: value for name, value in named.items() if isinstance(value, Tensor)}:
        yield place, tensors
    for name, value in named.items():
        if not name.lower().startswith(OTHERS):
            yield from _states(value, f"{place}.{name}" if place else name, depth + 1)


def _fit(state: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> _Fit:
    """The state by those of its names, less what all of them begin with, that are the most like the network's."""
    variants, prefix = [("", state)], ""
    weights = {name: tensor for name, tensor in state.items() if name.rpartition(".")[2] != "n_averaged"}
    while (
        weights and len(firsts := {name.partition(".")[0] for name in weights}) == 1 and all("." in n for n in weights)
    ):
        (first,) = firsts
        prefix, weights = f"{prefix}{first}.", {name.partition(".")[2]: tensor for name, tensor in weights.items()}
        variants.append((prefix, weights))
    own = _shared(wanted)  # such as that of a layer which repeats grey images for a model of colours
    variants += [("", {f"{own}{name}": tensor for name, tensor in state.items()})] if own else []
    prefix, best = max(variants, key=lambda variant: len(variant[1].keys() & wanted.keys()))
    missing = {name for name in wanted.keys() - best.keys() if name.rpartition(".")[2] not in COUNTS}
    for name in sorted(missing):  # safetensors keeps one of the tensors that share their memory
        twins = [other for other in best.keys() & wanted.keys() if _same_memory(wanted[name], wanted[other])]
        if twins:
            best = best | {name: best[twins[0]]}
    told = ({name.removeprefix(own): tensor for name, tensor in each.items()} for each in (best, wanted))
    return _Fit(best, prefix, list(_problems(*told)))


def _shared(names: Iterable[str]) -> str:
    """What all begin with, up to their first dot; empty if they do not begin alike."""
    firsts = {name.partition(".")[0] if "." in name else "" for name in names}
    return f"{firsts.pop()}." if len(firsts) == 1 and "" not in firsts else ""


def _parts(states: Iterable[tuple[str, dict[str, Tensor]]]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """(where, tensors by the rest of their names) of all that begin alike, the shortest prefixes of a state first."""
    for place, state in states:
        words = (name.split(".")[:-1] for name in state)
        prefixes = dict.fromkeys(".".join(own[:count]) for own in words for count in range(1, len(own) + 1))
        for prefix in sorted(prefixes, key=lambda prefix: prefix.count(".")):
            inside = {name: tensor for name, tensor in state.items() if name.startswith(f"{prefix}.")}
            yield (
                f"{place}.{prefix}" if place else prefix,
                {name.removeprefix(f"{prefix}."): tensor for name, tensor in inside.items()},
            )


def _fitting_parts(
    states: Iterable[tuple[str, dict[str, Tensor]]], wanted: Mapping[str, Tensor]
) -> Iterator[tuple[str, _Fit]]:
    """(where, fit) of the parts that alone are the network; of parts of one another the whole of them."""
    # Told apart by memory, for of tied tensors one may be stored; what is smaller needs no look, which is slow.
    least = len({tensor.data_ptr() for name, tensor in wanted.items() if name.rpartition(".")[2] not in COUNTS})
    for place, state in states:
        found: list[str] = []
        for name, part in _parts([(place, state)]):
            if len(part) < least or any(name.startswith(f"{outer}.") for outer in found):
                continue
            fit = _fit(part, wanted)
            if not fit.problems:
                found.append(name)
                prefix = name.removeprefix(f"{place}.")
                yield name, replace(fit, left_out=tuple(n for n in state if not n.startswith(f"{prefix}.")))


def _problems(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Iterator[str]:
    for name, like in wanted.items():
        if name in state and state[name].shape != like.shape:
            shapes = (" x ".join(map(str, tensor.shape)) or "a number" for tensor in (state[name], like))
            yield f"{name} is {next(shapes)} in the file and {next(shapes)} in the network"
    for name in wanted:
        if name not in state and name.rpartition(".")[2] not in COUNTS:
            yield f"the file lacks {name}{_nearest(name, state.keys() - wanted.keys())}"
    for name in state:
        if name not in wanted and name.rpartition(".")[2] not in COUNTS:
            yield f"the network has no {name}{_nearest(name, wanted.keys() - state.keys())}"


def _nearest(name: str, names: Any) -> str:
    close = difflib.get_close_matches(name, sorted(names), n=1)
    return f" (the nearest is {close[0]})" if close else ""


def _same_memory(a: Tensor, b: Tensor) -> bool:
    return a.numel() > 0 and a.data_ptr() == b.data_ptr() and a.shape == b.shape


def _check(tensor: Tensor, like: Tensor, where: str) -> None:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        raise InputError(f"{where} is sparse, quantised or without values: save plain tensors")
    if tensor.is_complex() != like.is_complex() or tensor.is_floating_point() != like.is_floating_point():
        raise InputError(f"{where} is {_spelt(tensor.dtype)} where the network has {_spelt(like.dtype)}")
    if not tensor.isfinite().all():
        raise InputError(f"{where} holds NaN or infinity: the training diverged, give an earlier checkpoint")
    if not tensor.to(like.dtype).isfinite().all():
        beyond = f"{where} holds numbers beyond the range of {_spelt(like.dtype)}, which the network has"
        raise InputError(f"{beyond}: the training diverged, give an earlier checkpoint")


def _spelt(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _listed(names: Any) -> str:
    named = [name or "the whole file" for name in names]
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return ", ".join(itertools.islice(named, NAMED)) + more
