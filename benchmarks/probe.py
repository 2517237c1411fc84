"""The linear probe against L-BFGS: time, peak memory, and how far from the optimum each ends.

PyTorch's L-BFGS (strong Wolfe, 20 pairs) is given standardised features in float64, with the same penalty in the
features' own coordinates; scikit-learn's the features as they are. Both stop where their gradient is below 1e-7, or
after as many iterations as are allowed. Features: `raw` are rectified and of moderate noise, `collapsed` are pairs of
classes that lie thirty times closer together than the pairs do, with one label in thirty on the wrong side, as clusters
have them; in 10 classes or 100. Times are seconds of the processor, each run in a process of its own; memory is by how
much it raises the peak of that process over the size of the features, plus one for these: `OMP_NUM_THREADS=1 python
benchmarks/probe.py`.
"""

import argparse
import warnings

import torch
from apart import apart, cost
from torch import Tensor
from torch.nn.functional import cross_entropy

from hidden_structure.recovery import probing
from hidden_structure.seeding import torch_generator

L2, GRADIENT, PAIRS = 1e-4, 1e-7, 20
CASES = {"raw, 10": 10, "collapsed, 10": 10, "raw, 100": 100, "collapsed, 100": 100}


def problem(case: str, samples: int, dimension: int) -> tuple[Tensor, Tensor]:
    """Features float32 (samples, dimension) and labels."""
    classes, generator = CASES[case], torch_generator("benchmark", "probe", case)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    labels, features = torch.arange(samples) % classes, torch.empty(samples, dimension)
    means, coarse = normal(classes, dimension), 3 * normal(classes // 2, dimension)
    mixing = normal(dimension, dimension) / dimension**0.5 * torch.logspace(0.3, -1, dimension)
    for own, chunk in zip(features.split(1000), labels.split(1000), strict=True):
        if case.startswith("raw"):
            own.copy_(
                0.35 * means[chunk] + normal(len(own), dimension) @ mixing + 0.2 * normal(*own.shape) + 0.1
            ).relu_()
        else:
            own.copy_(coarse[chunk % len(coarse)] + 0.03 * means[chunk] + 0.02 * normal(*own.shape))
    if case.startswith("collapsed"):
        wrong = torch.rand(samples, generator=generator) < 1 / 30
        labels = torch.where(wrong, (labels + classes // 2) % classes, labels)
    return features, labels


def own(features: Tensor, labels: Tensor, classes: int, iterations: int) -> tuple[Tensor, Tensor]:
    probe = probing.fit(features, labels, classes, L2)
    return probe.weight, probe.bias


def pytorch(features: Tensor, labels: Tensor, classes: int, iterations: int) -> tuple[Tensor, Tensor]:
    inputs = features.double()
    mean, std = inputs.mean(0), inputs.std(0)
    inputs.sub_(mean).div_(std)
    weight = torch.zeros(classes, len(mean), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    options = {"max_iter": iterations, "tolerance_grad": GRADIENT, "tolerance_change": 0, "history_size": PAIRS}
    optimizer = torch.optim.LBFGS([weight, bias], **options, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(inputs @ weight.T + bias, labels) + L2 / 2 * (weight / std).square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    own_weight = (weight / std).detach()
    return own_weight, bias.detach() - own_weight @ mean


def scikit_learn(features: Tensor, labels: Tensor, classes: int, iterations: int) -> tuple[Tensor, Tensor]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / (L2 * len(labels)), tol=GRADIENT, max_iter=iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of iterations that were not enough
        model.fit(features.double().numpy(), labels.numpy())
    return torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_)


METHODS = {"this project": own, "PyTorch L-BFGS": pytorch, "scikit-learn": scikit_learn}


@torch.no_grad()
def objective(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor) -> float:
    parts = zip(features.split(1000), labels.split(1000), strict=True)
    loss = sum(cross_entropy(part.double() @ weight.T + bias, chunk, reduction="sum") for part, chunk in parts)
    return (loss / len(labels) + L2 / 2 * weight.square().sum()).item()


def measure(method: str, case: str, given: argparse.Namespace) -> tuple[float, float, float]:
    """Seconds, memory over that of the features, and the objective reached."""
    features, labels = problem(case, given.samples, given.dimension)
    small = features[:1000, :10], labels[:1000] % 2
    METHODS[method](*small, 2, 10)  # loads the libraries
    found = cost(lambda: METHODS[method](features, labels, CASES[case], given.iterations))
    return found.processors, 1 + 2**20 * found.rise / features.nbytes, objective(features, labels, *found.result)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("samples", 50_000), ("dimension", 512), ("iterations", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    given = parser.parse_args()
    print(f"{given.samples} x {given.dimension} float32, at most {given.iterations} iterations\n")
    print("| seconds / memory / above the best objective | " + " | ".join(METHODS) + " | fastest other over this |")
    print("|---" * (len(METHODS) + 2) + "|")
    for case in given.cases:
        found = {method: apart(measure, method, case, given) for method in METHODS}
        best = min(objective for *_, objective in found.values())
        cells = [f"{s:.1f} / {m:.2f} / {objective / best - 1:.0e}" for s, m, objective in found.values()]
        mine, *others = (seconds for seconds, *_ in found.values())
        print(f"| {case} | {' | '.join(cells)} | **{min(others) / mine:.2f}** |", flush=True)
