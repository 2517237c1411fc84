"""The only module that opens artifact files: safetensors, npz and json; same content, same bytes.

Every file is written beside its place and moved there, so a reader never meets a half-written one. Nothing is
ever unpickled.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hidden_structure.errors import InputError


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call write on a temporary file in path's folder, then move it to path; on failure leave path as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix=path.suffix)
    os.close(descriptor)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Content as indented JSON; NaN and infinity are refused (ValueError), for JSON has none."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> Any:
    return _read(path, lambda: json.loads(path.read_text(encoding="utf-8")))


def write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Arrays of numbers or fixed-width strings as an uncompressed npz, in the order of the mapping."""
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise TypeError(f"array {name!r} holds Python objects, which only a pickle could store")

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    write_atomically(path, write)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    def read() -> dict[str, np.ndarray]:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return dict(archive)

    return _read(path, read)


def write_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    """Torch tensors as safetensors. They are copied to contiguous CPU memory; shared storage is stored twice."""
    from safetensors.torch import save

    content = save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})
    write_atomically(path, lambda temporary: temporary.write_bytes(content) and None)


def read_tensors(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return _read(path, lambda: load_file(path))


def _read(path: Path, read: Callable[[], Any]) -> Any:
    if not path.is_file():
        raise InputError(f"{path} is missing: run `dvc repro` to make it")
    try:
        return read()
    except Exception as error:  # the readers raise a dozen types; each means the same to the user
        raise InputError(f"{path} is damaged ({error}): delete it and run `dvc repro`") from error


def copy(source: Path, target: Path) -> None:
    write_atomically(target, lambda temporary: shutil.copyfile(source, temporary) and None)
