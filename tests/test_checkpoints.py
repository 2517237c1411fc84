"""Checkpoints are read whatever wrote them, fit or are refused in one line, and never run code."""

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from hidden_structure.frame.errors import InputError
from hidden_structure.networks.checkpoints import read
from hidden_structure.seeding import global_seed


def made(outputs=3, norm=True) -> nn.Module:
    with global_seed("checkpoints", outputs):
        layers = [nn.Linear(4, 8), *([nn.BatchNorm1d(8)] if norm else []), nn.ReLU(), nn.Linear(8, outputs)]
        network = nn.Sequential(*layers)
    network(torch.arange(20.0).view(5, 4))  # statistics other than a new network's
    return network.eval()


@pytest.fixture
def network():
    return made()


def prefixed(state, prefix):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


WRAPPED = {  # what loops of training write -> the notes on it
    "as it is": (lambda state: state, ()),
    "nested": (lambda state: {"epoch": 3, "state_dict": state}, ("taken from state_dict",)),
    "model": (lambda state: {"model": state, "optimizer": {"state": {0: {"momentum_buffer": torch.ones(2)}}}}, None),
    "deep": (lambda state: {"a": {"net": state}, "loss": torch.ones(3)}, ("taken from a.net",)),
    "parallel": (lambda state: prefixed(state, "module."), ("prefix module. taken off",)),
    "compiled": (lambda state: prefixed(state, "module._orig_mod."), ("prefix module._orig_mod. taken off",)),
    "lightning": (lambda state: {"state_dict": prefixed(state, "model."), "hyper_parameters": {"lr": 0.1}}, None),
    "a whole and its average": (lambda state: {"model": {"0.weight": state["0.weight"]}, "ema": state}, None),
}


@pytest.mark.parametrize("how", WRAPPED)
def test_the_state_is_found_wherever_it_lies(network, how, tmp_path):
    wrap, notes = WRAPPED[how]
    torch.save(wrap(dict(network.state_dict())), tmp_path / "a.pt")
    found = read(str(tmp_path / "a.pt"), made())
    assert found.state.keys() == network.state_dict().keys()
    assert all(torch.equal(tensor, found.state[name]) for name, tensor in network.state_dict().items())
    assert notes is None or found.notes == notes


def test_every_format_gives_the_same_state(network, tmp_path):
    state = network.state_dict()
    torch.save(state, tmp_path / "a.pt")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "a.safetensors")
    save_file(state, tmp_path / "misnamed.pt")
    torch.save(AveragedModel(network).state_dict(), tmp_path / "average.pt")
    for file in sorted(tmp_path.iterdir()):
        found = read(str(file), made()).state
        assert all(torch.equal(tensor, found[name]) for name, tensor in state.items()), file


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors", "a", "a.zip"])
@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
def test_a_format_is_told_by_its_content_whatever_the_name(kind, name, network, tmp_path):
    if kind == "safetensors":
        save_file(network.state_dict(), tmp_path / name)
    else:
        torch.save(network.state_dict(), tmp_path / name, _use_new_zipfile_serialization=kind == "zip")
    assert torch.equal(read(str(tmp_path / name), made()).state["0.weight"], network.state_dict()["0.weight"])


def test_other_types_are_converted_and_said_so(network, tmp_path):
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        state = {name: t.to(dtype) if t.is_floating_point() else t for name, t in network.state_dict().items()}
        torch.save(state, tmp_path / "a.pt")
        found = read(str(tmp_path / "a.pt"), made())
        assert found.notes == (f"{str(dtype).removeprefix('torch.')} made float32",)
        assert {t.dtype for t in found.state.values()} == {t.dtype for t in network.state_dict().values()}
        torch.testing.assert_close(found.state["0.weight"], network.state_dict()["0.weight"], rtol=0.01, atol=0.01)


def test_tensors_that_share_memory_are_stored_once_by_safetensors(tmp_path):
    def tied():
        network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        network[1].weight = network[0].weight
        return network

    network = tied()
    save_file({name: t for name, t in network.state_dict().items() if name != "1.weight"}, tmp_path / "a.safetensors")
    assert torch.equal(read(str(tmp_path / "a.safetensors"), tied()).state["1.weight"], network[0].weight)


def test_counts_that_no_output_depends_on_may_be_lacking(network, tmp_path):
    state = {name: t for name, t in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "a.pt")
    assert torch.equal(read(str(tmp_path / "a.pt"), made()).state["1.running_mean"], state["1.running_mean"])


