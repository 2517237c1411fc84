"""Which matching leaves the lowest barrier, and what of a matched pair predicts it: benchmarks/barrier/pairs.csv.

Small networks on digits and on photographs (CIFAR-10, 16 x 16), trained here. Each pair shares no network with another.
All methods get the same networks and 1,000 training images. The barrier is that half-way: loss and error of the merged
network less the mean of its ends, on test images, as merged and after REPAIR (ends repaired as well). Seeds 0 to 5 are
those on which methods were compared and the one of permutation/joint_matching.py was chosen; 6 to 11 confirm it.

Besides the library's methods (the straight-through estimator by 5 epochs), and Git Re-Basin's algorithm 1 as written
(`plain` of benchmarks/matching.py), what was tried:

weights from correlations: correlation matching, then the exact ascent of weight matching.
data metric: weight matching of W C^(1/2), C the covariance of the layer's inputs, each tensor scaled to norm 1.
Fisher metric: of G^(1/4) W C^(1/4), C and G the second moments of inputs and of the gradients of sampled labels.
gradients: correlations of the gradients of a random direction of the logits with respect to units, the same in A and B.
both: correlations of activations and of gradients. joint, gradients: joint matching with these as well.
joint, share s: s times as loud a vote of correlations. joint, spread: both in units of the spread of their scores, from
correlation matching on.

`OMP_NUM_THREADS=1 python benchmarks/barrier.py --data data/cifar10` trains what artifacts/barrier lacks, and matches
what the table lacks. Seconds are of the processor, moments of activations included where a method reads them.
"""

import argparse
import csv
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from time import process_time

import numpy as np
import torch
from barrier_methods import METHODS, Pair, State, layers
from barrier_networks import BATCH, KINDS, checkpoint, pixels_of, train
from scipy.stats import spearmanr
from scipy.stats import t as student
from torch import Tensor, nn
from torch.nn.functional import conv2d, cosine_similarity, linear

from hidden_structure.connectivity.line import interpolate
from hidden_structure.connectivity.repair import repairer
from hidden_structure.networks.features import evaluation_mode
from hidden_structure.networks.weights import load_state
from hidden_structure.permutation.permuting import Permutation, apply
from hidden_structure.training import loop
from hidden_structure.training.device import compute_deterministically

TABLE = Path("benchmarks/barrier/pairs.csv")
PAIRS = {"chosen on": ((0, 1), (2, 3), (4, 5)), "confirmed on": ((6, 7), (8, 9), (10, 11))}


def directions(weight: Tensor) -> tuple[Tensor, int]:
    """U V^T of the singular directions above 0.3 of the largest singular value (Ito et al. 2024), and how many."""
    left, values, right = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    kept = values > 0.3 * values[0]
    return left[:, kept] @ right[kept], int(kept.sum())


@torch.no_grad()
def predictors(pair: Pair, permutation: Permutation) -> dict[str, float]:
    """What may predict the barrier, the lower the higher; needs no merged network, but for the last two."""
    a, b = pair.a, apply(pair.symmetry, permutation, pair.b)
    products = {name: (a[name] * b[name]).sum().item() for name in pair.names}
    norms = {name: (a[name].norm() * b[name].norm()).item() for name in pair.names}
    both = [(directions(a[name]), directions(b[name])) for name in pair.names]
    aligned = [((p * q).sum() / (k * n) ** 0.5).item() for (p, k), (q, n) in both]
    found = {
        "weights": sum(products.values()) / sum(norms.values()),
        "weights, mean cosine": float(np.mean([products[name] / norms[name] for name in norms])),
        "singular directions": float(np.mean(aligned)),
    }
    for metric, (first, other) in pair.metrics.items():
        second = apply(pair.symmetry, permutation, other)
        found[f"{metric} metric"] = float(np.mean([(first[name] * second[name]).sum().item() for name in pair.names]))
    for name, moments in (("activations", pair.moments), ("gradients", pair.gradients)):
        scores = pair.correlations(moments)
        matched = [of[torch.arange(len(of)), permutation[group]].mean().item() for group, of in scores.items()]
        found |= {f"{name}, mean correlation": float(np.mean(matched)), f"{name}, least layer": min(matched)}
    found |= by_layer(pair, a, b)
    return found


