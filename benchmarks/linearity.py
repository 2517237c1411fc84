"""Layerwise linear feature connectivity of a pair, against the forward passes that it needs.

It needs the passes of both ends, of the merged network at every alpha, and of all layers with weights once more, for
commutativity. The bare passes get their batches prepared in advance, in the best of three batch sizes, and do nothing
with what they compute; `measure` compares every layer of all networks. The target is at most 1.5 times their time. With
--vgg the memory of a VGG-16's 10,000 samples. Repeats alternate; times are medians of seconds of the processor, which
other programs hardly change: `OMP_NUM_THREADS=1 python benchmarks/linearity.py`.
"""

import argparse
import resource
from statistics import median
from time import process_time

import numpy as np
import torch

from hidden_structure.frame import params
from hidden_structure.linearity.layers import WEIGHTED, measure
from hidden_structure.networks.build import build
from hidden_structure.networks.features import evaluation_mode
from hidden_structure.seeding import global_seed, numpy_generator
from hidden_structure.training.batches import evaluation_batches, fastest_batch_size, on_device

CASES = {  # name -> network, image shape
    "MLP 3 x 512": (params.Network(name="mlp", depth=3, width=512, norm="none"), (28, 28, 1)),
    "ResNet-20": (params.Network(name="resnet", depth=20, width=16, norm="batch"), (32, 32, 3)),
}
VGG = params.Network(name="vgg", depth=16, width=64, norm="batch"), (32, 32, 3)
ALPHAS, CLASSES, USUAL = [0.25, 0.5, 0.75], 10, 500


def prepare(description: params.Network, shape: tuple[int, int, int], samples: int):
    """Two networks of the description, and random images with labels."""
    networks = []
    for seed in range(2):
        with global_seed("initialisation", seed):
            networks.append(build(description, shape, CLASSES).to(memory_format=torch.channels_last))
    generator = numpy_generator("benchmark", "linearity")
    pixels = generator.integers(0, 256, (samples, *shape), dtype=np.uint8)
    images = on_device(pixels, np.full(shape[2], 0.5), np.full(shape[2], 0.25), torch.device("cpu"))
    return networks, (images, torch.from_numpy(generator.integers(0, CLASSES, samples)))


def time(case: str, samples: int, repeats: int) -> list[str]:
    (network, other), split = prepare(*CASES[case], samples)
    a, b = network.state_dict(), other.state_dict()
    layers, inputs = [module for module in network.modules() if isinstance(module, WEIGHTED)], {}
    handles = [
        layer.register_forward_pre_hook(lambda layer, found: inputs.update({layer: found[0]})) for layer in layers
    ]

    @torch.no_grad()
    def bare(size: int) -> None:
        with evaluation_mode(network):
            for batch in prepared[size]:
                for _ in range(2 + len(ALPHAS)):
                    network(batch)
                for layer in layers:
                    layer(inputs[layer])

    images, _ = split
    sizes = {USUAL, *(fastest_batch_size(network, images, torch.float32, compared) for compared in (False, True))}
    prepared = {size: list(evaluation_batches(split[0], size)) for size in sizes}
    runs = {f"bare-{size}": lambda size=size: bare(size) for size in sizes}
    runs["measure"] = lambda: measure(network, a, b, ALPHAS, split)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = process_time()
            run()
            seconds[name].append(process_time() - start)
    for handle in handles:
        handle.remove()
    found = {name: median(values) for name, values in seconds.items()}
    best, usual = min(found[f"bare-{size}"] for size in sizes), found[f"bare-{USUAL}"]
    return [f"{1000 * x / samples:.3f}" for x in (best, usual, found["measure"])] + [
        f"**{found['measure'] / best:.2f}**",
        f"{found['measure'] / usual:.2f}",
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--vgg", type=int, metavar="SAMPLES", help="only the memory of VGG-16 on so many images")
    given = parser.parse_args()
    if given.vgg:
        (network, other), split = prepare(*VGG, given.vgg)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        measure(network, network.state_dict(), other.state_dict(), ALPHAS, split)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"VGG-16, {given.vgg} images: at most {after / 2**20:.2f} GB, {before / 2**20:.2f} GB before")
        raise SystemExit
    print(f"{given.samples} images, {torch.get_num_threads()} threads\n")
    print("| ms an image | bare passes | in batches of 500 | `measure` | over the bare passes | over those of 500 |")
    print("|---|---|---|---|---|---|")
    for case in CASES:
        print(f"| {case} | {' | '.join(time(case, given.samples, given.repeats))} |", flush=True)
