"""What several workers gain on a study of many small networks, and the memory that they take.

Each of eight tasks trains a perceptron on scikit-learn's digits, as stages do. Repeats alternate between one worker,
which is this process, and several; times are medians of the clock, so nothing else should run meanwhile. Seconds of the
processors, of all processes together, tell what several workers cost besides. Memory is the proportional set size of
all processes, in which pages that they share count once: `python benchmarks/tasks.py`.
"""

import argparse
import os
import tempfile
import threading
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import psutil
import torch

from hidden_structure.datasets import digits
from hidden_structure.frame import machine, params, tasks
from hidden_structure.networks.build import initialise
from hidden_structure.training import run
from hidden_structure.training.batches import on_device

NETWORK = params.Network(name="mlp", depth=3, width=256, norm="batch")
HARDWARE = params.Hardware(device="cpu", precision="float32", threads=1)
EPOCHS = 30


def recipe() -> params.Train:
    """That of the study in params.yaml, for fewer epochs."""
    return params.load().train.model_copy(update={"epochs": EPOCHS})


def train(seed: int, folder: Path) -> float:
    """The training loss of one network in the end."""
    data = digits.load(0.2, 0)
    mean, std = (np.atleast_1d(of(data.train_images / 255)) for of in (np.mean, np.std))
    images = on_device(data.train_images, mean, std, torch.device("cpu"))
    labels = torch.from_numpy(data.train_labels)
    network = initialise(NETWORK, data.train_images.shape[1:], len(data.class_names), seed)
    file = folder / f"{seed}.safetensors"
    return run.train(network, recipe(), seed, images, labels, torch.float32, file).history[-1]["train_loss"]


def measure(workers: int, networks: int) -> tuple[float, float, float, dict]:
    """Seconds, those of all processors, the most memory in MiB, and what came of it."""
    most = [0.0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(2.0):
            family = [psutil.Process(), *psutil.Process().children(recursive=True)]
            most.append(sum(_memory(process) for process in family) / 2**20)

    threading.Thread(target=watch, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        start, before = perf_counter(), sum(os.times()[:4])
        named = {f"seed {seed}": (seed, Path(folder)) for seed in range(networks)}
        where = params.Tasks(workers=workers, address=None)
        found = tasks.run("networks", train, named, Path(folder), where, HARDWARE)
        seconds, busy = perf_counter() - start, sum(os.times()[:4]) - before
    over.set()
    return seconds, busy, max(most), found


def _memory(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except psutil.Error:  # it has just ended
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--workers", type=int, default=machine.cores())
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    found: dict[int, list] = {1: [], options.workers: []}
    measure(1, 1)  # once for the imports and kernels that are made at first use
    for _ in range(options.repeats):
        for workers, measured in found.items():
            measured.append(measure(workers, options.networks))
    assert all(one[3] == found[1][0][3] for measured in found.values() for one in measured), "other numbers"
    reference = median(seconds for seconds, *_ in found[1])
    print("| workers | s | times as fast | s of processors | MiB |\n|---|---|---|---|---|")
    for workers, measured in found.items():
        seconds, busy = (median(one[column] for one in measured) for column in (0, 1))
        memory = max(one[2] for one in measured)
        print(f"| {workers} | {seconds:.1f} | **{reference / seconds:.2f}** | {busy:.1f} | {memory:.0f} |")


if __name__ == "__main__":
    main()
