"""Where and how precisely the networks compute."""

import os
import platform
from contextlib import AbstractContextManager

import torch

from hidden_structure.errors import InputError
from hidden_structure.params import Hardware


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


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager:
    return torch.autocast(device.type, precision, enabled=precision != torch.float32)


def describe(device: torch.device, precision: torch.dtype, processes: int) -> dict[str, str | int]:
    """What computed, for a result's provenance: what `auto` became, and what else the last bits depend on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "device": device.type,
        "processor": name,
        "precision": str(precision).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def compute_deterministically() -> None:
    """Same bytes from the same machine; an operation without a deterministic form on a GPU says so in a warning."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts
    torch.use_deterministic_algorithms(True, warn_only=True)
