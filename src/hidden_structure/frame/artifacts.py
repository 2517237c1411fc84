"""The only module that opens artifact files: safetensors, npz and json; same content, same bytes.

Every file is written beside its place and moved there, so a reader never meets a half-written one; what a killed
process has left beside it the next one removes. Readers check what they give. Nothing is ever unpickled.
"""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from hidden_structure.frame import locking, paths
from hidden_structure.frame.errors import Damaged, InputError, memory_is_short

WRITING = ".writing-"  # how the names of files begin that are not finished
# What a file's content can raise where it is not what the reader takes it for.
UNFIT = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call write on a temporary file in path's folder, then move it to path; on failure leave path as it was.

    Raises OSError that names the path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f"{WRITING}*"):
        locking.remove_left_over(leftover)
    descriptor, temporary = _temporary(path)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
        os.close(descriptor)


def _temporary(path: Path) -> tuple[int, Path]:
    """A new file beside path, locked for as long as it is open, so that nobody takes it for left over."""
    while True:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=WRITING, suffix=path.suffix)
        if locking.hold(descriptor, Path(name)):
            return descriptor, Path(name)
        os.close(descriptor)


def write_json(path: Path, content: Any) -> None:
    """Content as indented JSON; NaN and infinity are refused (ValueError), for JSON has none."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_json(path: Path, holds: type | tuple[type, ...] = object) -> Any:
    """The content of a JSON file, whose outermost value is of that type.

    Raises InputError if it is not, or the file is missing or damaged; numbers that are not finite are damage.
    """

    content = _read(path, lambda: parse_json(path.read_text(encoding="utf-8")))
    if not isinstance(content, holds):
        raise unfit(f"a {type(content).__name__}", path)
    return content


def parse_json(text: str) -> Any:
    """Raises ValueError if it is no JSON, or a number is not finite."""
    return json.loads(text, parse_constant=_finite, parse_float=_finite)


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is no finite number")
    return number


def write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_text(path: Path) -> str:
    """Raises InputError if the file is missing or no UTF-8."""
    return _read(path, lambda: path.read_text(encoding="utf-8"))


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Arrays of numbers or fixed-width strings as an uncompressed npz, in the order of the mapping."""
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise TypeError(f"array {name!r} holds Python objects, which only a pickle could store")

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    write_atomically(path, write)


def read_arrays(path: Path, holds: Mapping[str, tuple[str, int]] | None = None) -> dict[str, np.ndarray]:
    """All arrays of an npz.

    Args:
        holds: arrays that must be among them, each with the kind of its dtype (i: signed, u: unsigned, f: floating
            point, U: text) and its number of axes.

    Raises InputError if one is not so, or the file is missing or damaged.
    """

    def read() -> dict[str, np.ndarray]:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return dict(archive)

    arrays = _read(path, read)
    for name, (kind, axes) in (holds or {}).items():
        if name not in arrays:
            raise unfit(f"no array {name!r}", path)
        if (array := arrays[name]).dtype.kind != kind or array.ndim != axes or not array.size:
            raise unfit(f"{name!r} as {array.dtype} of shape {array.shape}", path)
    return arrays


def read_labels(supervision: str) -> dict[str, np.ndarray]:
    """ "train" and "test" labels int64 (N,) in 0..C-1, the C "names", and of coarse ones "coarse_of"."""
    path = paths.labels(supervision)
    labels = read_arrays(path, paths.COARSE_LABELS if supervision == "coarse" else paths.LABELS)
    for split in ("train", "test"):
        if labels[split].min() < 0 or labels[split].max() >= len(labels["names"]):
            raise unfit(f"{split} labels beyond its {len(labels['names'])} names", path)
    return labels


def read_both_labels() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Fine and coarse labels of the same samples. Raises InputError if they do not belong together."""
    fine, coarse = (read_labels(supervision) for supervision in paths.SUPERVISIONS)
    same = len(coarse["coarse_of"]) == len(fine["names"])
    if not same or any(not np.array_equal(coarse["coarse_of"][fine[s]], coarse[s]) for s in ("train", "test")):
        raise unfit("labels that do not belong to the other's", *map(paths.labels, paths.SUPERVISIONS))
    return fine, coarse


def write_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    """Torch tensors as safetensors. They are copied to contiguous CPU memory; shared storage is stored twice."""
    from safetensors.torch import save

    content = save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})
    write_atomically(path, lambda temporary: temporary.write_bytes(content) and None)


def read_tensors(path: Path, holds: Mapping[str, int | None] | None = None) -> dict[str, Any]:
    """All tensors of a safetensors file.

    Args:
        holds: tensors that must be among them, each with the length of its first axis; None: any.

    Raises InputError if one is not so, or the file is missing or damaged.
    """
    from safetensors.torch import load_file

    def read() -> dict[str, Any]:
        path.open("rb").close()  # for a file that may not be opened the library has words of its own
        return load_file(path)

    tensors = _read(path, read)
    for name, length in (holds or {}).items():
        if name not in tensors:
            raise unfit(f"no tensor {name!r}", path)
        shape = tuple(tensors[name].shape)
        if not shape or length not in (None, shape[0]):
            raise unfit(f"{name!r} of shape {shape}", path)
    return tensors


def arrays_of(files: Iterable[Path]) -> Iterator[np.ndarray]:
    """The bytes of all tensors of one safetensors file after the other: what a stage's results depend on."""
    import torch

    for file in files:
        for _, tensor in sorted(read_tensors(file).items()):
            yield tensor.contiguous().flatten().view(torch.uint8).numpy()


