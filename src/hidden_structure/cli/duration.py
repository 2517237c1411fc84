"""How long a comparison of networks may take, told before it begins: from one batch through a network like theirs."""

import time

import torch

from hidden_structure.connectivity.pairing import aligned_pairs
from hidden_structure.frame import machine
from hidden_structure.frame.params import Study
from hidden_structure.linearity.in_step import InStep
from hidden_structure.linearity.layers import is_activation
from hidden_structure.networks.features import evaluation_mode
from hidden_structure.training.batches import fastest_batch_size
from hidden_structure.training.device import autocast, place
from hidden_structure.training.inputs import Inputs, read

COMPARING = 2.0  # passes through a network whose features are compared, as many as they take on top of their own
REPAIRING = 1.5  # a pass that statistics are taken from, by one that they are not


def of_comparison(study: Study) -> str:
    """A sentence: how long the stages of connectivity take for the study's networks, on this machine as busy as it is.

    Raises InputError if the network cannot be built.
    """
    inputs = read(study.hardware)
    seconds, cuts = _seconds_an_image(study, inputs)
    lines, features = study.interpolate, study.linearity
    sizes = {split: len(images.pixels) for split, images in inputs.images.items()}

    def used(split: str, samples: int | None) -> int:
        return min(sizes[split], samples or sizes[split])

    point = used("train", lines.train_samples) + used("test", lines.test_samples)
    repair = REPAIRING * used("train", lines.repair_samples)
    passes = lines.permuted_points * (2 * point + repair)
    networks = 2 + len(features.alphas)
    of_features = 2 * networks * (1 + COMPARING) + 2 + cuts  # halves of networks, in two directions, are stitched
    passes += used("test", features.samples) * of_features + networks * repair
    pairs = aligned_pairs(study)
    plane = (lines.plane_points or 0) ** 2 * (used("train", lines.train_samples) + repair)
    every = len(pairs) * passes + plane + len(study.spawn.checkpoints) * (point + sizes["test"])
    workers = machine.workers(study.tasks.workers, study.hardware, len(pairs))
    minutes = every * seconds / workers / 60
    said = f"{minutes:.0f} minutes" if minutes >= 1.5 else "a minute" if minutes > 0.5 else "seconds"
    return f"this may take {said}: {every:,.0f} images through a network, by {workers} at once"


def _seconds_an_image(study: Study, inputs: Inputs) -> tuple[float, int]:
    """Of a pass through the network; and after how many of its operations networks are stitched."""
    network = place(inputs.build(study.spawn.network), inputs.device)
    images = inputs.images["test"]
    pixels = images.pixels[: fastest_batch_size(network, images, inputs.precision)]
    with torch.no_grad(), evaluation_mode(network), autocast(inputs.device, inputs.precision):
        for _ in range(2):  # the first is slower
            start = time.perf_counter()
            network(images.normalise(pixels)).sum().item()
            seconds = time.perf_counter() - start
    in_step = InStep([network], images.normalise(pixels[:2]))
    return seconds / len(pixels), sum(is_activation(in_step.module, node) for node in in_step.nodes)
