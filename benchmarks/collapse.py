"""Collapse metrics of 50,000 x 512 features and 100 classes: time against the matrix products they need, and memory.

The products, each timed in this run as one call on the whole matrix: class sums (one-hot transposed times features),
the within-class scatter along the C - 1 directions between the classes (features times d x (C-1)), and the logits
(features times d x C). The full d x d scatter, which NC1 does not need, stands beside them. Times are medians; memory
is the rise of the process's peak resident set (VmHWM, reset through /proc/self/clear_refs; Linux only) during a call,
over the features' size, with one more for the features themselves.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch.nn.functional import one_hot

from hidden_structure.collapse.metrics import class_distances, measure
from hidden_structure.seeding import torch_generator


def seconds(call: Callable[[], object], repetitions: int) -> float:
    call()
    times = []
    for _ in range(repetitions):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return median(times)


def resident(field: str) -> int:
    """Bytes of memory in use (VmRSS) or their peak (VmHWM)."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith(field)).split()[1])


def rise(call: Callable[[], object]) -> int:
    """By how many bytes a call raises the peak above what was in use before."""
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    call()
    return resident("VmHWM") - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("samples", 50_000), ("dimension", 512), ("classes", 100), ("repetitions", 7)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    samples, dimension, classes = given.samples, given.dimension, given.classes
    generator = torch_generator("benchmark")
    labels = torch.arange(samples) % classes
    features = torch.randn(samples, dimension, generator=generator)
    means = 3 * torch.randn(classes, dimension, generator=generator)
    for part, chunk in zip(features.split(1000), labels.split(1000), strict=True):
        part += means[chunk]
    weight, bias = (torch.randn(*shape, generator=generator) for shape in ((classes, dimension), (classes,)))
    calls = {
        "measure": lambda: measure(features, labels, weight, bias),
        "class_distances": lambda: class_distances(features, labels, classes),
    }
    small = features[:1000], labels[:1000]
    measure(*small, weight, bias), class_distances(*small, classes)  # load the libraries outside the measurement
    memory = {name: 1 + rise(call) / features.nbytes for name, call in calls.items()}

    encoded, directions = one_hot(labels, classes).float(), weight[1:].T.contiguous()
    products = {
        "class sums": lambda: encoded.T @ features,
        "scatter along C-1 directions": lambda: features @ directions,
        "logits": lambda: features @ weight.T,
        "full d x d scatter": lambda: features.T @ features,
    }
    times = {name: seconds(call, given.repetitions) for name, call in (products | calls).items()}
    needed = sum(times[name] for name in list(products)[:3])
    print(f"{samples} x {dimension} float32, {classes} classes, {torch.get_num_threads()} threads\n")
    print("| what | ms | over the three products needed | peak memory over the features |")
    print("|---|---|---|---|")
    for name, time in times.items():
        peak = f"{memory[name]:.2f}" if name in memory else ""
        print(f"| {name} | {1000 * time:.0f} | {time / needed:.2f} | {peak} |")
    print(f"| the three products needed | {1000 * needed:.0f} | 1 | |")


if __name__ == "__main__":
    main()
