"""Loss and accuracy along a line between two networks, against bare forward passes over the same batches.

The bare passes get their batches prepared in advance and do nothing with the logits; `along_line` also interpolates the
weights, prepares every batch, measures loss and accuracy, and fits the temperature. Same precision, same memory format,
and the batch size that `along_line` chooses; the target is at most 1.1 times their time. Beside them, bare passes in
batches of 500, and the same line without temperatures. Then the same line once more with repair at every alpha: how
much longer an alpha takes. Repeats alternate; times are medians of seconds of the processor, which other programs
hardly change: `OMP_NUM_THREADS=1 python benchmarks/interpolation.py`.
"""

import argparse
from statistics import median
from time import process_time

import numpy as np
import torch

from hidden_structure.connectivity.line import along_line, alphas
from hidden_structure.connectivity.repair import repairer
from hidden_structure.frame import params
from hidden_structure.networks.build import build
from hidden_structure.networks.features import evaluation_mode
from hidden_structure.seeding import global_seed, numpy_generator
from hidden_structure.training.batches import evaluation_batches, fastest_batch_size, on_device
from hidden_structure.training.device import autocast

MLP = params.Network(name="mlp", depth=3, width=512, norm="none"), (28, 28, 1)
RESNET = params.Network(name="resnet", depth=20, width=16, norm="batch"), (32, 32, 3)
CASES = {  # name -> network, image shape, precision
    "MLP 3 x 512, float32": (*MLP, torch.float32),
    "ResNet-20, float32": (*RESNET, torch.float32),
    "ResNet-20, bfloat16": (*RESNET, torch.bfloat16),
}
CLASSES, USUAL = 10, 500


def measure(case: str, points: int, samples: int, repair_samples: int, repeats: int) -> list[str]:
    """Cells of the case's row: the bare passes, the line over them, and what repair makes of it."""
    description, shape, precision = CASES[case]
    networks = []
    for seed in range(2):
        with global_seed("initialisation", seed):
            networks.append(build(description, shape, CLASSES))
    network = networks[0]
    a, b = ({name: tensor.clone() for name, tensor in net.state_dict().items()} for net in networks)
    generator, device = numpy_generator("benchmark", "interpolation"), torch.device("cpu")
    pixels = generator.integers(0, 256, (samples, *shape), dtype=np.uint8)
    images = on_device(pixels, np.full(shape[2], 0.5), np.full(shape[2], 0.25), device)
    labels = torch.from_numpy(generator.integers(0, CLASSES, samples))
    statistics = on_device(pixels[:repair_samples], np.full(shape[2], 0.5), np.full(shape[2], 0.25), device)
    size, line = fastest_batch_size(network, images, precision), alphas(points)
    batches = {each: list(evaluation_batches(images, each)) for each in (size, USUAL)}

    @torch.no_grad()
    def bare(each: int = size) -> None:
        with evaluation_mode(network):
            for _ in line:
                for inputs in batches[each]:
                    with autocast(device, precision):
                        network(inputs)

    def ours() -> None:
        along_line(network, a, b, line, {"test": (images, labels)}, precision, fitted_on="test")

    def unfitted() -> None:
        along_line(network, a, b, line, {"test": (images, labels)}, precision)

    def repaired() -> None:
        along_line(network, a, b, line, {"test": (images, labels)}, precision, repair, fitted_on="test")

    repair = repairer(network, a, b, statistics, precision)
    runs = {"usual": lambda: bare(USUAL), "bare": bare, "unfitted": unfitted, "ours": ours, "repaired": repaired}
    seconds: dict[str, list[float]] = {label: [] for label in runs}
    with torch.no_grad(), autocast(device, precision):
        network(batches[size][0])  # load the libraries outside the measurement
    for repeat in range(repeats):
        for label, run in runs.items():
            if label == "repaired" and repeat:
                continue
            start = process_time()
            run()
            seconds[label].append((process_time() - start) / points)
    usual, bare_passes, without, along, mended = (median(seconds[label]) for label in seconds)
    return [
        f"{points}",
        f"{size}",
        f"{1000 * usual:.1f}",
        f"{1000 * bare_passes:.1f}",
        f"{1000 * along:.1f}",
        f"**{along / bare_passes:.3f}**",
        f"{along / without:.3f}",
        f"{mended / along:.2f}",
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alphas", type=int, default=25, help="of the MLP")
    parser.add_argument("--resnet-alphas", type=int, default=25, help="an alpha of ResNet-20 takes some seconds")
    parser.add_argument("--samples", type=int, default=10_000, help="images that the loss is measured on")
    parser.add_argument("--repair-samples", type=int, default=10_000, help="and that statistics come from")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    repair_samples = min(given.samples, given.repair_samples)
    print(f"{given.samples} images, repair from {repair_samples},", end=" ")
    print(f"{torch.get_num_threads()} threads\n")
    heads = ["ms an alpha", "alphas", "batch", f"passes in batches of {USUAL}", "bare passes", "`along_line`"]
    heads += ["over the bare passes", "over itself without temperature", "times so long with repair"]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for case in CASES:
        points = given.alphas if case.startswith("MLP") else given.resnet_alphas
        cells = measure(case, points, given.samples, repair_samples, given.repeats)
        print(f"| {case} | {' | '.join(cells)} |", flush=True)
