"""Training steps whose convolutions leave their weights' gradients to matrix products, against PyTorch's own.

Forward and backward pass of one batch in bfloat16, as `fit` takes them; both take turns. Times are the least of seconds
of the processor; on processors without matrix units `fit` leaves gradients to PyTorch.
`OMP_NUM_THREADS=1 python benchmarks/convolutions.py`.
"""

import argparse
from contextlib import nullcontext
from time import process_time

import torch
from torch.nn.functional import cross_entropy

from hidden_structure.frame import params
from hidden_structure.networks.build import build
from hidden_structure.seeding import global_seed
from hidden_structure.training.convolutions import ByProducts
from hidden_structure.training.device import autocast, compute_deterministically, place

CASES = {
    f"speedrun x{width}": params.Network(name="speedrun", depth=None, width=width, norm="batch")
    for width in (32, 64, 96)
}
CASES |= {f"VGG-11 x{width}": params.Network(name="vgg", depth=11, width=width, norm="batch") for width in (32, 64)}
SHAPE, CLASSES, CPU = (32, 32, 3), 10, torch.device("cpu")


def measure(network: params.Network, batch: int, repeats: int) -> list[str]:
    """Cells of the network's row: ms of both, their ratio, and how far gradients lie apart."""
    with global_seed("initialisation", 0):
        model = place(build(network, SHAPE, CLASSES), CPU)
        images = torch.randn(batch, SHAPE[2], *SHAPE[:2]).to(memory_format=torch.channels_last)
    labels = torch.arange(batch) % CLASSES
    least, gradients = {}, {}
    for _ in range(repeats + 1):
        for name, mode in {"own": nullcontext(), "products": ByProducts()}.items():
            start = process_time()
            with autocast(CPU, torch.bfloat16), mode:
                outputs = model(images)
            model.zero_grad()
            cross_entropy(outputs.float(), labels).backward()
            took = process_time() - start
            first = name not in least  # loads the libraries
            least[name] = float("inf") if first else min(least[name], took)
            gradients[name] = [one.grad for one in model.parameters() if one.grad is not None]
    apart = max(float((a - b).norm() / a.norm()) for a, b in zip(*gradients.values(), strict=True) if a.norm() > 0)
    own, products = least.values()
    return [f"{1e3 * own:.0f}", f"{1e3 * products:.0f}", f"**{own / products:.2f}**", f"{apart:.0e}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    compute_deterministically(1)
    print("| network | PyTorch's own, ms | by products, ms | times as fast | gradients apart |\n|---|---|---|---|---|")
    for case, network in CASES.items():
        print(f"| {case} | {' | '.join(measure(network, arguments.batch, arguments.repeats))} |", flush=True)


if __name__ == "__main__":
    main()
