"""Training images per second against the usual loop: DataLoader and torchvision transforms, float32.

Both train the same network from the same bytes with the same optimizer on the same device; the usual loop may use the
number of workers that suits it best, whose seconds count as its own. The overhead is the share of an epoch's time that
is not spent inside forward, backward and optimizer step, each call of which is timed. Every epoch runs in a process of
its own, after one that warms up; repeats alternate, and medians are compared: `python benchmarks/train_speed.py`.
"""

import argparse
import csv
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean, median

import numpy as np
import torch
from apart import Cost, apart, cost
from presets import TABLES
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from hidden_structure.frame import params
from hidden_structure.networks.build import build
from hidden_structure.networks.cost import training_flop
from hidden_structure.seeding import global_seed, numpy_generator
from hidden_structure.training import loop
from hidden_structure.training.batches import Images, on_device
from hidden_structure.training.device import compute_deterministically, describe, pick_device, pick_precision

CASES = {  # name -> network, image shape, batches of 128, crop, flip
    "speedrun": (params.Network(name="speedrun", depth=None, width=64, norm="batch"), (32, 32, 3), 10, 2, True),
    "ResNet-20": (params.Network(name="resnet", depth=20, width=16, norm="batch"), (32, 32, 3), 20, 4, True),
    "MLP 3 x 512": (params.Network(name="mlp", depth=3, width=512, norm="none"), (28, 28, 1), 150, 0, False),
}
BATCH = 128
MEASURED = {"speedrun": "cifar10-fast"}  # a preset whose table says what such networks reach


class Files(Dataset):
    """As torchvision's data sets are: an image at a time, through PIL and the transforms."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, transform: transforms.Compose) -> None:
        self.pixels, self.labels, self.transform = pixels, labels, transform

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = transforms.functional.to_pil_image(self.pixels[index])
        return self.transform(image), int(self.labels[index])


def usual_loop(loader: DataLoader, network: nn.Module, recipe: params.Train, device: torch.device) -> None:
    optimizer = torch.optim.SGD(
        network.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    for inputs, labels in loader:
        loss = cross_entropy(network(inputs.to(device)), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@dataclass(frozen=True)
class Work:
    """One of CASES, ready to be trained on for an epoch."""

    shape: tuple[int, int, int]
    network: params.Network
    recipe: params.Train
    device: torch.device
    precision: torch.dtype
    pixels: np.ndarray
    labels: np.ndarray
    augmentation: list
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, name: str) -> "Work":
        network, shape, batches, crop, flip = CASES[name]
        compute_deterministically(1)
        changes = {"epochs": 1, "batch_size": BATCH, "crop": crop, "flip": flip, "schedule": "constant", "lr": 0.01}
        hardware = params.Hardware(device="auto", precision="auto", threads=1)
        device, draw = pick_device(hardware), numpy_generator("benchmark", name)
        pixels = draw.integers(0, 256, (batches * BATCH, *shape), dtype=np.uint8)
        return cls(
            shape,
            network,
            params.load().train.model_copy(update=changes),
            device,
            pick_precision(hardware, device),
            pixels,
            draw.integers(0, 10, len(pixels)),
            [transforms.RandomCrop(shape[0], crop), transforms.RandomHorizontalFlip()] if flip else [],
            np.full(shape[2], 0.5),
            np.full(shape[2], 0.25),
        )

    def fresh(self) -> nn.Module:
        with global_seed("benchmark"):
            return build(self.network, self.shape, 10)

    def images(self) -> Images:
        return on_device(self.pixels, self.mean, self.std, self.device)

    def ours(self, precision: torch.dtype) -> None:
        targets, state = (
            torch.from_numpy(self.labels).to(self.device),
            loop.start(self.fresh(), self.recipe, self.device),
        )
        loop.fit(state, self.images(), targets, self.recipe, 0, precision)
        self.wait()

    def usual(self, workers: int) -> None:
        transform = transforms.Compose(
            [*self.augmentation, transforms.ToTensor(), transforms.Normalize(self.mean, self.std)]
        )
        data = Files(self.pixels, self.labels, transform)
        loader = DataLoader(data, BATCH, shuffle=True, num_workers=workers)
        usual_loop(loader, self.fresh().to(self.device), self.recipe, self.device)
        self.wait()

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def flop(self) -> int:
        """Of training on one image."""
        return training_flop(self.fresh(), self.shape)


RUNS = {
    "this project": lambda work: work.ours(work.precision),
    "this project in float32": lambda work: work.ours(torch.float32),
    "usual loop": lambda work: work.usual(0),
    "usual loop, 2 workers": lambda work: work.usual(2),
}


def measure(name: str, way: str) -> Cost:
    """Of one epoch, after another one that warms up."""
    work = Work.of(name)
    RUNS[way](work)
    return cost(lambda: RUNS[way](work))


def overhead(name: str) -> float:
    """Share of an epoch's time that is spent outside forward, backward and optimizer step."""
    work, inside, step = Work.of(name), 0.0, loop.step

    def timed(*arguments: object) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal inside
        work.wait()
        begin = time.perf_counter()
        result = step(*arguments)
        work.wait()
        inside += time.perf_counter() - begin
        return result

    loop.step = timed
    work.ours(work.precision)
    inside = 0.0
    whole = cost(lambda: work.ours(work.precision)).wall
    return 1 - inside / whole


