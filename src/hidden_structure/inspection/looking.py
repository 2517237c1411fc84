"""What is measured of one network that is given: its accuracy, its collapse, and the structure inside its classes.

Beside it stand controls: the same of an untrained network of its kind and, inside classes, of the pixels.
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import silhouette_score
from torch import Tensor, nn

from hidden_structure.collapse.metrics import measure
from hidden_structure.frame import artifacts, params
from hidden_structure.frame.errors import about
from hidden_structure.frame.given import Inspect
from hidden_structure.networks.features import PENULTIMATE, head
from hidden_structure.recovery.clustering import kmeans, reduce_within
from hidden_structure.recovery.controls import merged
from hidden_structure.recovery.count import SAMPLES, estimate
from hidden_structure.recovery.recovery import probe_accuracy, recover_and_probe
from hidden_structure.seeding import numpy_generator, seed_of
from hidden_structure.training.given import restored
from hidden_structure.training.inputs import Inputs, read
from hidden_structure.training.whitening import whiten

SOURCES = ("given", "pixels", "untrained")  # of what is clustered
FLAT = 2  # dimensions of the map


def look(
    place: int,
    settings: Inspect,
    network: params.Network,
    cluster: params.Cluster,
    hardware: params.Hardware,
    batch_size: int,
    folder: Path,
) -> dict:
    """A row of all that is measured of the checkpoint in that place, counted from 1; a map is left in the folder.

    Raises InputError if the file is no checkpoint of the network, or its features are not finite.
    """
    inputs, file = read(hardware, settings.labels), settings.checkpoints[place - 1]
    given, row = restored(file, network, inputs)
    untrained = inputs.initialise(network, "inspect").to(inputs.device)
    whiten(untrained, inputs.images["train"])  # as networks are that begin to be trained
    features = {
        name: [inputs.features(of, split, [PENULTIMATE], batch_size)[PENULTIMATE] for split in ("train", "test")]
        for name, of in (("given", given), ("untrained", untrained))
    }
    labels = torch.from_numpy(inputs.labels["train"])
    with about(file):
        row["collapse"] = _collapse(given, features["given"][0], labels)
        row["untrained"] = _collapse(untrained, features["untrained"][0], labels)
    clustered = {name: own[0].numpy() for name, own in features.items()} | {"pixels": _pixels(inputs)}
    points = {name: _reduced(clustered[name], inputs, cluster, name, place) for name in SOURCES}
    row["inside"] = {name: _inside(points[name], inputs, cluster, name, place) for name in SOURCES}
    if settings.labels == "coarse":
        row["recovered"] = _recovered(points, features["given"], cluster, place)
    _keep_map(folder / f"{place}.npz", clustered["given"], points["given"], inputs, cluster, place)
    return {"network": place} | row


def _collapse(network: nn.Module, features: Tensor, labels: Tensor) -> dict:
    last = head(network)
    bias = None if last.bias is None else last.bias.detach().cpu()
    return asdict(measure(features, labels, last.weight.detach().cpu(), bias))


def _pixels(inputs: Inputs) -> np.ndarray:
    images = inputs.data["train_images"]
    pixels = images.reshape(len(images), -1).astype(np.float32)
    pixels /= 255
    return pixels


def _reduced(clustered: np.ndarray, inputs: Inputs, cluster: params.Cluster, source: str, place: int) -> np.ndarray:
    sizes = cluster.perplexity, cluster.components
    return reduce_within(clustered, inputs.labels["train"], cluster.reducers[0], *sizes, "inspect", source, place)


def _inside(points: np.ndarray, inputs: Inputs, cluster: params.Cluster, source: str, place: int) -> dict:
    """Class -> its estimated numbers of clusters, and the mean silhouette of so many, two at least."""
    found = {}
    for group, name in enumerate(inputs.labels["names"].tolist()):
        names = "inspect", source, place, group
        drawn = numpy_generator(*names).permutation(np.flatnonzero(inputs.labels["train"] == group))[:SAMPLES]
        own = points[np.sort(drawn)].astype(np.float64)
        row: dict = estimate(own, *names)
        clusters = max(2, row["silhouette"])
        row["separation"] = None
        if len(np.unique(own, axis=0)) > clusters:
            labels = kmeans(own, clusters, cluster.restarts, seed_of(*names, "separation"))
            row["separation"] = float(silhouette_score(own, labels))
        found[name] = row
    return found


def _recovered(points: dict[str, np.ndarray], features: list[Tensor], cluster: params.Cluster, place: int) -> dict:
    """Of each source agreement, and the accuracy of a linear layer on the features; `labels`: that on true labels."""
    own, (train, test) = merged(), features
    found: dict = {"labels": probe_accuracy(own.fine, train, test, own, cluster.l2)}
    for source in SOURCES:
        names = "inspect", source, place
        row = recover_and_probe(points[source], train, test, own, cluster, cluster.reducers[0], *names).row
        found[source] = {name: row[name] for name in ("agreement", "probe_accuracy", "superclasses")}
    return found


def _keep_map(
    file: Path, features: np.ndarray, points: np.ndarray, inputs: Inputs, cluster: params.Cluster, place: int
) -> None:
    """x and y float32 (N, 2) of every training sample in the map of its class."""
    coarse = inputs.labels["train"]
    if points.shape[1] != FLAT:
        points = reduce_within(features, coarse, "pca", cluster.perplexity, FLAT, "inspect", "map", place)
    flat = np.zeros((len(points), FLAT), np.float32)
    flat[:, : points.shape[1]] = points
    artifacts.write_arrays(file, {"map": flat})
