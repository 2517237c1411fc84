"""k-means inside super-classes, against scikit-learn's with the same clusters and restarts: time and sum of squares.

20 super-classes of 2,500 x 512 features in float32, five clusters, ten restarts, as of CIFAR-100; and of 10,000 points
of a map. Repeats alternate; times are medians of seconds of the processor: `OMP_NUM_THREADS=1 python
benchmarks/clustering.py`.
"""

import argparse
from statistics import median
from time import process_time

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from hidden_structure.recovery.kmeans import cluster
from hidden_structure.seeding import numpy_generator

CASES = {"20 x 2,500 x 512": (20, 2500, 512, np.float32), "1 x 10,000 x 2": (1, 10_000, 2, np.float64)}
CLUSTERS, RESTARTS = 5, 10


def features(case: str) -> list[np.ndarray]:
    groups, samples, dimension, kind = CASES[case]
    draw, found = numpy_generator("benchmark", "clustering", case), []
    for _ in range(groups):
        centres = 0.25 * (512 / dimension) ** 0.5 * draw.standard_normal((CLUSTERS, dimension))
        own = centres[draw.integers(CLUSTERS, size=samples)] + draw.standard_normal((samples, dimension))
        found.append(own.astype(kind))
    return found


def reference(points: np.ndarray) -> float:
    with threadpool_limits(1):
        return float(KMeans(CLUSTERS, n_init=RESTARTS, random_state=0).fit(points).inertia_)


def own(points: np.ndarray) -> float:
    return cluster(points, CLUSTERS, RESTARTS, 0)[1]


METHODS = {"scikit-learn": reference, "this project": own}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    print("| points | scikit-learn, s | this project, s | scikit-learn over it | sum of squares over scikit-learn's |")
    print("|---|---|---|---|---|")
    for case in CASES:
        points = features(case)
        seconds: dict[str, list[float]] = {name: [] for name in METHODS}
        for _ in range(given.repeats):
            totals = {}
            for name, method in METHODS.items():
                start = process_time()
                totals[name] = sum(method(each) for each in points)
                seconds[name].append(process_time() - start)
        theirs, ours = (median(seconds[name]) for name in METHODS)
        worse = totals["this project"] / totals["scikit-learn"]
        print(f"| {case} | {theirs:.3f} | {ours:.3f} | **{theirs / ours:.2f}** | {worse:.6f} |", flush=True)
