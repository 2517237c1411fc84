import platform

import pytest
import torch
from torch import nn

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.machine import processor
from hidden_structure.frame.params import Hardware
from hidden_structure.networks.mlp import MLP
from hidden_structure.networks.resnet import ResNet
from hidden_structure.training.device import (
    autocast,
    describe,
    memory_format,
    pick_device,
    pick_precision,
    place,
)

CPU = torch.device("cpu")


def hardware(device="cpu", precision="auto"):
    return Hardware(device=device, precision=precision, threads=1)


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


X86 = "processor\t: 0\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Xeon\n\nmodel name\t: other\n"
ARM = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (X86, "Xeon, cpu family 6, model 143"),
        (X86.replace("143", "85"), "Xeon, cpu family 6, model 85"),
        (ARM, "aarch64, implementer 0x41, part 0xd40"),
        ("", "aarch64"),
    ],
)
def test_models_of_processors_are_told_apart_even_where_they_share_a_name(tmp_path, monkeypatch, text, expected):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    (tmp_path / "cpuinfo").write_text(text)
    assert processor(tmp_path / "cpuinfo") == expected


def test_without_cpuinfo_there_is_still_a_name(tmp_path):
    assert processor(tmp_path / "missing")


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "another"),
        lambda patch: patch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}),
        lambda patch: patch.setattr("hidden_structure.frame.machine.processor", lambda: "another"),
        lambda patch: patch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41"),
    ],
    ids=["instruction set", "extension", "model", "limit"],
)
def test_processors_that_may_compute_other_bits_are_described_otherwise(monkeypatch, change):
    before = describe(CPU, torch.float32, 1)
    assert before == describe(CPU, torch.float32, 1)
    change(monkeypatch)
    after = describe(CPU, torch.float32, 1)
    assert sum(before[key] != after[key] for key in before) == 1


def test_of_a_gpu_its_name_and_its_libraries_are_described(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "H100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 92600)
    found = describe(torch.device("cuda", 0), torch.float32, 1)
    assert found["processor"] == "H100"
    assert found["instructions"] == "compute capability 9.0, CUDA 13.2, cuDNN 92600"


@pytest.mark.parametrize(
    ("network", "safe"),
    [
        (MLP(12, 3, 1, 4, "none"), True),
        (ResNet(3, 3, 8, 8, "batch"), True),
        (ResNet(3, 3, 8, 4, "batch"), False),  # the shortcut of its second stage
        (nn.Conv2d(7, 9, 1, stride=2), False),
        (nn.Conv2d(7, 9, 1, stride=(1, 2)), False),
        (nn.Conv2d(16, 16, 1, stride=2, groups=4), False),
        (nn.Conv2d(8, 9, 1, stride=2), True),
        (nn.Conv2d(7, 9, 1), True),
        (nn.Conv2d(7, 9, 3, stride=2), True),
    ],
    ids=str,
)
def test_channels_last_is_left_out_where_its_gradients_are_not_safe(network, safe):
    assert memory_format(network, CPU) == (torch.channels_last if safe else torch.contiguous_format)
    assert memory_format(network, torch.device("cuda")) == torch.channels_last
    assert memory_format(network, torch.device("mps")) == torch.contiguous_format
    for parameter in place(network, CPU).parameters():
        if parameter.dim() == 4:
            assert parameter.is_contiguous(memory_format=memory_format(network, CPU))