def test_of_several_states_that_fit_one_must_be_named(network, tmp_path):
    other = {name: tensor + 1 for name, tensor in network.state_dict().items()}
    torch.save({"model": network.state_dict(), "ema": other}, tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"holds 2 states that fit, model, ema: name one, .*a\.pt#model"):
        read(str(tmp_path / "a.pt"), made())
    assert torch.equal(read(f"{tmp_path / 'a.pt'}#ema", made()).state["0.weight"], other["0.weight"])
    with pytest.raises(InputError, match=r"has no state mean: it has model, ema"):
        read(f"{tmp_path / 'a.pt'}#mean", made())


def beside(network, **others):
    """What Lightning saves of a module that holds the network and others."""
    state = prefixed(network.state_dict(), "model.")
    for name, tensors in others.items():
        state |= prefixed(tensors, f"{name}.")
    return {"epoch": 1, "state_dict": state}


def test_what_lies_beside_the_network_is_left_out_and_said_so(network, tmp_path):
    file, others = str(tmp_path / "a.ckpt"), {"criterion": {"weight": torch.ones(3)}, "head": {"bias": torch.ones(2)}}
    torch.save(beside(network, **others), file)
    found = read(file, made())
    assert all(torch.equal(tensor, found.state[name]) for name, tensor in network.state_dict().items())
    assert found.notes == ("taken from state_dict.model", "left out criterion.weight, head.bias")
    torch.save(beside(network, **others)["state_dict"], file)
    assert read(file, made()).notes[0] == "taken from model"
    with pytest.raises(InputError, match="does not fit the network"):
        read(file, made(4))


def test_prefixes_below_one_that_all_share_are_looked_into(network, tmp_path):
    state = prefixed(network.state_dict(), "module.net._orig_mod.") | {"module.criterion.weight": torch.ones(3)}
    torch.save(state, tmp_path / "a.ckpt")
    found = read(str(tmp_path / "a.ckpt"), made())
    assert torch.equal(found.state["0.weight"], network.state_dict()["0.weight"])
    assert "left out module.criterion.weight" in found.notes


def test_of_several_networks_in_one_state_one_must_be_named(network, tmp_path):
    file, other = str(tmp_path / "a.ckpt"), {name: tensor + 1 for name, tensor in network.state_dict().items()}
    torch.save(beside(network, ema_model=other), file)
    said = r"holds 2 states that fit, state_dict\.model, state_dict\.ema_model: name one, .*a\.ckpt#state_dict\.model"
    with pytest.raises(InputError, match=said):
        read(file, made())
    found = read(f"{file}#state_dict.ema_model", made())
    assert torch.equal(found.state["0.weight"], other["0.weight"])
    assert found.notes[0] == "taken from state_dict.ema_model"
    with pytest.raises(InputError, match=r"has no state state_dict\.ema: it has state_dict"):
        read(f"{file}#state_dict.ema", made())
    torch.save(beside(network, ema_model=other)["state_dict"], file)
    assert torch.equal(read(f"{file}#ema_model", made()).state["0.weight"], other["0.weight"])


def test_states_of_one_dotted_name_are_several(network, tmp_path):
    state, file = network.state_dict(), str(tmp_path / "a.pt")
    torch.save({"a.b": {"c": state}, "a": {"b.c": state}}, file)
    for name in (file, f"{file}#a.b.c"):
        with pytest.raises(InputError, match=r"holds 2 states that fit, a\.b\.c, a\.b\.c: save the one that is meant"):
            read(name, made())
    torch.save({"a.b": {"c": state}, "a": {"b.c": {"other": torch.ones(1)}}}, file)
    assert torch.equal(read(file, made()).state["0.weight"], state["0.weight"])
    torch.save({"ema": state, **state}, file)
    with pytest.raises(InputError, match=r"fit, the whole file, ema: name one, .*a\.pt#ema"):
        read(file, made())


