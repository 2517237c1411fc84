"""Train the study's network on fine or coarse labels, every seed of it: `python stages/train.py fine`.

Killed and started again it goes on where it was. Under torchrun or `accelerate launch` it trains data-parallel.
"""

from pathlib import Path

from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import about, one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.sections import Hardware, Network, Section, Seed, Some, Train
from hidden_structure.training import distributed, loop, run
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import Inputs, read
from hidden_structure.training.resume import workplace


class Reads(Section):
    hardware: Hardware
    network: Network
    seeds: Some[Seed]
    train: Train | None


@one_line_errors
def main() -> None:
    supervision = command.arguments(__doc__, supervision=paths.SUPERVISIONS).supervision
    with alone(f"train@{supervision}"):
        train_every_seed(params.load(reads=Reads), supervision)


def train_every_seed(study: Reads, supervision: str) -> None:
    if study.train is None:
        for folder in (paths.models(supervision), paths.snapshots(supervision)):
            artifacts.clear(folder)
        artifacts.write_json(paths.results(f"train-{supervision}"), [])
        artifacts.write_json(paths.results(f"hardware-{supervision}"), None)
        return
    inputs = read(study.hardware, supervision)
    described = study.model_dump(include={"hardware", "network", "train"})
    with distributed.process_group(inputs.device) as (rank, processes):
        hardware = describe(inputs.device, inputs.precision, processes)
        with workplace(f"train@{supervision}", described | hardware, inputs.arrays) as folder:
            rows = []
            for seed in study.seeds:
                with about(f"{supervision}, seed {seed}"):
                    history = train(study, inputs, supervision, seed, folder / str(seed))
                rows += [{"seed": seed} | row for row in history]
            if rank == 0:
                publish(study, supervision, folder, rows, hardware)


def train(study: Reads, inputs: Inputs, supervision: str, seed: int, folder: Path) -> list[dict]:
    """The history of one network, whose snapshots are in the folder."""
    images, recipe = inputs.images, study.train
    test = {"test": (images["test"], inputs.targets("test"))}
    snapshots = loop.snapshot_epochs(recipe.epochs, recipe.snapshots)

    def keep(state: loop.TrainingState) -> None:
        if state.epoch in snapshots:
            state.history[-1] |= run.evaluate(state.network, test, inputs.precision, recipe)
            accuracy = state.history[-1]["test_accuracy"]
            print(f"{supervision}, seed {seed}, epoch {state.epoch}: test accuracy {accuracy:.4f}", flush=True)
            artifacts.write_tensors(folder / f"{state.epoch:05d}.safetensors", state.network.state_dict())

    network, file = inputs.initialise(study.network, seed), folder / "state.safetensors"
    return run.train(
        network, recipe, seed, images["train"], inputs.targets("train"), inputs.precision, file, after=keep
    ).history


def publish(study: Reads, supervision: str, folder: Path, rows: list[dict], hardware: dict) -> None:
    """Put every seed's results where the later stages read them."""
    snapshots = loop.snapshot_epochs(study.train.epochs, study.train.snapshots)
    kept, models = {}, {}
    for seed in study.seeds:
        for epoch in snapshots:
            file = folder / str(seed) / f"{epoch:05d}.safetensors"
            kept[paths.snapshot(supervision, seed, epoch)] = file
        models[paths.model(supervision, seed)] = file  # the last one
    artifacts.publish(paths.snapshots(supervision), kept)
    artifacts.publish(paths.models(supervision), models)
    artifacts.write_json(paths.results(f"train-{supervision}"), rows)
    artifacts.write_json(paths.results(f"hardware-{supervision}"), hardware)


if __name__ == "__main__":
    main()
