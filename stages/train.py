"""Train the study's network on fine or coarse labels, every seed of it: `python stages/train.py fine`.

Killed and started again it goes on where it was. Under torchrun or `accelerate launch` it trains data-parallel.
"""

import argparse
import shutil
from functools import partial
from pathlib import Path

from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.seeding import global_seed
from hidden_structure.training import distributed, loop, resume
from hidden_structure.training.curves import mean_and_spread
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("supervision", choices=paths.SUPERVISIONS)
    supervision = parser.parse_args().supervision
    with alone(f"train@{supervision}"):
        train_and_publish(params.load(), supervision)


def train_and_publish(study: params.Study, supervision: str) -> None:
    inputs = read(study.hardware, supervision)
    device, precision = inputs.device, inputs.precision
    train, test = ((inputs.images[split], inputs.targets(split)) for split in ("train", "test"))
    snapshots = loop.snapshot_epochs(study.train.epochs, study.train.snapshots)
    recipe = study.model_dump(include={"hardware", "network", "train"}) | {"supervision": supervision}
    rows: list[dict] = []

    def keep(state: loop.TrainingState, seed: int) -> None:
        if state.epoch in snapshots:
            said = partial(loop.diverged, train=study.train)
            loss, accuracy = loop.evaluate(state.network, *test, precision, said=said)
            state.history[-1] |= {"test_loss": loss, "test_accuracy": accuracy}
            print(f"{supervision}, seed {seed}, epoch {state.epoch}: test accuracy {accuracy:.4f}", flush=True)
            artifacts.write_tensors(folders[seed] / f"{state.epoch:05d}.safetensors", state.network.state_dict())
        resume.save(folders[seed] / "state.safetensors", state)

    with distributed.process_group(device) as (rank, processes):
        hardware = describe(device, precision, processes)
        key = resume.fingerprint(recipe | hardware, Path(__file__), *inputs.data.values(), *inputs.labels.values())
        folders = {seed: paths.RESUME / f"{supervision}-{seed}-{key}" for seed in study.seeds}
        for seed in study.seeds:
            with global_seed("initialisation", seed):
                network = inputs.build(study.network)
            state = loop.start(network, study.train, device)
            after_epoch = partial(keep, seed=seed) if rank == 0 else loop.nothing
            if not resume.load(folders[seed] / "state.safetensors", state):
                after_epoch(state)
            distributed.check_same(state.epoch, "epochs to resume from: share artifacts/resume between the machines")
            loop.fit(state, *train, study.train, seed, precision, (rank, processes), after_epoch)
            rows += [{"seed": seed} | row for row in state.history]
    if rank == 0:
        publish(study.study, supervision, folders, snapshots, rows, hardware)


def publish(study: str, supervision: str, folders: dict, snapshots: list[int], rows: list, hardware: dict) -> None:
    """Put every seed's results where the later stages read them, then forget the training state."""
    for stale in (paths.models(supervision), paths.snapshots(supervision)):
        shutil.rmtree(stale, ignore_errors=True)
    for seed, folder in folders.items():
        for epoch in snapshots:
            artifacts.copy(folder / f"{epoch:05d}.safetensors", paths.snapshot(supervision, seed, epoch))
        artifacts.copy(folder / f"{snapshots[-1]:05d}.safetensors", paths.model(supervision, seed))
    measured = [row for row in rows if row["epoch"] in snapshots[1:]]
    artifacts.write_json(paths.results(f"train-{supervision}"), rows)
    artifacts.write_text(paths.curve(study, f"training-{supervision}"), mean_and_spread(measured, loop.MEASURED))
    artifacts.write_json(paths.results(f"hardware-{supervision}"), hardware)
    resume.forget(*folders.values())


if __name__ == "__main__":
    main()
