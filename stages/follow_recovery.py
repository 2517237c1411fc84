"""Recover the merged classes at every kept epoch of the coarse networks: does what no label says outlast collapse?"""

from itertools import chain

from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import about, one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section, only
from hidden_structure.frame.sections import Cluster, Features, Hardware, Network, Seed, Some, Tasks, Train
from hidden_structure.frame.tasks import run
from hidden_structure.frame.workplace import workplace
from hidden_structure.networks.features import PENULTIMATE
from hidden_structure.networks.weights import load_state
from hidden_structure.recovery.controls import merged
from hidden_structure.recovery.following import follow
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read
from hidden_structure.training.loop import snapshot_epochs


class Reads(Section):
    cluster: Cluster
    features: only(Features, "batch_size")
    hardware: Hardware
    network: Network
    seeds: Some[Seed]
    tasks: Tasks
    train: Train | None


@one_line_errors
@alone("follow-recovery")
def main() -> None:
    study = params.load(reads=Reads)
    if study.train is None or study.cluster.followed is None:
        artifacts.write_json(paths.results("follow-recovery"), [])
        return
    inputs = read(study.hardware, "coarse")
    epochs = snapshot_epochs(study.train.epochs, study.train.snapshots)
    followed = [(seed, epoch) for seed in study.seeds for epoch in epochs]
    described = study.model_dump(include={"cluster", "features", "network"})
    described |= describe(inputs.device, inputs.precision, 1)
    weights = artifacts.arrays_of(paths.snapshot("coarse", *each) for each in followed)
    fine = artifacts.read_labels("fine").values()
    with workplace("follow-recovery", described, chain(inputs.arrays, fine, weights)) as folder:
        tasks = {f"seed {seed}, epoch {epoch}": (study, seed, epoch) for seed, epoch in followed}
        found = run("recovery over training", follow_snapshot, tasks, folder, study.tasks, study.hardware)
        artifacts.write_json(paths.results("follow-recovery"), list(found.values()))


def follow_snapshot(study: Reads, seed: int, epoch: int) -> dict:
    inputs, settings, file = read(study.hardware, "coarse"), study.cluster, paths.snapshot("coarse", seed, epoch)
    network = inputs.build(study.network)
    load_state(network, artifacts.read_state(file, network))
    network.to(inputs.device)
    train, test = (
        inputs.features(network, split, [PENULTIMATE], study.features.batch_size)[PENULTIMATE]
        for split in ("train", "test")
    )
    with about(f"epoch {epoch}"):
        row = follow(train, test, merged(), settings, settings.followed, "followed", epoch, seed)
    return {"seed": seed, "epoch": epoch, "reducer": settings.followed} | row


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