@pytest.mark.parametrize("name", ["~a.pt", "~none/a.pt", "~none#a.pt"])
def test_a_name_that_begins_as_a_home_that_is_not_there_is_a_name(network, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^~\S+ is missing: give the file of a checkpoint$"):
        read(name, made())
    (tmp_path / name).parent.mkdir(exist_ok=True)
    torch.save(network.state_dict(), tmp_path / name)
    assert torch.equal(read(name, made()).state["0.weight"], network.state_dict()["0.weight"])


class Hostile:
    def __reduce__(self):
        return os.mkdir, (os.environ["HOSTILE"],)


def spoilt(path, kind):
    """A file that is no checkpoint of the network."""
    state = dict(made().state_dict())
    if kind == "code":
        torch.save({"model": state, "extra": Hostile()}, path)
    elif kind == "bare pickle":
        path.write_bytes(pickle.dumps(Hostile()))
    elif kind == "whole network":
        torch.save(made(), path)
    elif kind == "old whole network":
        torch.save(made(), path, _use_new_zipfile_serialization=False)
    elif kind == "numpy":
        torch.save({"model": state, "best": np.float64(0.9)}, path)
    elif kind in ("half", "nearly"):
        torch.save(state, path)
        path.write_bytes(path.read_bytes()[: -30 if kind == "nearly" else 2000])
    elif kind == "cut safetensors":
        save_file(state, path)
        path.write_bytes(path.read_bytes()[:-20])
    elif kind in ("empty", "text"):
        path.write_bytes(b"" if kind == "empty" else b"<html>not found</html>")
    elif kind == "script":
        torch.jit.script(made()).save(path)
    elif kind == "list":
        torch.save([1, 2], path)
    elif kind == "classes":
        torch.save(made(5).state_dict(), path)
    elif kind == "architecture":
        torch.save(made(norm=False).state_dict(), path)
    elif kind == "renamed":
        torch.save({name.replace("0.weight", "0.weights"): t for name, t in state.items()}, path)
    elif kind == "nan":
        torch.save(state | {"0.bias": torch.full((8,), float("nan"))}, path)
    elif kind == "beyond":
        torch.save(state | {"0.bias": torch.full((8,), 1e39, dtype=torch.float64)}, path)
    elif kind == "integers":
        torch.save(state | {"0.bias": torch.ones(8, dtype=torch.int8)}, path)
    elif kind == "sparse":
        torch.save(state | {"0.weight": state["0.weight"].to_sparse()}, path)


REFUSED = {
    "code": "which only running code of the file could restore, and that is never done",
    "bare pickle": "is damaged, or neither safetensors nor a checkpoint of PyTorch",
    "whole network": r"holds torch\.nn.* and \d more, which only running code",
    "old whole network": "holds more than tensors, which only running code",
    "numpy": r"holds numpy.*, which only running code",
    "half": "is damaged",
    "nearly": "is damaged",
    "cut safetensors": "is damaged",
    "empty": "is damaged",
    "text": "is damaged",
    "list": "holds no tensors by name",
    "script": "holds TorchScript, which only running code of the file could restore",
    "classes": r"does not fit the network \(built for tests\): 3\.weight is 5 x 8 in the file and 3 x 8 in the network",
    "architecture": r"the file lacks 1\.weight.*, and \d+ more differ",
    "renamed": r"the file lacks 0\.weight \(the nearest is 0\.weights\), and 1 more differ",
    "nan": r"0\.bias holds NaN or infinity",
    "beyond": r"0\.bias holds numbers beyond the range of float32, which the network has",
    "integers": r"0\.bias is int8 where the network has float32",
    "sparse": r"0\.weight is sparse",
    "missing": "is missing: give the file of a checkpoint",
}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore:`torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_checkpoint_is_refused_in_one_line_and_nothing_runs(kind, name, tmp_path, monkeypatch):
    monkeypatch.setenv("HOSTILE", str(tmp_path / "made by code"))
    spoilt(tmp_path / name, kind)
    with pytest.raises(InputError, match=REFUSED[kind]) as told:
        read(str(tmp_path / name), made(), "tests")
    assert "\n" not in str(told.value)
    assert str(tmp_path / name) in str(told.value)
    assert not (tmp_path / "made by code").exists()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_large_checkpoint_that_was_cut_short_is_damaged(share, tmp_path):
    """Of one that is larger than what is looked through for its end, PyTorch's reader says "Invalid argument"."""
    torch.save({"weight": torch.zeros(256, 256)}, tmp_path / "a.pt")
    whole = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match="is damaged, or neither safetensors nor a checkpoint"):
        read(str(tmp_path / "a.pt"), made())


def test_a_layer_before_the_model_is_no_part_of_its_names(network, tmp_path):
    """As that before torchvision's models, which repeats grey images: files are of the model alone, or of both."""
    behind = nn.Sequential(OrderedDict(repeat=nn.Identity(), model=network))
    for state in (network.state_dict(), behind.state_dict()):
        torch.save(state, tmp_path / "a.pt")
        found = read(str(tmp_path / "a.pt"), behind)
        assert found.notes == ()
        assert found.state.keys() == behind.state_dict().keys()
        assert all(torch.equal(found.state[name], tensor) for name, tensor in behind.state_dict().items())
    torch.save(made(5).state_dict(), tmp_path / "b.pt")
    with pytest.raises(InputError, match=r"network: 3\.weight is 5 x 8 in the file and 3 x 8 in the network"):
        read(str(tmp_path / "b.pt"), behind)
