"""t-SNE of one super-class, against openTSNE with the same neighbours, start and steps: time, memory, and divergence.

Features of 256 dimensions in five clusters, reduced to 50 by PCA as `recovery/clustering.py` does, which is not timed.
openTSNE sums forces over a Barnes-Hut tree below 10,000 points, and interpolates them from there. Times are medians of
seconds of the processor, repeats alternate, each run in a process of its own; memory is by how much it raises the peak
of that process; the divergence (Kullback-Leibler) is what t-SNE minimises: `OMP_NUM_THREADS=1 python
benchmarks/tsne.py`.
"""

import argparse
from statistics import median

import numpy as np
from apart import apart, cost
from openTSNE import TSNE, affinity
from sklearn.decomposition import PCA

from hidden_structure.recovery.tsne import embed
from hidden_structure.seeding import numpy_generator

PERPLEXITY, CLUSTERS, DIMENSION, LATENT, KEPT, SPREAD = 30, 5, 256, 20, 50, 0.3


def features(samples: int) -> np.ndarray:
    """float32 (samples, 50)."""
    draw = numpy_generator("benchmark", "tsne", samples)
    centres, axes = (draw.standard_normal((count, DIMENSION)) for count in (CLUSTERS, LATENT))
    noise = draw.standard_normal((samples, LATENT)) @ axes + draw.standard_normal((samples, DIMENSION))
    values = centres[np.arange(samples) % CLUSTERS] + SPREAD * noise
    return PCA(KEPT, random_state=0).fit_transform(values.astype(np.float32))


def reference(values: np.ndarray) -> np.ndarray:
    options = {"perplexity": PERPLEXITY, "initialization": "pca", "neighbors": "exact", "n_jobs": 1}
    return np.asarray(TSNE(**options, random_state=0).fit(values))


def own(values: np.ndarray) -> np.ndarray:
    return embed(values, PERPLEXITY, 0)


METHODS = {"openTSNE": reference, "this project": own}


def divergence(values: np.ndarray, points: np.ndarray) -> float:
    """Over all pairs, in float64."""
    pairs = affinity.PerplexityBasedNN(values, PERPLEXITY, method="exact").P.tocoo()
    total = -float(len(points))
    for some in np.array_split(points, -(-len(points) // 500)):
        total += (1 / (1 + np.square(some[:, None] - points).sum(2))).sum()
    distances = np.square(points[pairs.row] - points[pairs.col]).sum(1)
    return float((pairs.data * (np.log(pairs.data) + np.log1p(distances) + np.log(total))).sum())


def measure(method: str, samples: int) -> tuple[float, float, float]:
    """Seconds, MiB, and the divergence reached."""
    values = features(samples)
    METHODS[method](values[:200])  # loads the libraries
    found = cost(lambda: METHODS[method](values))
    return found.processors, found.rise, divergence(values, found.result)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[300, 1000, 3000, 10_000])
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    print("| points | openTSNE, s | this project, s | openTSNE over it | memory, MB | divergence |")
    print("|---|---|---|---|---|---|")
    for samples in given.samples:
        runs = [{method: apart(measure, method, samples) for method in METHODS} for _ in range(given.repeats)]
        found = {method: [median(each[method][part] for each in runs) for part in range(3)] for method in METHODS}
        theirs, ours = found["openTSNE"], found["this project"]
        print(
            f"| {samples} | {theirs[0]:.2f} | {ours[0]:.2f} | **{theirs[0] / ours[0]:.2f}** |"
            f" {theirs[1]:.0f} / {ours[1]:.0f} | {theirs[2]:.4f} / {ours[2]:.4f} |",
            flush=True,
        )
