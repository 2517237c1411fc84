"""What this machine has for tasks: cores, memory and GPUs."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hidden_structure.frame.sections import Hardware

MEMORY = 3 * 2**29  # bytes that a task is thought to need, 1.5 GiB
CGROUP = Path("/sys/fs/cgroup")  # limits of the container, in the second version of control groups or the first
MEMORY_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")


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
    """fork, which costs nothing and shares what is read already; spawn elsewhere than on Linux, and where there is a
    GPU, whose driver does not survive a fork, or more threads than one, which may hang after it."""
    import torch

    plain = sys.platform == "linux" and not torch.cuda.is_available() and hardware.threads == 1
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
    quota, period = _of_container("cpu.max") or _of_container("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us") or (0, 1)
    return max(1, min(count, quota // period)) if quota > 0 else count


def memory() -> int:
    """Bytes that are free within the limit of the container; a machine that does not tell is thought to have enough.

    What the system keeps of files it gives away when asked for it, so it counts as free.
    """
    free = sys.maxsize
    with suppress(OSError, ValueError, StopIteration):
        free = _stated(Path("/proc/meminfo"), "MemAvailable:") * 1024
    for folder, names, cached in (
        (CGROUP, ("memory.max", "memory.current"), ("active_file", "inactive_file")),
        (CGROUP / "memory", MEMORY_V1, ("total_active_file", "total_inactive_file")),
    ):
        if found := _of_container(*(str(folder / name) for name in names)):
            with suppress(OSError, ValueError, StopIteration):
                limit, used = found
                kept = sum(_stated(folder / "memory.stat", name) for name in cached)
                free = min(free, limit - used + kept)
    return free


def _of_container(*names: str) -> tuple[int, ...]:
    """The numbers in these files of the control group; none if one is missing or says that there is no limit."""
    try:
        return tuple(int(word) for name in names for word in (CGROUP / name).read_text().split())
    except (OSError, ValueError):
        return ()


def _stated(file: Path, name: str) -> int:
    """The number after a name at the beginning of a line."""
    return next(int(line.split()[1]) for line in file.read_text().splitlines() if line.split()[0] == name)


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