def by_layer(pair: Pair, a: State, b: State) -> dict[str, float]:
    """Commutativity, features half-way against the mean of the ends', and logits."""
    seen: list[dict[str, tuple[Tensor, Tensor]]] = []
    images = pair.images.normalise(pair.images.pixels[:BATCH])
    for state in (a, b, interpolate(a, b, 0.5)):
        load_state(pair.merged, state)
        kept: dict[str, tuple[Tensor, Tensor]] = {}
        handles = []
        for name, module in layers(pair.merged).items():

            def hook(module, given, values, name=name, kept=kept):
                kept[name] = (given[0], values)

            handles.append(module.register_forward_hook(hook))
        with evaluation_mode(pair.merged):
            pair.merged(images)
        for handle in handles:
            handle.remove()
        seen.append(kept)
    apart, turned = [], []
    for name, module in layers(pair.merged).items():
        (inputs_a, outputs_a), (inputs_b, outputs_b), (_, between) = (kept[name] for kept in seen)
        change = a[f"{name}.weight"] - b[f"{name}.weight"]
        if isinstance(module, nn.Linear):
            lost = linear(inputs_a - inputs_b, change)
        else:
            lost = conv2d(inputs_a - inputs_b, change, None, module.stride, module.padding)
        if not torch.equal(inputs_a, inputs_b):  # as the first layer's are
            apart.append((lost.square().sum() / (outputs_a.norm() * outputs_b.norm())).item())
        mean = (outputs_a + outputs_b) / 2
        turned.append(cosine_similarity(between.flatten(1), mean.flatten(1)).mean().item())
    return {
        "commutativity, mean": -float(np.mean(apart)),
        "commutativity, worst layer": -max(apart),
        "commutativity, mean logarithm": -float(np.mean(np.log(apart))),
        "features half-way, mean cosine": float(np.mean(turned)),
        "features half-way, least layer": min(turned),
    }


PREDICTORS = (
    "weights",
    "weights, mean cosine",
    "singular directions",
    "data metric",
    "Fisher metric",
    "activations, mean correlation",
    "activations, least layer",
    "gradients, mean correlation",
    "gradients, least layer",
    "commutativity, mean",
    "commutativity, worst layer",
    "commutativity, mean logarithm",
    "features half-way, mean cosine",
    "features half-way, least layer",
)
MEASURES = [f"{split}_{what}" for split in ("test", "train") for what in ("loss", "error")]


def heights(pair: Pair, permutation: Permutation, repaired: bool) -> dict[str, float]:
    """Half-way less the mean of the ends, which are the same however units are ordered."""
    b = apply(pair.symmetry, permutation, pair.b)
    repair = repairer(pair.merged, pair.a, b, pair.images, torch.float32, BATCH) if repaired else None

    def at(alpha: float) -> dict[str, float]:
        interpolate(pair.a, b, alpha, pair.merged.state_dict())
        if repair is not None:
            repair(pair.merged, alpha)
        found = {}
        for split, of in pair.splits.items():
            loss, accuracy = loop.evaluate(pair.merged, *of, torch.float32, BATCH)
            found |= {f"{split}_loss": loss, f"{split}_error": 1 - accuracy}
        return found

    if repaired not in pair.ends:
        pair.ends[repaired] = at(0.0), at(1.0)
    (start, end), between = pair.ends[repaired], at(0.5)
    return {name: between[name] - (start[name] + end[name]) / 2 for name in MEASURES}


def measure(kind: str, role: str, unread: Pair, pair: Pair, method: str) -> dict[str, str]:
    """A row of the table. unread: the same pair, of which nothing has been read, so that each method pays for that."""
    fresh, since = copy(unread), process_time()
    permutation = METHODS[method](fresh)
    row: dict[str, object] = {"kind": kind, "role": role, "a": pair.seeds[0], "b": pair.seeds[1], "method": method}
    row["seconds"] = process_time() - since
    row |= {f"{name}, as merged": value for name, value in heights(pair, permutation, False).items()}
    row |= {f"{name}, repaired": value for name, value in heights(pair, permutation, True).items()}
    row |= predictors(pair, permutation)
    return {key: f"{value:.6g}" if isinstance(value, float) else str(value) for key, value in row.items()}


def interval(values: Sequence[float]) -> str:
    """Mean and 95 % t interval over pairs."""
    half = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{np.mean(values):.3f} [{np.mean(values) - half:.3f}, {np.mean(values) + half:.3f}]"


