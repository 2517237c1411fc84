"""Made-up but plausible results of a study, in the form that the stages write them."""

import numpy as np

EPOCHS = [0, 1, 2, 3, 5, 8, 12, 20, 32, 50, 80, 130, 200]
REDUCERS = ["tsne", "pca", "raw"]


def training(supervision: str, seeds: list[int]) -> list[dict]:
    rows = []
    for seed in seeds:
        generator = np.random.default_rng([seed, len(supervision)])
        rows.append({"seed": seed, "epoch": 0, "test_loss": 2.3, "test_accuracy": 0.1})
        for epoch in range(1, EPOCHS[-1] + 1):
            fall = np.exp(-epoch / 20) + 0.002 * generator.random()
            row = {"seed": seed, "epoch": epoch, "lr": 0.1, "train_loss": 2.3 * fall, "train_accuracy": 1 - 0.8 * fall}
            tested = {"test_loss": 2.3 * fall + 0.1, "test_accuracy": 0.95 - 0.8 * fall}
            rows.append(row | (tested if epoch in EPOCHS else dict.fromkeys(tested)))
    return rows


def collapse(classes: dict[str, int], seeds: list[int]) -> list[dict]:
    rows = []
    for supervision, count in classes.items():
        for seed in seeds:
            generator = np.random.default_rng([seed, count])
            for epoch in EPOCHS:
                level = np.exp(-epoch / 30) * (1 + 0.2 * generator.random()) + 0.01
                row = {"supervision": supervision, "seed": seed, "epoch": epoch, "nc1": 3 * level**2}
                for of in ("means", "rows"):
                    row |= {f"nc2_{name}_{of}": 0.3 * level for name in ("norms", "angle", "equiangular")}
                    row[f"nc2_cosine_{of}"] = -1 / (count - 1) + 0.1 * level * (of == "rows")
                rows.append(row | {"nc3": level, "nc4": 0.5 * level})
    return rows


def cluster(coarse_of: list[int], fine_names: list[str], coarse_names: list[str], seeds: list[int]) -> dict:
    generator = np.random.default_rng(len(fine_names))
    level = {"coarse": 0.93, "pixels": 0.62, "untrained": 0.55}
    rows = []
    for seed in seeds:
        for source, mean in level.items():
            for lower, reducer in enumerate(REDUCERS):
                right = mean - 0.04 * lower + 0.01 * generator.random()
                scores = {"agreement": right, "nmi": right - 0.1, "ari": right - 0.15, "purity": right}
                superclasses = {
                    name: {key: value - 0.05 * generator.random() for key, value in scores.items()}
                    | {"clusters": coarse_of.count(index), "samples": 1000}
                    for index, name in enumerate(coarse_names)
                }
                row = {"seed": seed, "source": source, "reducer": reducer, "probe_accuracy": right - 0.02}
                rows.append(row | scores | {"superclasses": superclasses})
    means = generator.normal(size=(len(coarse_names), 8))[coarse_of] * 3
    means = means + generator.normal(size=(len(fine_names), 8)) / 3
    matrix = ((means[:, None] - means[None]) ** 2).sum(2) + 0.5
    return {
        "rows": rows,
        "oracle": [{"seed": seed, "probe_accuracy": 0.93} for seed in seeds],
        "class_distances": {"names": fine_names, "matrix": matrix.tolist()},
    }


def labels(coarse_of: list[int], fine_names: list[str], coarse_names: list[str]) -> dict:
    def counts(names: list[str]) -> dict:
        each = dict.fromkeys(names, 100)
        return {"classes": len(names), "bits_per_sample": float(np.log2(len(names)))} | {
            "train_counts": each,
            "test_counts": each,
        }

    merged = {fine: coarse_names[coarse] for fine, coarse in zip(fine_names, coarse_of, strict=True)}
    return {"fine": counts(fine_names), "coarse": counts(coarse_names), "coarse_of": merged}


def points(coarse_of: list[int], samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (N, 2) in a group a class, and the original labels (N,)."""
    generator = np.random.default_rng(samples)
    fine = np.arange(samples) % len(coarse_of)
    centres = generator.normal(size=(len(coarse_of), 2)) * 20
    return (centres[fine] + generator.normal(size=(samples, 2)) * 3).astype(np.float32), fine
