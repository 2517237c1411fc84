"""Measure neural collapse over training: of every network, at each epoch whose weights were kept."""

from dataclasses import asdict

import torch

from hidden_structure.collapse.metrics import measure
from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import InputError, one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.progress import track
from hidden_structure.frame.sections import Features, Hardware, Network, Section, Seed, Some, Train, only
from hidden_structure.networks.features import PENULTIMATE, extract, head
from hidden_structure.networks.weights import load_state
from hidden_structure.training.batches import evaluation_batches
from hidden_structure.training.device import autocast
from hidden_structure.training.inputs import read
from hidden_structure.training.loop import snapshot_epochs


class Reads(Section):
    features: only(Features, "batch_size")
    hardware: Hardware
    network: Network
    seeds: Some[Seed]
    train: Train | None


@one_line_errors
@alone("measure-collapse")
def main() -> None:
    study = params.load(reads=Reads)
    if study.train is None:
        artifacts.write_json(paths.results("collapse"), [])
        return
    epochs = snapshot_epochs(study.train.epochs, study.train.snapshots)

    rows: dict[str, list[dict]] = {}
    for supervision in paths.SUPERVISIONS:
        inputs = read(study.hardware, supervision)
        images, targets = inputs.images["train"], torch.from_numpy(inputs.labels["train"])
        network = inputs.build(study.network).to(inputs.device)
        runs = [(seed, epoch) for seed in study.seeds for epoch in epochs]
        rows[supervision] = []
        for seed, epoch in track(runs, f"collapse of {supervision} networks"):
            load_state(network, artifacts.read_state(paths.snapshot(supervision, seed, epoch), network))
            batches, last = evaluation_batches(images, study.features.batch_size), head(network)
            with autocast(inputs.device, inputs.precision):
                features = extract(network, batches, [PENULTIMATE], len(targets))[PENULTIMATE]
            bias = None if last.bias is None else last.bias.detach().cpu()
            try:
                metrics = asdict(measure(features, targets, last.weight.detach().cpu(), bias))
            except InputError as error:
                raise InputError(f"{supervision} network, seed {seed}, epoch {epoch}: {error}") from error
            shape = {"dimension": features.shape[1]}
            rows[supervision].append({"supervision": supervision, "seed": seed, "epoch": epoch} | shape | metrics)

    everything = [row for supervision in paths.SUPERVISIONS for row in rows[supervision]]
    artifacts.write_json(paths.results("collapse"), everything)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
