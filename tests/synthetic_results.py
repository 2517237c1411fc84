"""Made-up but plausible results of a study, in the form that the stages write them."""

import numpy as np

from hidden_structure.connectivity.spawning import Pair, pairs, runs
from hidden_structure.frame.params import Study

EPOCHS = [0, 1, 2, 3, 5, 8, 12, 20, 32, 50, 80, 130, 200]
REDUCERS = ["tsne", "pca", "raw"]
PAIR = ("kind", "k", "width", "weight_decay", "recipe", "seeds", "method")
EPOCH = 22  # steps
ENDS = {"train": 0.01, "test": 0.05}  # error of spawned networks


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
                beside = {
                    "wrong": 0.2 * level,
                    "wrong_model": 0.15 * level**0.9,
                    "gap": 5 / level,
                    "gap_model": 5.2 / level,
                }
                rows.append(row | {"nc3": level, "nc4": 0.5 * level} | beside)
    return rows


def cluster(coarse_of: list[int], fine_names: list[str], coarse_names: list[str], seeds: list[int]) -> dict:
    generator = np.random.default_rng(len(fine_names))
    level = {"coarse": 0.93, "pixels": 0.62, "untrained": 0.55, "memorised": 0.58}
    rows = []
    for seed in seeds:
        for source, mean in level.items():
            for lower, reducer in enumerate(REDUCERS[:1] if source == "memorised" else REDUCERS):
                right = mean - 0.04 * lower + 0.01 * generator.random()
                scores = {"agreement": right, "nmi": right - 0.1, "ari": right - 0.15, "purity": right}
                superclasses = {
                    name: {key: value - 0.05 * generator.random() for key, value in scores.items()}
                    | {"clusters": coarse_of.count(index), "samples": 1000}
                    for index, name in enumerate(coarse_names)
                }
                row = {"seed": seed, "source": source, "reducer": reducer, "probe_accuracy": right - 0.02}
                own = {"own_accuracy": right - 0.1} if source == "memorised" else {}
                rows.append(row | scores | {"superclasses": superclasses} | own)
    means = generator.normal(size=(len(coarse_names), 8))[coarse_of] * 3
    means = means + generator.normal(size=(len(fine_names), 8)) / 3
    matrix = ((means[:, None] - means[None]) ** 2).sum(2) + 0.5
    return {
        "rows": rows,
        "oracle": [{"seed": seed, "probe_accuracy": 0.93} for seed in seeds],
        "memorised": [{"seed": seed, "probe_accuracy": 0.7 + 0.001 * seed} for seed in seeds],
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


def connected(study: Study, **spawn: object) -> Study:
    """The study with a section spawn of three widths and two weight decays, unless told otherwise."""
    own = {"seeds": [0, 1, 2, 3], "spawned": 2, "epochs": [0, 1, 5], "widths": [0.25, 4.0], "weight_decays": [0.003]}
    content = study.model_dump()
    return Study.model_validate(content | {"average": None, "spawn": content["spawn"] | own | spawn})


def _number(k: int | str | None) -> int:
    return int(str(k or 0).removesuffix("-steps"))


def _epochs(k: int | str) -> float:
    return k if isinstance(k, int) else _number(k) / EPOCH


def interpolate(study: Study) -> list[dict]:
    """Lines between spawned networks rise less the later they part; those between aligned ones less than others."""
    share = {"none": 1.0, "weights": 0.4, "activations": 0.3, "correlations": 0.32, "ste": 0.1, "joint": 0.25}
    rows = []
    for pair in pairs(study):
        for index, method in enumerate(share if pair.k is None else ["none"]):
            if method not in ("none", *study.permute.methods):
                continue
            for repaired in (False, True):
                generator = np.random.default_rng(
                    [pair.a[0], index, _number(pair.k), repaired, *map(ord, pair.cell.recipe)]
                )
                height = share[method] / pair.cell.width**0.5 if pair.k is None else 0.3 / (1 + _epochs(pair.k)) ** 2
                height *= (0.4 if repaired else 1.0) * (1 + 0.4 * generator.random())
                rows.append(_line(pair, method, repaired, height, 30 if pair.k is not None else 25))
    return rows


def _line(pair: Pair, method: str, repaired: bool, height: float, points: int) -> dict:
    alphas = np.linspace(0, 1, points)
    error = {split: at_end + 0.7 * np.tanh(height) * 4 * alphas * (1 - alphas) for split, at_end in ENDS.items()}
    curves = {f"{split}_loss": 2 * values for split, values in error.items()}
    heights = curves | {f"{split}_error": values for split, values in error.items()}
    # Half of what a loss rises is want of confidence.
    curves |= {f"{split}_calibrated_loss": values + error[split][0] for split, values in error.items()}
    heights |= {name: curves[name] for name in curves if "calibrated" in name}
    curves |= {f"{split}_accuracy": 1 - values for split, values in error.items()}
    curves["temperature"] = 1 / (1 + 4 * height * alphas * (1 - alphas))
    row = pair.row(method) | {"repaired": repaired, "alphas": alphas.tolist()}
    row |= {name: values.tolist() for name, values in curves.items()}
    # All ends are equally good here, so that the barrier is the instability.
    rise = {name: float(values.max() - values[0]) for name, values in heights.items()}
    return row | {"barrier": rise, "instability": dict(rise)}


def plane() -> dict:
    """Two basins at A and B, of which the permuted B lies in A's."""
    networks = np.array([[0.0, 0.0], [10.0, 0.0], [3.0, 5.0]])
    x, y = np.linspace(-2, 12, 15), np.linspace(-4.5, 9.5, 15)
    distance = np.stack([np.hypot(x - a, y[:, None] - b) for a, b in networks]).min(0)
    loss = 0.002 + 2.3 * (1 - np.exp(-((distance / 4) ** 4)))
    own = {"seeds": [0, 1], "method": "weights", "repaired": False, "networks": networks.tolist()}
    return own | {"x": x.tolist(), "y": y.tolist(), "train_loss": loss.tolist()}


def spawn(study: Study) -> list[dict]:
    rows = []
    for run in runs(study):
        error = 0.05 + 0.001 * run.seed
        rows.append(run.row | {f"{split}_loss": 2 * error for split in ENDS})
        rows[-1] |= {f"{split}_accuracy": 1 - error for split in ENDS}
    return rows


def permute(study: Study) -> list[dict]:
    numbers = {"before": 1.0, "after": 30.0, "weights_before": 2.0, "weights_after": 40.0}
    return [
        {"width": pair.cell.width, "weight_decay": pair.cell.train.weight_decay, "seeds": [pair.a[0], pair.b[0]]}
        | {"method": method, "objective": "inner product of <weights>"}
        | numbers
        for pair in pairs(study)
        if pair.k is None
        for method in study.permute.methods
    ]


def planted(study: Study) -> list[dict]:
    """Every method finds the order that is known."""
    rows = []
    for cell in {pair.cell.name: pair.cell for pair in pairs(study) if pair.k is None}.values():
        row = {"width": cell.width, "weight_decay": cell.train.weight_decay, "seed": 0, "units": 120}
        methods = [method for method in study.permute.methods if method != "ste"]
        rows += [row | {"method": "none", "found": 0.0, "barrier": 1.5}] if methods else []
        reached = {"found": 1.0, "before": 2.0, "after": 60.0, "known": 60.0, "barrier": 0.0}
        rows += [row | {"method": method} | reached for method in methods]
    return rows


MLP = ["hidden.linear1", "hidden.relu1", "hidden.linear2", "hidden.relu2", "hidden.linear3", "hidden.relu3", "head"]
BLOCK = ("conv1", "norm1", "relu1", "conv2", "norm2", "relu2")
RESNET = ["conv", "norm", "relu", *(f"stages.{s}.{b}.{name}" for s in range(3) for b in range(3) for name in BLOCK)]
RESNET += [f"stages.{stage}.0.shortcut.{name}" for stage in (1, 2) for name in ("conv", "norm")] + ["pool", "head"]
# How far from linear the features are: as far as independent networks', or less.
BENT = {"none": 0.6, "weights": 0.03, "activations": 0.02, "correlations": 0.025, "ste": 0.015, "joint": 0.018}


def linearity(study: Study, layers: list[str] = MLP) -> list[dict]:
    """Merged features are the nearer to the interpolated ones the later a pair parted, and where units are aligned."""
    rows = []
    for line in interpolate(study):
        generator = np.random.default_rng([*line["seeds"], _number(line["k"]), line["repaired"], len(line["method"])])
        bent = BENT[line["method"]] if line["k"] is None else 0.1 / (1 + _epochs(line["k"])) ** 2
        bent *= (0.5 if line["repaired"] else 1.0) * (1 + 0.3 * generator.random())
        row = {name: line[name] for name in (*PAIR, "repaired") if name in line}
        measured = [_layer(name, place, len(layers), bent, generator) for place, name in enumerate(layers)]
        worse = (
            0.8 if line["k"] is None and line["method"] == "none" else 1.3
        )  # where units are not aligned, LEWC holds
        depth = 0
        for name, layer in zip(layers, measured, strict=True):
            depth += "conv" in name or "linear" in name or name == "head"
            off = (1.0 if depth < 2 else worse, 1.0, 1.0 if depth < 2 else worse)
            layer["depth"] = depth
            layer["exponential"] = [
                {statistic: share * value for statistic, value in own.items()}
                for share, own in zip(off, layer["dissimilarity"], strict=True)
            ]
        errors = {name: [0.05 + 0.8 * bent * share for share in (0.7, 1.0, 0.7)] for name in ("merged", "disagreement")}
        ends = {"a": 0.05, "b": 0.05, "either": 0.07, "interpolated": [0.05] * 3}
        rows.append(row | {"alphas": [0.25, 0.5, 0.75], "layers": measured, "test_error": ends | errors})
    return rows


def _layer(name: str, place: int, count: int, bent: float, generator: np.random.Generator) -> dict:
    """The first layer is linear in its weights, and sees the same images in both networks."""

    def stats(mean: float) -> dict:
        return {"mean": mean, "spread": abs(mean) / 2, "q05": mean / 2, "q50": mean, "q95": 2 * mean}

    first = place == 0
    level = -4e-8 if first else bent * (0.3 + place / count) * (0.8 + 0.4 * generator.random())
    row = {
        "name": name,
        "dissimilarity": [stats(0.7 * level), stats(level), stats(0.7 * level)],
        "coefficient": [stats(1 - 0.5 * level)] * 3,
        "baseline": stats(min(3 * level, 1.0) if not first else 0.3),
    }
    if "relu" in name:
        return row | {"additivity": [stats(0.5 * level)] * 3}
    if "norm" in name or name == "pool":
        return row
    inputs = 0.0 if first else 2 * level
    return row | {"commutativity": stats(0.4 * inputs), "weights": 1.5 * bent, "inputs": stats(inputs)}


def stitch(study: Study, layers: list[str] = MLP) -> list[dict]:
    """Stitched networks err more where features differ more, and most in the middle."""
    rows = []
    for line in linearity(study, layers):
        if line["repaired"]:
            continue
        along = np.linspace(0, 1, len(layers) - 1)
        bent = line["layers"][-1]["dissimilarity"][1]["mean"]
        error = 0.05 + 0.85 * np.tanh(bent) * 4 * along * (1 - along)
        row = {name: line[name] for name in PAIR if name in line}
        errors = {"a_below_b": error.tolist(), "b_below_a": (error * 1.1).tolist(), "error_a": 0.05, "error_b": 0.052}
        rows.append(row | {"layers": layers[:-1]} | errors)
    return rows
