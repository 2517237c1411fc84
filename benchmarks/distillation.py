"""What distillation costs a student of CIFAR size, against training on labels alone.

The reference is one epoch of the same student on labels. With targets computed once an epoch should cost no more; where
the teacher sees each augmented image it must also run forward, which is timed by itself. Splitting 50,000 embeddings is
held against scikit-learn's PCA of every class. Repeats alternate; times are medians of seconds of the processor, which
other programs hardly change: `OMP_NUM_THREADS=1 python benchmarks/distillation.py`.
"""

import argparse
from statistics import median
from time import process_time

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import nn

from hidden_structure.distillation.lelp import lelp
from hidden_structure.distillation.students import Task, distillation_loss, fixed_targets, forward_all, online_targets
from hidden_structure.frame import params, studies
from hidden_structure.networks.features import evaluation_mode, head
from hidden_structure.networks.resnet import ResNet
from hidden_structure.seeding import global_seed, numpy_generator, torch_generator
from hidden_structure.training import loop
from hidden_structure.training.batches import on_device
from hidden_structure.training.device import autocast, pick_precision

CLASSES, SUBCLASSES, EMBEDDED, DIMENSION = 2, 10, 50_000, 64
OWN = {
    "epochs": 1,
    "batch_size": 128,
    "lr": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "schedule": "constant",
    "warmup": 0.0,
    "snapshots": 2,
}
RECIPE = params.Study.model_validate(
    studies.complete({"study": "benchmark", "data": {"source": "cifar10"}, "merge": {"classes": CLASSES}, "train": OWN})
).train


def network(depth: int, width: int, outputs: int) -> nn.Module:
    with global_seed("benchmark", depth):
        return ResNet(3, outputs, depth, width, "batch").to(memory_format=torch.channels_last)


def epochs(samples: int, repeats: int) -> dict[str, float]:
    """Seconds an epoch of each way to train the student."""
    generator = numpy_generator("benchmark", "distillation")
    pixels = generator.integers(0, 256, (samples, 32, 32, 3), dtype=np.uint8)
    images = on_device(pixels, np.full(3, 0.5), np.full(3, 0.25), torch.device("cpu"))
    precision = pick_precision(params.Hardware(device="cpu", precision="auto", threads=1), torch.device("cpu"))
    task = Task(images, torch.from_numpy(generator.integers(0, CLASSES, samples)), CLASSES, precision)
    teacher = network(20, 16, CLASSES)
    embeddings, logits = forward_all(teacher, task)
    split = lelp(embeddings, task.labels, head(teacher).weight, SUBCLASSES, 0.5, torch_generator("rotation"))
    targets_of = {
        "targets once": fixed_targets(embeddings, logits, split, 4.0),
        "teacher on augmented images": online_targets(teacher, split, precision, 4.0),
    }

    def learn(outputs: int, labels: torch.Tensor, objective: loop.Objective) -> None:
        state = loop.start(network(8, 8, outputs), RECIPE, torch.device("cpu"))
        loop.fit(state, images, labels, RECIPE, 0, precision, objective=objective)

    @torch.no_grad()
    def forward() -> None:
        with evaluation_mode(teacher), autocast(torch.device("cpu"), precision):
            for batch in images.pixels.split(RECIPE.batch_size):
                teacher(images.normalise(batch))

    runs = {"labels": lambda: learn(CLASSES, task.labels, loop.classify), "teacher's forward pass": forward}
    for name, targets in targets_of.items():
        objective = distillation_loss(targets, task, 4.0)
        runs[name] = lambda objective=objective: learn(CLASSES * SUBCLASSES, torch.arange(samples), objective)
    return _medians(runs, repeats)


def splits(repeats: int) -> dict[str, float]:
    embeddings = torch.randn(EMBEDDED, DIMENSION, generator=torch_generator("embeddings"))
    labels, weight = (
        torch.arange(EMBEDDED) % CLASSES,
        torch.randn(CLASSES, DIMENSION, generator=torch_generator("last")),
    )

    def principal() -> None:
        for label in range(CLASSES):
            PCA(SUBCLASSES).fit(embeddings[labels == label].double().numpy())

    def pieces() -> None:
        lelp(embeddings, labels, weight, SUBCLASSES, 0.5, torch_generator("rotation"))

    return _medians({"PCA of scikit-learn": principal, "lelp": pieces}, repeats)


def _medians(runs: dict, repeats: int) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():  # once for the caches and the kernels that are made at first use
        run()
    for _ in range(repeats):
        for name, run in runs.items():
            start = process_time()
            run()
            seconds[name].append(process_time() - start)
    return {name: median(values) for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=6400)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    found = epochs(options.samples, options.repeats)
    reference = found["labels"]
    print("| ms an image | | over labels alone |\n|---|---|---|")
    for name, seconds in found.items():
        print(f"| {name} | {1000 * seconds / options.samples:.3f} | **{seconds / reference:.2f}** |")
    found = splits(options.repeats)
    print(
        f"\nlelp: {found['lelp']:.3f} s, {found['lelp'] / found['PCA of scikit-learn']:.2f} times PCA of scikit-learn"
    )


if __name__ == "__main__":
    main()
