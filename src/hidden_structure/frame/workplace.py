"""Where a stage keeps what it has done so far: a folder named after all that it depends on, until it is finished.

So work that was cut short is gone on with, and never that of other params, code or data.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import hidden_structure
from hidden_structure.frame import paths, yaml_files


@contextmanager
def workplace(stage: str, described: dict, arrays: Iterable[np.ndarray]) -> Iterator[Path]:
    """The folder where a stage keeps what it has done so far, removed once the block has ended without an error.

    Args:
        stage: as DVC names it, and for each item of a foreach: "spawn", "train@fine".
        described: JSON-able: all params that the results depend on, and what computes (`device.describe`).
        arrays: the data that they depend on.
    """
    folder = paths.RESUME / f"{stage}-{fingerprint(described, code_of(stage), arrays)}"
    yield folder
    if int(os.environ.get("RANK", "0")) == 0:  # of several processes the first
        _forget(folder)


def code_of(stage: str, pipeline: Path = Path("dvc.yaml")) -> list[Path]:
    """The Python files that the stage depends on, as dvc.yaml says; those of this whole package where it is not there,
    or not beside what it names.

    Half a run by other code would be no run of either, but code that the stage does not use may change meanwhile.
    """
    dependencies: list[Path] = []
    if pipeline.is_file():
        entry = yaml_files.read(pipeline)["stages"][stage.partition("@")[0]]
        deps = entry.get("do", entry)["deps"]
        dependencies = [pipeline.parent / path.replace("${item}", stage.partition("@")[2]) for path in deps]
    if not dependencies or not all(path.exists() for path in dependencies):
        dependencies = [Path(hidden_structure.__file__).parent]
    inside = [file for path in dependencies if path.is_dir() for file in path.rglob("*.py")]
    return sorted({*inside, *(path for path in dependencies if path.suffix == ".py")})


def fingerprint(described: dict, code: Iterable[Path], arrays: Iterable[np.ndarray]) -> str:
    """16 hexadecimal digits that depend on a JSON-able description, and on the content of files and arrays."""
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for file in code:
        digest.update(file.read_bytes())
    for array in arrays:
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()[:16]


def _forget(folder: Path) -> None:
    """Remove a finished run; renamed first, so that a kill in between leaves nothing that could be taken up."""
    if folder.is_dir():
        finished = folder.with_name(f"finished-{folder.name}")
        shutil.rmtree(finished, ignore_errors=True)
        folder.rename(finished)
        shutil.rmtree(finished, ignore_errors=True)
