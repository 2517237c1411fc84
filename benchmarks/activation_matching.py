"""Activation matching against the usual code for it, on the same activations: seconds, and how exact the scores are.

The reference does what REPAIR (Jordan et al. 2023) describes: batch by batch, in float32, the means, the standard
deviations and the mean outer product of both networks' units, averaged over the batches; from these the correlations,
and SciPy's assignment. Ours counts batches by their size, shifts what it multiplies and adds up in float64. Forward
passes are left out: both need the same. Errors are of the correlations, against float64 throughout; the offset is what
all activations have added, in their standard deviations, which costs plain float32 its digits. Times are medians of
seconds of the processor, of alternating repeats: `OMP_NUM_THREADS=1 python benchmarks/activation_matching.py`.
"""

import argparse
from collections.abc import Callable
from statistics import median
from time import process_time

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from hidden_structure.permutation.activation_matching import PairedMoments
from hidden_structure.permutation.families import assign
from hidden_structure.seeding import torch_generator

BATCH_SIZE = 500
CASES = {"as they are": 0.0, "offset 30": 30.0}


def activations(samples: int, units: int, offset: float) -> tuple[Tensor, Tensor]:
    """Of two networks whose units see the same 64 factors, B's in another order; after a ReLU."""
    generator = torch_generator("benchmark", "activations")

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    signal = noise(samples, 64) @ noise(64, units) / 8
    a, b = (
        (values + noise(samples, units)).relu()
        for values in (signal, signal[:, torch.randperm(units, generator=generator)])
    )
    return a + offset, b + offset


def ours(a: Tensor, b: Tensor) -> Tensor:
    moments = PairedMoments(a.shape[1])
    for both in zip(a.split(BATCH_SIZE), b.split(BATCH_SIZE), strict=True):
        moments.add(*both)
    scores = moments.scores(correlated=True)
    assign(scores.numpy())
    return scores


def reference(a: Tensor, b: Tensor) -> Tensor:
    """As REPAIR describes it, in float32."""
    units, batches = a.shape[1], -(-len(a) // BATCH_SIZE)
    means, deviations = ([torch.zeros(units) for _ in "ab"] for _ in range(2))
    outer = torch.zeros(units, units)
    for both in zip(a.split(BATCH_SIZE), b.split(BATCH_SIZE), strict=True):
        for index, values in enumerate(both):
            means[index] += values.mean(0) / batches
            deviations[index] += values.std(0) / batches
        outer += both[0].T @ both[1] / len(both[0]) / batches
    scores = (outer - torch.outer(*means)) / (torch.outer(*deviations) + 1e-4)
    linear_sum_assignment(scores.numpy(), maximize=True)
    return scores


def exact(a: Tensor, b: Tensor) -> Tensor:
    a, b = (values.double() - values.double().mean(0) for values in (a, b))
    return a.T @ b / torch.outer(a.norm(dim=0), b.norm(dim=0))


def measure(a: Tensor, b: Tensor, repeats: int) -> list[str]:
    """Cells of a row: seconds, and the largest error of a correlation."""
    truth = exact(a, b)
    runs: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"reference": reference, "ours": ours}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    errors = {name: (run(a, b) - truth).abs().max().item() for name, run in runs.items()}  # and warmed up
    for _ in range(repeats):
        for name, run in runs.items():
            start = process_time()
            run(a, b)
            seconds[name].append(process_time() - start)
    plain, own = (median(seconds[name]) for name in runs)
    cells = [f"{1000 * plain:.0f} ms", f"{1000 * own:.0f} ms", f"**{plain / own:.2f}**"]
    return cells + [f"{errors[name]:.0e}" for name in runs]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    print(f"{given.samples} x {given.units}, batches of {BATCH_SIZE}, {torch.get_num_threads()} threads\n")
    print("| activations | reference | this project | **reference over ours** | its error | our error |")
    print("|---|---|---|---|---|---|")
    for case, offset in CASES.items():
        print(f"| {case} | {' | '.join(measure(*activations(given.samples, given.units, offset), given.repeats))} |")