Pairs = dict[tuple[str, str, str], dict[str, dict[str, str]]]  # (kind, a, b) -> method -> row


def left(pairs: Pairs, method: str, measure: str) -> list[float]:
    """Of each pair the barrier that is left, as a share of that without matching."""
    return [float(of[method][measure]) / float(of["none"][measure]) for of in pairs.values()]


def compared(pairs: Pairs, measures: Sequence[str], against: str) -> str:
    """What is left of the barrier, and how much more than by the other method."""
    lines = [f"| left of the barrier | s | {' | '.join(measures)} |", "|---" * (len(measures) + 2) + "|"]
    for method in METHODS:
        if method == "none" or not all(method in of for of in pairs.values()):
            continue
        seconds = np.mean([float(of[method]["seconds"]) for of in pairs.values()])
        cells = [f"{method} | {seconds:.3f}"]
        for name in measures:
            own, other = left(pairs, method, name), left(pairs, against, name)
            more = [mine - its for mine, its in zip(own, other, strict=True)]
            cells.append(f"{np.mean(own):.3f}" + ("" if method == against else f"; {interval(more)} more"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def predicted(pairs: Pairs, measures: Sequence[str]) -> str:
    """Spearman's correlation over methods, of one pair, of each predictor with minus the barrier."""
    names = [name for name in PREDICTORS if all(name in row for of in pairs.values() for row in of.values())]
    lines = [
        f"| rank correlation with the barrier, times -1 | {' | '.join(measures)} |",
        "|---" * (len(measures) + 1) + "|",
    ]
    for name in names:
        cells = [name]
        for measure in measures:
            found = []
            for of in pairs.values():
                rows = [row for method, row in of.items() if method != "none"]
                found.append(-spearmanr(*([float(row[key]) for row in rows] for key in (name, measure))).statistic)
            cells.append(interval(found))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def place(row: Mapping[str, str]) -> tuple[int, ...]:
    orders = (list(PAIRS).index(row["role"]), list(KINDS).index(row["kind"]), int(row["a"]))
    return (*orders, list(METHODS).index(row["method"]))


def show(rows: Sequence[Mapping[str, str]], against: str) -> None:
    shown = [
        f"{name}, {how}" for name in ("test_loss", "test_error", "train_loss") for how in ("as merged", "repaired")
    ]
    for role in (*PAIRS, "all"):
        pairs: Pairs = defaultdict(dict)
        for row in rows:
            if role in (row["role"], "all"):
                pairs[row["kind"], row["a"], row["b"]][row["method"]] = row
        if len(pairs) < 2:
            continue
        kinds = Counter(kind for kind, _, _ in pairs)
        print(f"\n{role}: {len(pairs)} pairs ({', '.join(f'{count} of {kind}' for kind, count in kinds.items())})\n")
        print(compared(pairs, shown, against), end="\n\n")
        print(predicted(pairs, shown[:4]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of train/<class>/* and test/<class>/*; without it they are downloaded")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--roles", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--against", choices=METHODS, default="joint", help="the method that others are compared with")
    parser.add_argument("--show", action="store_true", help="only what the table says")
    options = parser.parse_args()
    compute_deterministically(1)
    rows = list(csv.DictReader(TABLE.open(newline=""))) if TABLE.is_file() else []
    done = {(row["kind"], row["a"], row["b"], row["method"]) for row in rows}
    work = [(role, seeds, kind) for role in options.roles for seeds in PAIRS[role] for kind in options.kinds]
    for role, seeds, kind in [] if options.show else work:
        missing = [method for method in METHODS if (kind, *map(str, seeds), method) not in done]
        if not missing:
            continue
        arrays = pixels_of(KINDS[kind][0], options.data)
        for seed in seeds:
            if not checkpoint(kind, seed).is_file():
                train(kind, seed, arrays)
        unread = Pair(kind, seeds, arrays)
        pair = copy(unread)
        rows += [measure(kind, role, unread, pair, method) for method in missing]
        rows.sort(key=place)
        TABLE.parent.mkdir(exist_ok=True)
        with TABLE.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        print(f"{kind}, seeds {seeds[0]} and {seeds[1]}: {process_time():.0f} s", file=sys.stderr, flush=True)
    show(rows, options.against)


if __name__ == "__main__":
    main()
