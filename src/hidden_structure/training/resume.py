"""Training that survives a kill: the whole state in one file, written between epochs.

Its folder is named after everything that the run depends on, so a state made by other params, code or data is never
taken up.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

import hidden_structure
from hidden_structure.frame import paths, yaml_files
from hidden_structure.frame.artifacts import check_state, content_of, parse_json, read_tensors, write_tensors
from hidden_structure.networks.weights import load_state
from hidden_structure.training import distributed
from hidden_structure.training.averaging import averaged
from hidden_structure.training.loop import TrainingState


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
    if distributed.share()[0] == 0:
        forget(folder)


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


def save(path: Path, state: TrainingState) -> None:
    """Network, optimizer, epoch and history as one safetensors file."""
    tensors = {f"network/{name}": tensor for name, tensor in state.network.state_dict().items()}
    for index, slots in state.optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer/{index}/{name}": torch.as_tensor(slot) for name, slot in slots.items() if slot is not None
        }
    if state.average is not None:
        tensors |= {f"average/{name}": tensor for name, tensor in state.average.tensors.items()}
    record = json.dumps({"epoch": state.epoch, "history": state.history}).encode()
    write_tensors(path, tensors | {"record": torch.frombuffer(bytearray(record), dtype=torch.uint8)})


def load(path: Path, state: TrainingState) -> bool:
    """Put what `save` wrote into a freshly started state, in place; False if nothing was written yet.

    Raises InputError if the file is damaged, or holds anything else.
    """
    if not path.is_file():
        return False
    tensors = read_tensors(path, {"record": None})
    parameters = [parameter for group in state.optimizer.param_groups for parameter in group["params"]]
    with content_of([path]):
        record = parse_json(bytes(tensors.pop("record").tolist()).decode())
        epoch, history = record["epoch"], record["history"]
        if [row["epoch"] for row in history] != list(range(epoch + 1)):
            raise ValueError("its history is not of its epochs")
        network = {name.removeprefix("network/"): t for name, t in tensors.items() if name.startswith("network/")}
        average = {name.removeprefix("average/"): t for name, t in tensors.items() if name.startswith("average/")}
        slots: dict[int, dict[str, torch.Tensor]] = {}
        for name in (name for name in tensors if not name.startswith(("network/", "average/"))):
            _, index, slot = name.split("/")
            if tensors[name].shape not in (parameters[int(index)].shape, ()):
                raise ValueError(f"{name} is of another network")
            slots.setdefault(int(index), {})[slot] = tensors[name]
        if any(name not in network or tensor.shape != network[name].shape for name, tensor in average.items()):
            raise ValueError("its average is of another network")
    load_state(state.network, check_state(network, state.network, path))
    state.optimizer.load_state_dict({**state.optimizer.state_dict(), "state": slots})
    # Fused optimizers walk parameter and momentum in memory order, so the two must have the same strides.
    for parameter in parameters:
        for slot, value in state.optimizer.state.get(parameter, {}).items():
            if value.shape == parameter.shape:
                state.optimizer.state[parameter][slot] = torch.empty_like(parameter).copy_(value)
    if (
        state.average is not None
    ):  # a child may average where its trunk does not: it begins with the weights as they are
        state.average.tensors |= averaged(state.network)
        state.average.tensors |= average
    state.epoch, state.history = epoch, history
    return True


def forget(folder: Path) -> None:
    """Remove a finished run; renamed first, so that a kill in between leaves nothing that could be taken up."""
    if folder.is_dir():
        finished = folder.with_name(f"finished-{folder.name}")
        shutil.rmtree(finished, ignore_errors=True)
        folder.rename(finished)
        shutil.rmtree(finished, ignore_errors=True)
