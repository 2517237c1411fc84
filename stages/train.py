"""Train the study's network on fine or coarse labels, every seed of it: `python stages/train.py fine`.

Killed and started again it goes on where it was. Under torchrun or `accelerate launch` it trains data-parallel.
"""

from pathlib import Path

from hidden_structure.frame import artifacts, command, params, paths, tasks
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Hardware, Network, Seed, Some, Tasks, Train
from hidden_structure.frame.workplace import workplace
from hidden_structure.training import distributed, loop, run
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read


class Reads(Section):
    hardware: Hardware
    network: Network
    seeds: Some[Seed]
    tasks: Tasks
    train: Train | None


@one_line_errors
def main() -> None:
    supervision = command.arguments(__doc__, supervision=paths.SUPERVISIONS).supervision
    with alone(f"train@{supervision}"):
        study = params.load(reads=Reads)
        train_every_seed(study, supervision) if study.train else publish(supervision, {}, {}, [], None)


def train_every_seed(study: Reads, supervision: str) -> None:
    inputs = read(study.hardware, supervision)
    with distributed.process_group(inputs.device) as (rank, processes):
        hardware = describe(inputs.device, inputs.precision, processes)
        described = study.model_dump(include={"hardware", "network", "train"}) | hardware
        with workplace(f"train@{supervision}", described, inputs.arrays, study.tasks.keep) as folder:
            named = {f"{supervision}, seed {seed}": (study, supervision, seed, folder) for seed in study.seeds}
            found = tasks.run(f"train@{supervision}", train, named, folder, study.tasks, study.hardware)
            distributed.check_same(len(found), "networks")  # so that none ends before the others have read theirs
            if rank == 0:
                epochs = loop.snapshot_epochs(study.train.epochs, study.train.snapshots)
                files = {seed: [paths.snapshot(supervision, seed, epoch) for epoch in epochs] for seed in study.seeds}
                snapshots = {file: folder / file for own in files.values() for file in own}
                models = {paths.model(supervision, seed): folder / own[-1] for seed, own in files.items()}
                publish(supervision, snapshots, models, [row for rows in found.values() for row in rows], hardware)


def train(study: Reads, supervision: str, seed: int, folder: Path) -> list[dict]:
    """A row an epoch of one network; its weights after those of its snapshots are in files below the folder."""
    inputs, recipe = read(study.hardware, supervision), study.train
    training, test = ((inputs.images[split], inputs.targets(split)) for split in ("train", "test"))
    epochs, state_file = loop.snapshot_epochs(recipe.epochs, recipe.snapshots), folder / f"{seed}.safetensors"

    def keep(state: loop.TrainingState) -> None:
        if state.epoch in epochs:
            state.history[-1] |= run.evaluate(state.network, {"test": test}, inputs.precision, recipe)
            accuracy = state.history[-1]["test_accuracy"]
            print(f"{supervision}, seed {seed}, epoch {state.epoch}: test accuracy {accuracy:.4f}", flush=True)
            artifacts.write_tensors(folder / paths.snapshot(supervision, seed, state.epoch), state.network.state_dict())
        if state.epoch == recipe.epochs and recipe.flip:  # a network that knows both sides of an image
            state.history[-1]["both_sides"] = loop.evaluate(state.network, *test, inputs.precision, both_sides=True)[1]

    network = inputs.initialise(study.network, seed)
    state = run.train(network, recipe, seed, *training, inputs.precision, state_file, after=keep)
    return [{"seed": seed} | row for row in state.history]


def publish(supervision: str, snapshots: dict, models: dict, rows: list[dict], hardware: dict | None) -> None:
    artifacts.publish(paths.snapshots(supervision), snapshots)
    artifacts.publish(paths.models(supervision), models)
    artifacts.write_json(paths.results(f"train-{supervision}"), rows)
    artifacts.write_json(paths.results(f"hardware-{supervision}"), hardware)


if __name__ == "__main__":
    main()
