"""Training images per second against the usual loop: DataLoader and torchvision transforms, float32.

Both train the same network from the same bytes with the same optimizer on the same device; the usual loop may use the
number of workers that suits it best. The overhead is the share of an epoch's time that is not spent inside forward,
backward and optimizer step, each call of which is timed. Repeats alternate, and the medians are compared:
`python benchmarks/train_speed.py`.
"""

import argparse
import time
from statistics import median

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from hidden_structure.frame import params
from hidden_structure.networks.build import build
from hidden_structure.seeding import global_seed, numpy_generator
from hidden_structure.training import loop
from hidden_structure.training.batches import on_device
from hidden_structure.training.device import compute_deterministically, pick_device, pick_precision

CASES = {  # name -> network, image shape, batches of 128, crop, flip
    "speedrun": (params.Network(name="speedrun", depth=None, width=64, norm="batch"), (32, 32, 3), 10, 2, True),
    "ResNet-20": (params.Network(name="resnet", depth=20, width=16, norm="batch"), (32, 32, 3), 20, 4, True),
    "MLP 3 x 512": (params.Network(name="mlp", depth=3, width=512, norm="none"), (28, 28, 1), 150, 0, False),
}
BATCH = 128


class Images(Dataset):
    """As torchvision's data sets are: an image at a time, through PIL and the transforms."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, transform: transforms.Compose) -> None:
        self.pixels, self.labels, self.transform = pixels, labels, transform

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = transforms.functional.to_pil_image(self.pixels[index])
        return self.transform(image), int(self.labels[index])


def clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def usual_loop(loader: DataLoader, network: nn.Module, recipe: params.Train, device: torch.device) -> None:
    optimizer = torch.optim.SGD(
        network.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    for inputs, labels in loader:
        loss = cross_entropy(network(inputs.to(device)), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def measure(name: str, repeats: int) -> str:
    network, shape, batches, crop, flip = CASES[name]
    changes = {"epochs": 1, "batch_size": BATCH, "crop": crop, "flip": flip, "schedule": "constant", "lr": 0.01}
    compute_deterministically(1)
    study = params.load()
    recipe = study.train.model_copy(update=changes)
    hardware = params.Hardware(device="auto", precision="auto", threads=1)
    device = pick_device(hardware)
    precision = pick_precision(hardware, device)
    count, draw = batches * BATCH, numpy_generator("benchmark", name)
    pixels, labels = draw.integers(0, 256, (count, *shape), dtype=np.uint8), draw.integers(0, 10, count)
    mean, std = np.full(shape[2], 0.5), np.full(shape[2], 0.25)
    images, targets = on_device(pixels, mean, std, device), torch.from_numpy(labels).to(device)
    augmentation = [transforms.RandomCrop(shape[0], crop), transforms.RandomHorizontalFlip()] if flip else []
    transform = transforms.Compose([*augmentation, transforms.ToTensor(), transforms.Normalize(mean, std)])

    def fresh() -> nn.Module:
        with global_seed("benchmark"):
            return build(network, shape, 10)

    def ours(type_: torch.dtype) -> None:
        loop.fit(loop.start(fresh(), recipe, device), images, targets, recipe, 0, type_)

    def overhead() -> float:
        inside, step = 0.0, loop.step

        def timed(*arguments: object) -> tuple[torch.Tensor, torch.Tensor]:
            nonlocal inside
            begin = clock(device)
            result = step(*arguments)
            inside += clock(device) - begin
            return result

        state = loop.start(fresh(), recipe, device)
        loop.step = timed
        try:
            begin = clock(device)
            loop.fit(state, images, targets, recipe, 0, precision)
            return 1 - inside / (clock(device) - begin)
        finally:
            loop.step = step

    def usual(workers: int) -> None:
        loader = DataLoader(Images(pixels, labels, transform), BATCH, shuffle=True, num_workers=workers)
        usual_loop(loader, fresh().to(device), recipe, device)

    runs = {
        "ours": lambda: ours(precision),
        "ours in float32": lambda: ours(torch.float32),
        "usual, 0 workers": lambda: usual(0),
        "usual, 2 workers": lambda: usual(2),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for label, run in runs.items():
            start = clock(device)
            run()
            if repeat:  # the first of each warms up
                seconds[label].append(clock(device) - start)
    speed = {label: count / median(times) for label, times in seconds.items()}
    best = max(speed["usual, 0 workers"], speed["usual, 2 workers"])
    lines = [f"{name}, {device.type}, {str(precision).removeprefix('torch.')}, {torch.get_num_threads()} threads"]
    lines += [f"  {label:18} {rate:9.0f} images/s" for label, rate in speed.items()]
    lines += [
        f"  ratio to the usual loop: {speed['ours'] / best:.2f} ({speed['ours in float32'] / best:.2f} in float32)"
    ]
    overheads = [overhead() for _ in range(repeats)]
    return "\n".join([*lines, f"  overhead of the loop: {100 * median(overheads):.1f} %"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    for case in CASES:
        print(measure(case, repeats), flush=True)
