"""The state of a training in one file, so that a training survives a kill, or two networks part from one."""

import json
from pathlib import Path

import torch

from hidden_structure.frame.artifacts import check_state, content_of, parse_json, read_tensors, write_tensors
from hidden_structure.networks.weights import load_state
from hidden_structure.training.averaging import averaged
from hidden_structure.training.loop import TrainingState


def save(path: Path, state: TrainingState) -> None:
    """Network, optimizer, average, place in the schedule and history as one safetensors file."""
    tensors = {f"network/{name}": tensor for name, tensor in state.network.state_dict().items()}
    for index, slots in state.optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer/{index}/{name}": torch.as_tensor(slot) for name, slot in slots.items() if slot is not None
        }
    if state.average is not None:
        tensors |= {f"average/{name}": tensor for name, tensor in state.average.tensors.items()}
    record = {"epoch": state.epoch, "history": state.history} | ({"batch": state.batch} if state.batch else {})
    text = json.dumps(record).encode()
    write_tensors(path, tensors | {"record": torch.frombuffer(bytearray(text), dtype=torch.uint8)})


def reached(path: Path) -> tuple[int, int]:
    """Epochs done, and batches of the next, of what `save` wrote; (-1, 0) if nothing was written yet.

    Raises InputError if the file is damaged, or holds anything else.
    """
    if not path.is_file():
        return -1, 0
    record = read_tensors(path, {"record": None})["record"]
    with content_of([path]):
        found = parse_json(bytes(record.tolist()).decode())
        return found["epoch"], found.get("batch", 0)


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
        epoch, batch, history = record["epoch"], record.get("batch", 0), record["history"]
        if type(batch) is not int or batch < 0:
            raise ValueError("its place in the epoch is none")
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
    if state.average is not None:
        before = averaged(state.network)  # a child may average where its trunk does not: it begins with its weights
        for name, tensor in state.average.tensors.items():
            tensor.copy_(average.get(name, before[name]))
    state.epoch, state.batch, state.history = epoch, batch, history
    return True
