"""The cluster-and-linear-probe test of a study's own networks, and its controls, as independent tasks.

The probe always reads the coarse network's features; the controls cluster the pixels and an untrained network's
features instead. Fine labels of training samples only name clusters, those of test samples only score.

Every function reads what it works on from the files of the study, and leaves arrays in `folder`, of the stage.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import sklearn.metrics  # noqa: F401  here, and not by every task, where tasks are forked
import torch
from torch import Tensor

from hidden_structure.collapse.metrics import class_distances
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.recovery import tsne  # noqa: F401
from hidden_structure.recovery.clustering import reduce_one, reduce_within, together
from hidden_structure.recovery.recovery import Merged, probe_accuracy, recover_and_probe

SOURCES = ("coarse", "pixels", "untrained")  # of what is clustered


def merged() -> Merged:
    """The study's own merge."""
    fine, coarse = artifacts.read_both_labels()
    return Merged(fine["train"], coarse["train"], fine["test"], coarse["coarse_of"], coarse["names"].tolist())


def files(seeds: list[int]) -> Iterator[Path]:
    """The features that are read."""
    return (paths.features(name, seed) for seed in seeds for name in ("coarse", "untrained"))


def draw_map(folder: Path, settings: params.Cluster, source: str, seed: int, group: int) -> None:
    """t-SNE of one super-class: what takes longest, so it is a task of its own."""
    coarse, features = merged().coarse, _source(source, seed)
    points = reduce_one(features, coarse, group, "tsne", settings.perplexity, settings.components, source, seed)
    artifacts.write_arrays(_map(folder, source, seed, group), {"points": points})


def recover(folder: Path, settings: params.Cluster, source: str, reducer: str, seed: int) -> dict:
    """The row of what one reducer makes of one source; t-SNE has drawn its maps before."""
    own, names = merged(), (source, seed)
    if reducer == "tsne":
        maps = {int(group): _map(folder, source, seed, int(group)) for group in np.unique(own.coarse)}
        points = together({group: artifacts.read_arrays(file)["points"] for group, file in maps.items()}, own.coarse)
    else:
        sizes = settings.perplexity, settings.components
        points = reduce_within(_source(source, seed), own.coarse, reducer, *sizes, *names)
    found = recover_and_probe(points, *_features("coarse", seed), own, settings, reducer, *names)
    arrays = {"recovered": found.recovered}
    if (source, reducer) == ("coarse", "tsne"):
        arrays["map"] = points.astype(np.float32)
    artifacts.write_arrays(_recovered(folder, source, reducer, seed), arrays)
    row = {"seed": seed, "source": source, "reducer": reducer} | found.row
    print({key: row[key] for key in ("seed", "source", "reducer", "agreement", "probe_accuracy")}, flush=True)
    return row


def compare(settings: params.Cluster, seed: int) -> dict:
    """The `oracle`, a probe that is trained on the fine labels, and mean squared `distances` between classes (C, C)."""
    own, (train, test) = merged(), _features("coarse", seed)
    oracle = {"seed": seed, "probe_accuracy": probe_accuracy(own.fine, train, test, own, settings.l2)}
    distances = class_distances(train, torch.from_numpy(own.fine), len(own.coarse_of))
    return {"oracle": oracle, "distances": distances.tolist()}


def collect(folder: Path, settings: params.Cluster, seed: int) -> dict[str, np.ndarray]:
    """All recovered labels of that seed, and the map of the coarse network: by t-SNE, or without that by PCA."""
    kept = {
        (source, reducer): artifacts.read_arrays(_recovered(folder, source, reducer, seed))
        for source in SOURCES
        for reducer in settings.reducers
    }
    if "tsne" in settings.reducers:
        flat = kept["coarse", "tsne"]["map"]
    else:
        features, coarse = _source("coarse", seed), merged().coarse
        flat = reduce_within(features, coarse, "pca", settings.perplexity, 2, "coarse", seed).astype(np.float32)
    found = {f"recovered/{source}/{reducer}": arrays["recovered"] for (source, reducer), arrays in kept.items()}
    return {"map": flat} | found


def _features(network: str, seed: int) -> tuple[Tensor, Tensor]:
    """Of the training and the test samples: (N, d), (M, d)."""
    fine = artifacts.read_labels("fine")
    held = {f"{split}/penultimate": len(fine[split]) for split in ("train", "test")}
    stored = artifacts.read_tensors(paths.features(network, seed), held)
    return stored["train/penultimate"], stored["test/penultimate"]


def _source(source: str, seed: int) -> np.ndarray:
    """What is clustered: float32 (N, d)."""
    if source != "pixels":
        return _features(source, seed)[0].numpy()
    images = artifacts.read_arrays(paths.DATA, paths.IMAGES)["train_images"]
    return images.reshape(len(images), -1).astype(np.float32) / 255


def _map(folder: Path, source: str, seed: int, group: int) -> Path:
    return folder / "maps" / f"{source}-{seed}-{group}.npz"


def _recovered(folder: Path, source: str, reducer: str, seed: int) -> Path:
    return folder / "recovered" / f"{source}-{reducer}-{seed}.npz"
