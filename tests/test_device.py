import pytest
import torch

from hidden_structure.device import autocast, pick_device, pick_precision
from hidden_structure.errors import InputError
from hidden_structure.params import Hardware

CPU = torch.device("cpu")


def hardware(device="cpu", precision="auto"):
    return Hardware(device=device, precision=precision)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_auto_takes_the_fastest_device_there_is(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert pick_device(hardware("auto")).type == expected


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_named(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match=rf"hardware\.device: {device}"):
        pick_device(hardware(device))


def test_each_launched_process_gets_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert pick_device(hardware("cuda")) == torch.device("cuda", 3)


@pytest.mark.parametrize(("capabilities", "expected"), [({"avx512_bf16": True}, torch.bfloat16), ({}, torch.float32)])
def test_auto_precision_is_bfloat16_where_the_processor_has_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert pick_precision(hardware(), CPU) == expected
    assert pick_precision(hardware(precision="float32"), CPU) == torch.float32


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_autocast_multiplies_in_the_precision_asked_for(precision):
    with autocast(CPU, precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == precision
