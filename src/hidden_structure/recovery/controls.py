"""The cluster-and-linear-probe test of a study's own networks, and its controls, as independent tasks.

The probe reads the coarse network's features, whichever features were clustered: controls, which cluster the pixels or
another network's features, differ in the recovered labels alone. Fine labels of training samples only name clusters,
those of test samples only score. Pixels are clustered once, by the first seed: no other network changes them.

A network that memorised shuffled labels is a control of the whole test as well. So its own features are read besides,
with the labels recovered from them, which is what to compare with what a network is said to classify, and with the true
labels, which is what to compare with the coarse network's own probe on these. Of what is said of clusters, the control
is as of other sources their agreement, and their worth to the probe on the coarse network's features.

Every function reads what it works on from the files of the study, and leaves arrays in `folder`, of the stage.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import sklearn.metrics  # noqa: F401  here, and not by every task, where tasks are forked
import torch
from torch import Tensor

from hidden_structure.collapse.metrics import class_distances
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.recovery import tsne  # noqa: F401
from hidden_structure.recovery.clustering import reduce_one, reduce_within, scores, scores_within, together
from hidden_structure.recovery.recovery import Merged, probe_accuracy, recover_and_probe

PIXELS = "pixels"
SOURCES = ("coarse", PIXELS, "untrained")  # of what is clustered
MEMORISED = "memorised"  # a further one, of networks that a study may leave out
Way = tuple[str, str]  # of clustering: source and reducer


def ways(settings: params.Cluster, memorised: params.Memorised | None) -> list[Way]:
    """Every reducer of every source; of the networks that memorised the first alone, which the claims speak of."""
    further = [(MEMORISED, settings.reducers[0])] if memorised else []
    return [(source, reducer) for source in SOURCES for reducer in settings.reducers] + further


def merged() -> Merged:
    """The study's own merge."""
    fine, coarse = artifacts.read_both_labels()
    return Merged(fine["train"], coarse["train"], fine["test"], coarse["coarse_of"], coarse["names"].tolist())


def files(ways: Sequence[Way], seeds: list[int]) -> Iterator[Path]:
    """The features that are read."""
    sources = dict.fromkeys(source for source, _ in ways if source != PIXELS)
    return (_file(source, seed) for seed in seeds for source in sources)


def draw_map(folder: Path, settings: params.Cluster, source: str, seed: int, group: int) -> None:
    """t-SNE of one super-class: what takes longest, so it is a task of its own."""
    coarse, features = merged().coarse, _source(source, seed)
    points = reduce_one(features, coarse, group, "tsne", settings.perplexity, settings.components, source, seed)
    artifacts.write_arrays(_map(folder, source, seed, group), {"points": points})


def recover(folder: Path, settings: params.Cluster, source: str, reducer: str, seed: int) -> dict:
    """The row of what one reducer makes of one source; t-SNE has drawn its maps before.

    `probe_accuracy` is of a probe on the coarse network's features, `own_accuracy`, of the source memorised alone, of
    one on that network's own.
    """
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
    if source == MEMORISED:
        row["own_accuracy"] = probe_accuracy(found.recovered, *_features(source, seed), own, settings.l2)
    print({key: row[key] for key in ("seed", "source", "reducer", "agreement", "probe_accuracy")}, flush=True)
    return row


def read_again(folder: Path, settings: params.Cluster, first: int, reducer: str, seed: int) -> dict:
    """The row of pixels, which no network has a part in, with the coarse network of another seed than `recover`'s: the
    clusters are the same, what they are worth to a probe is not."""
    own, kept = merged(), artifacts.read_arrays(_recovered(folder, PIXELS, reducer, first))
    artifacts.write_arrays(_recovered(folder, PIXELS, reducer, seed), kept)
    row = {"seed": seed, "source": PIXELS, "reducer": reducer} | scores(kept["recovered"], own.fine)
    row["probe_accuracy"] = probe_accuracy(kept["recovered"], *_features("coarse", seed), own, settings.l2)
    row["superclasses"] = scores_within(kept["recovered"], own.fine, own.coarse, own.names)
    return row


def compare(settings: params.Cluster, seed: int) -> dict:
    """The `oracle` of the coarse network, and mean squared `distances` between classes in its features (C, C)."""
    own, (train, _) = merged(), _features("coarse", seed)
    distances = class_distances(train, torch.from_numpy(own.fine), len(own.coarse_of))
    return {"oracle": oracle(settings, "coarse", seed), "distances": distances.tolist()}


def oracle(settings: params.Cluster, network: str, seed: int) -> dict:
    """The row of a probe on this network's features that is trained on the fine labels."""
    own = merged()
    return {"seed": seed, "probe_accuracy": probe_accuracy(own.fine, *_features(network, seed), own, settings.l2)}


def collect(folder: Path, settings: params.Cluster, ways: Sequence[Way], seed: int) -> dict[str, np.ndarray]:
    """All recovered labels of that seed, and the map of the coarse network: by t-SNE, or without that by PCA."""
    kept = {way: artifacts.read_arrays(_recovered(folder, *way, seed)) for way in ways}
    if "tsne" in settings.reducers:
        flat = kept["coarse", "tsne"]["map"]
    else:
        features, coarse = _source("coarse", seed), merged().coarse
        flat = reduce_within(features, coarse, "pca", settings.perplexity, 2, "coarse", seed).astype(np.float32)
    found = {f"recovered/{source}/{reducer}": arrays["recovered"] for (source, reducer), arrays in kept.items()}
    return {"map": flat} | found


def _features(network: str, seed: int) -> tuple[Tensor, Tensor]:
    """Of the training and the test samples: (N, d), (M, d)."""
    fine, within = artifacts.read_labels("fine"), "" if network == MEMORISED else "/penultimate"
    held = {f"{split}{within}": len(fine[split]) for split in ("train", "test")}
    stored = artifacts.read_tensors(_file(network, seed), held)
    train, test = map(stored.get, held)
    return train, test


def _file(network: str, seed: int) -> Path:
    return paths.memorised_features(seed) if network == MEMORISED else paths.features(network, seed)


def _source(source: str, seed: int) -> np.ndarray:
    """What is clustered: float32 (N, d)."""
    if source != PIXELS:
        return _features(source, seed)[0].numpy()
    images = artifacts.read_arrays(paths.DATA, paths.IMAGES)["train_images"]
    pixels = images.reshape(len(images), -1).astype(np.float32)
    pixels /= 255  # in place: they are most of what a task holds
    return pixels


def _map(folder: Path, source: str, seed: int, group: int) -> Path:
    return folder / "maps" / f"{source}-{seed}-{group}.npz"


def _recovered(folder: Path, source: str, reducer: str, seed: int) -> Path:
    return folder / "recovered" / f"{source}-{reducer}-{seed}.npz"
