"""Measure neural collapse over training: of every network, at each epoch whose weights were kept."""

from dataclasses import asdict
from itertools import chain
from pathlib import Path

import torch

from hidden_structure.collapse.metrics import measure
from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import about, one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.progress import track
from hidden_structure.frame.section import Section, only
from hidden_structure.frame.sections import Features, Hardware, Network, Seed, Some, Tasks, Train
from hidden_structure.frame.tasks import run
from hidden_structure.frame.workplace import workplace
from hidden_structure.networks.features import PENULTIMATE, head
from hidden_structure.networks.weights import load_state
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read
from hidden_structure.training.loop import snapshot_epochs
from hidden_structure.unconstrained.bridge import beside


class Reads(Section):
    features: only(Features, "batch_size")
    hardware: Hardware
    network: Network
    seeds: Some[Seed]
    tasks: Tasks
    train: Train | None


@one_line_errors
@alone("measure-collapse")
def main() -> None:
    study = params.load(reads=Reads)
    if study.train is None:
        artifacts.write_json(paths.results("collapse"), [])
        return
    inputs = {supervision: read(study.hardware, supervision) for supervision in paths.SUPERVISIONS}
    networks = [(supervision, seed) for supervision in paths.SUPERVISIONS for seed in study.seeds]
    first = inputs["fine"]
    described = study.model_dump(include={"features", "network"}) | describe(first.device, first.precision, 1)
    weights = artifacts.arrays_of(file for network in networks for file in snapshots(study, *network).values())
    arrays = (array for each in inputs.values() for array in each.arrays)
    with workplace("measure-collapse", described, chain(arrays, weights)) as folder:
        tasks = {f"{supervision} network, seed {seed}": (study, supervision, seed) for supervision, seed in networks}
        found = run("collapse", measure_network, tasks, folder, study.tasks, study.hardware)
        artifacts.write_json(paths.results("collapse"), [row for rows in found.values() for row in rows])


def measure_network(study: Reads, supervision: str, seed: int) -> list[dict]:
    """A row of metrics for each epoch."""
    inputs, rows = read(study.hardware, supervision), []
    targets = torch.from_numpy(inputs.labels["train"])
    network = inputs.build(study.network).to(inputs.device)
    for epoch, file in track(snapshots(study, supervision, seed).items(), "collapse"):
        load_state(network, artifacts.read_state(file, network))
        features = inputs.features(network, "train", [PENULTIMATE], study.features.batch_size)[PENULTIMATE]
        last = head(network)
        bias = None if last.bias is None else last.bias.detach().cpu()
        with about(f"epoch {epoch}"):
            measured = features, targets, last.weight.detach().cpu(), bias
            metrics = asdict(measure(*measured)) | beside(*measured, study.train)
        own = {"supervision": supervision, "seed": seed, "epoch": epoch, "dimension": features.shape[1]}
        rows.append(own | metrics)
    return rows


def snapshots(study: Reads, supervision: str, seed: int) -> dict[int, Path]:
    """Epoch -> weights."""
    epochs = snapshot_epochs(study.train.epochs, study.train.snapshots)
    return {epoch: paths.snapshot(supervision, seed, epoch) for epoch in epochs}


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