def table(name: str, repeats: int) -> str:
    work = Work.of(name)
    runs = [{way: apart(measure, name, way) for way in RUNS} for _ in range(repeats)]
    computing = describe(work.device, work.precision, 1)
    lines = [
        f"{name}: {1e-6 * work.flop():.0f} MFLOP an image; {', '.join(map(str, computing.values()))}\n",
        "| | images/s | core-seconds an epoch of 50,000 | TFLOP/s | peak memory, MiB |",
        "|---|---|---|---|---|",
    ]
    cost_of: dict[str, float] = {}
    speed = {way: len(work.pixels) / median(run[way].wall for run in runs) for way in RUNS}
    for way in RUNS:
        processors = 50_000 / len(work.pixels) * median(run[way].processors for run in runs)
        peak = max(run[way].peak for run in runs)
        rate = 1e-12 * work.flop() * speed[way]
        lines.append(f"| {way} | {speed[way]:.0f} | {processors:.1f} | {rate:.3f} | {peak:.0f} |")
        cost_of[way] = processors
    best = max(speed["usual loop"], speed["usual loop, 2 workers"])
    ours, exact = speed["this project"], speed["this project in float32"]
    lines.append(f"\nratio to the usual loop: {ours / best:.2f} ({exact / best:.2f} in float32)")
    share = median(apart(overhead, name) for _ in range(repeats))
    if (file := TABLES / f"{MEASURED.get(name)}.csv").is_file():
        lines.append(reached(list(csv.DictReader(file.open())), cost_of))
    return "\n".join([*lines, f"overhead of the loop: {100 * share:.1f} %\n"])


def reached(networks: list[dict[str, str]], seconds: Mapping[str, float]) -> str:
    """What it costs to train such networks as far as their table says, at these core-seconds an epoch."""
    accuracy = mean(float(row["test_accuracy"]) for row in networks)
    both = mean(float(row["both_sides_accuracy"]) for row in networks)
    epochs, pflop = int(networks[0]["epochs"]), float(networks[0]["pflop"])
    ours, usual = (epochs * seconds[way] for way in ("this project", "usual loop"))
    return (
        f"{100 * accuracy:.2f} % of CIFAR-10's test set, {100 * both:.2f} % by both sides (n = {len(networks)}), in "
        f"{epochs} epochs: {pflop:.3f} PFLOP, {ours:.0f} core-seconds, {usual:.0f} in the usual loop"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    given = parser.parse_args()
    for case in given.cases:
        print(table(case, given.repeats), flush=True)
