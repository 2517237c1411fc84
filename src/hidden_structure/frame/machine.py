"""What this machine has for tasks: cores, memory and GPUs."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hidden_structure.frame.sections import Hardware

MEMORY = 3 * 2**29  # bytes that a task is thought to need, 1.5 GiB
CGROUP = Path("/sys/fs/cgroup")


def workers(asked: int | None, hardware: Hardware, tasks: int) -> int:
    """How many tasks to run at once: as asked, or as many as cores, memory and GPUs allow; never more than tasks.

    Processes that train one network together (torchrun) run one task after another.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return 1
    if asked is None:
        kind = device(hardware)
        fit = {"cuda": max(1, len(gpus())), "mps": 1}.get(kind, cores() // hardware.threads)
        asked = min(fit, memory() // MEMORY) if kind == "cpu" else fit
    return max(1, min(asked, tasks))


def device(hardware: Hardware) -> str:
    """cuda, mps or cpu: what `auto` becomes."""
    import torch

    if hardware.device != "auto":
        return hardware.device
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def start_method(hardware: Hardware) -> str:
    """fork, which costs nothing and shares what is read already; spawn elsewhere than on Linux, with a GPU or with more
    threads than one, where a forked process may hang."""
    plain = sys.platform == "linux" and device(hardware) == "cpu" and hardware.threads == 1
    return "fork" if plain else "spawn"


def gpus() -> list[str]:
    """As CUDA_VISIBLE_DEVICES names them."""
    import torch

    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named or [str(index) for index in range(torch.cuda.device_count())]


def gpu(hardware: Hardware, slot: int) -> str | None:
    """The GPU of the worker in that slot; None on a machine without."""
    if device(hardware) != "cuda":
        return None
    return gpus()[slot % len(gpus())]


def cores() -> int:
    """Those that this process may use, by its affinity and the limit of its container."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = (CGROUP / "cpu.max").read_text().split()
        count = min(count, max(1, int(quota) // int(period)))
    return count


def memory() -> int:
    """Bytes that are free within the limit of the container; a machine that does not tell is thought to have enough."""
    free = sys.maxsize
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    with suppress(OSError, ValueError):
        limit, used = (int((CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        free = min(free, limit - used)
    return free


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with that many threads inside, in torch as in the libraries of numpy and scikit-learn."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)
