"""What this machine has for tasks: cores, memory and GPUs; and what it computes with."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hidden_structure.frame.sections import Hardware

MEMORY = 3 * 2**29  # bytes that a task is thought to need, 1.5 GiB
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")  # limits of the container, in the second version of control groups or the first
MEMORY_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")
# What a processor may have beyond the level that PyTorch names: oneDNN and MKL choose their kernels by these ...
EXTENSIONS = ("fma3", "avx_vnni", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_fp16", "sve", "bf16")
# ... unless one of these variables keeps them from it.
LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR")


def workers(asked: int | None, hardware: Hardware, tasks: int) -> int:
    """How many tasks to run at once: as asked, or as many as cores, memory and GPUs allow; never more than tasks.

    Processes that train one network together (torchrun) run one task after another.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return 1
    if asked is None:
        kind = device(hardware)
        if kind == "cpu":
            asked = min(cores() // hardware.threads, memory() // MEMORY)
        else:
            asked = len(gpus()) if kind == "cuda" else 1
    return max(1, min(asked, tasks))


def device(hardware: Hardware) -> str:
    """cuda, mps or cpu: what `auto` becomes."""
    if hardware.device != "auto":
        return hardware.device
    import torch

    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def processors(hardware: Hardware) -> Hardware:
    """For tasks that compute on processors whatever the device is: as many at once as there are cores, not GPUs."""
    return hardware.model_copy(update={"device": "cpu"})


def start_method(hardware: Hardware) -> str:
    """fork, which costs nothing and shares what is read already; spawn elsewhere than on Linux, and where there is a
    GPU, whose driver does not survive a fork, or more threads than one, which may hang after it."""
    with_gpu = "torch" in sys.modules and sys.modules["torch"].cuda.is_available()
    return "fork" if sys.platform == "linux" and not with_gpu and hardware.threads == 1 else "spawn"


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
        free = _stated(MEMINFO, "MemAvailable:") * 1024
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
    """Compute with that many threads inside: torch, if it is there, and the libraries of numpy and scikit-learn."""
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")  # whose import takes as long as many a stage that does without
    before = torch.get_num_threads() if torch else count
    if torch:
        torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        if torch:
            torch.set_num_threads(before)


def computing(device: str) -> dict[str, str]:
    """What the last bits of a result depend on, besides precision and threads.

    device: "cpu", "mps", "cuda", or one GPU of several, "cuda:1".
    """
    import torch

    kind = device.partition(":")[0]
    on_gpu = kind == "cuda"
    return {
        "device": kind,
        "processor": torch.cuda.get_device_name(device) if on_gpu else processor(),
        "instructions": gpu_libraries(device) if on_gpu else instructions(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The model: its name, and the numbers by which libraries tell models of one name apart."""
    if cpuinfo.is_file():
        fields = (line.partition(":") for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines())
        first = {}
        for key, _, value in fields:
            first.setdefault(key.strip(), value.strip())
        keys = ("cpu family", "model", "CPU implementer", "CPU part")  # of x86 and of Arm, which has no names
        numbers = ", ".join(f"{key.removeprefix('CPU ')} {first[key]}" for key in keys if first.get(key))
        name = first.get("model name") or platform.machine()
        return f"{name}, {numbers}" if numbers else name
    if platform.system() == "Darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        if name := subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip():
            return name
    return platform.processor() or platform.machine()


def instructions() -> str:
    """The instruction set that PyTorch's own kernels use, and what those of oneDNN and MKL may use beyond it."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    there = [name for name in EXTENSIONS if capabilities.get(name)]
    limits = [f"{name}={os.environ[name]}" for name in LIMITS if os.environ.get(name)]
    return ", ".join([torch.backends.cpu.get_cpu_capability(), *there, *limits])


def gpu_libraries(device: str) -> str:
    """Compute capability of the GPU, and the versions of the libraries whose kernels run on it."""
    import torch

    capability = ".".join(map(str, torch.cuda.get_device_capability(device)))
    return f"compute capability {capability}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