def read_state(path: Path, network: Any) -> dict[str, Any]:
    """The state dict of a network that is built like this one.

    Raises InputError if it is another's, or the file is missing or damaged.
    """
    return check_state(read_tensors(path), network, path)


def check_state(state: dict[str, Any], network: Any, path: Path) -> dict[str, Any]:
    """The same, of a state that was read from the file with other things."""
    wanted, found = ({name: tuple(t.shape) for name, t in each.items()} for each in (network.state_dict(), state))
    if odd := [name for name in sorted(wanted.keys() | found.keys()) if wanted.get(name) != found.get(name)]:
        has = f"of shape {found[odd[0]]}" if odd[0] in found else "missing"
        raise unfit(f"weights of another network than {paths.LABELLED} and params.yaml make ({odd[0]} is {has})", path)
    return state


@contextmanager
def content_of(files: Iterable[Path]) -> Iterator[None]:
    """What cannot be worked with inside the block is the fault of these files; asked for which only then.

    Raises InputError that names them in place of what Python says of missing names, odd types and impossible values.
    """
    try:
        yield
    except InputError as error:
        named = any(str(file) in str(error) for file in files)
        raise error if named else Damaged(f"{error} (in {', '.join(map(str, dict.fromkeys(files)))})") from error
    except UNFIT as error:
        raise unfit(f"what cannot be worked with ({type(error).__name__}: {error})", *files) from error


def _read(path: Path, read: Callable[[], Any]) -> Any:
    if not path.is_file():
        raise Damaged(f"{path} is missing: run `dvc repro` to make it")
    try:
        return read()
    except Exception as error:  # the readers raise a dozen types; nearly all mean the same to the user
        if memory_is_short(error):
            raise MemoryError(f"{path}: {error}") from error
        if isinstance(error, OSError) and error.errno is not None:  # the file itself may be sound
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise Damaged(f"{path} is damaged ({error}): {_mend(path)}") from error


def unfit(found: str, *files: Path) -> Damaged:
    """What to say of a file, or of one of several, whose content is not what a stage of this study writes."""
    first, *others = dict.fromkeys(files)
    if not others:
        return Damaged(f"{first} is not what its stage writes, it holds {found}: {_mend(first)}")
    where = ", ".join(map(str, (first, *others)))
    mend = "`dvc status` says which, and `dvc checkout` or `dvc repro -f` mends it"
    return Damaged(f"one of {where} is not what its stage writes, it holds {found}: {mend}")


def _mend(path: Path) -> str:
    """How to get a sound file in place of this one."""
    if paths.RESUME in path.parents:
        return "delete it, and its training starts anew"
    stage, kept = _maker(path)
    remake = f"run `dvc repro -f {stage}`"
    return f"run `dvc checkout {path}`, and if that does not help {remake}" if kept else remake


def _maker(path: Path) -> tuple[str, bool]:
    """The stage of dvc.yaml that makes the file, and whether DVC keeps a copy of it."""
    from ruamel.yaml import YAML

    if not Path("dvc.yaml").is_file():
        return "<its stage>", True
    stages = YAML(typ="safe", pure=True).load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name, stage in stages.items():
        for item in stage.get("foreach", [""]):
            do = stage.get("do", stage)
            for out in do.get("outs", []) + do.get("plots", []) + do.get("metrics", []):
                ((pattern, settings),) = out.items() if isinstance(out, dict) else [(out, {})]
                pattern = pattern.replace("${item}", item).replace("${study}", "*")
                if fnmatch(str(path), pattern) or fnmatch(str(path), f"{pattern}/*"):
                    return f"{name}@{item}" if item else name, settings.get("cache", True)
    return "<its stage>", True


def copy(source: Path, target: Path) -> None:
    write_atomically(target, lambda temporary: shutil.copyfile(source, temporary) and None)


def clear(folder: Path) -> None:
    """Make an empty folder, in place of whatever another run has left there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def publish(folder: Path, files: Mapping[Path, Path]) -> None:
    """Copy finished files, {target inside the folder: source}, and remove all else that the folder holds.

    Raises Damaged, and leaves the folder as it is, if a source is missing.
    """
    for source in files.values():
        if not source.is_file():
            raise Damaged(f"{source} is missing: delete {paths.RESUME}, and what it kept is computed anew")
    clear(folder)
    for target, source in files.items():
        copy(source, target)
