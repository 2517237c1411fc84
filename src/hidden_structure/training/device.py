"""The device and precision that the networks compute with."""

import ctypes
import os
import platform
from contextlib import AbstractContextManager

import torch
from threadpoolctl import threadpool_limits
from torch import nn

from hidden_structure.frame import machine
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Hardware

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # parameters of glibc's mallopt


def pick_device(hardware: Hardware) -> torch.device:
    """The device asked for; auto takes CUDA, then MPS, then the CPU. Under torchrun each process gets its own GPU.

    Raises InputError if the device asked for is not there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = next(name for name in available if available[name]) if hardware.device == "auto" else hardware.device
    if not available[name]:
        raise InputError(f"hardware.device: {name} is not available on this machine: use auto or cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if name == "cuda" else torch.device(name)


def pick_precision(hardware: Hardware, device: torch.device) -> torch.dtype:
    """The type that products are computed in; auto takes bfloat16 where the hardware multiplies it natively."""
    if hardware.precision != "auto":
        return getattr(torch, hardware.precision)
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        native = device.type == "cpu" and any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.bfloat16 if native else torch.float32


def memory_format(network: nn.Module, device: torch.device) -> torch.memory_format:
    """The layout in memory of a network's weights and of the images that it is trained on.

    Channels-last is the fastest, but on MPS, and where it is not safe: without AVX-512, oneDNN's gradient of a 1x1
    convolution with a stride and fewer than 8 input channels writes beyond its memory (oneDNN issue 6035). The
    processor is not asked, so that it does not decide the layout.
    """
    fails = device.type == "cpu" and any(_overruns(module) for module in network.modules())
    return torch.contiguous_format if fails or device.type == "mps" else torch.channels_last


def _overruns(module: nn.Module) -> bool:
    if not isinstance(module, nn.Conv2d):
        return False
    return module.kernel_size == (1, 1) and max(module.stride) > 1 and module.in_channels // module.groups < 8


def place(network: nn.Module, device: torch.device) -> nn.Module:
    """The network itself, moved to the device and laid out as it is fastest there."""
    return network.to(device=device, memory_format=memory_format(network, device))


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager:
    return torch.autocast(device.type, precision, enabled=precision != torch.float32)


def describe(device: torch.device, precision: torch.dtype, processes: int) -> dict[str, str | int]:
    """The provenance of a result: what `auto` became, and what else the last bits depend on."""
    found = machine.computing(str(device))
    return {
        **{key: found[key] for key in ("device", "processor", "instructions")},
        "precision": str(precision).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "processes": processes,
        **{key: found[key] for key in ("python", "torch")},
    }


def compute_deterministically(threads: int) -> None:
    """Same bytes from the same machine, with that many threads; an operation without a deterministic form on a GPU says
    so in a warning."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts
    torch.set_deterministic_debug_mode("warn")  # what use_deterministic_algorithms sets, without importing a compiler
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing here reads what it has not written
    torch.backends.cudnn.allow_tf32 = False  # what is computed in float32 is to be correct to float32 on GPUs, too
    _keep_freed_memory()
    torch.set_num_threads(threads)
    threadpool_limits(threads)


def _keep_freed_memory() -> None:
    """Let glibc take large tensors from the memory of those before them, instead of asking the system for each, which
    then clears every page: an eighth of the time that small networks with large activations train."""
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(MMAP_MAX, 0)
        library.mallopt(TRIM_THRESHOLD, 2**31 - 1)
