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
        publish(supervision, {}, {}, [], None)
        return
    inputs = read(study.hardware, supervision)
    with distributed.process_group(inputs.device) as (rank, processes):
        hardware = describe(inputs.device, inputs.precision, processes)
        with workplace(f"train@{supervision}", study.model_dump(exclude={"seeds"}) | hardware, inputs.arrays) as folder:
            rows, epochs = [], loop.snapshot_epochs(study.train.epochs, study.train.snapshots)
            for seed in study.seeds:
                with about(f"{supervision}, seed {seed}"):
                    history = train(study, inputs, f"{supervision}, seed {seed}", seed, epochs, folder / str(seed))
                rows += [{"seed": seed} | row for row in history]
            if rank == 0:
                files = {(seed, epoch): kept(folder / str(seed), epoch) for seed in study.seeds for epoch in epochs}
                snapshots = {paths.snapshot(supervision, *key): file for key, file in files.items()}
                models = {paths.model(supervision, seed): files[seed, epochs[-1]] for seed in study.seeds}
                publish(supervision, snapshots, models, rows, hardware)


def kept(folder: Path, epoch: int) -> Path:
    return folder / f"{epoch:05d}.safetensors"


def train(study: Reads, inputs: Inputs, name: str, seed: int, epochs: list[int], folder: Path) -> list[dict]:
    """The history of one network; its weights after these epochs are in the folder."""
    recipe, images = study.train, inputs.images
    (train_split, test_split) = ((images[split], inputs.targets(split)) for split in ("train", "test"))

    def keep(state: loop.TrainingState) -> None:
        if state.epoch in epochs:
            state.history[-1] |= run.evaluate(state.network, {"test": test_split}, inputs.precision, recipe)
            print(f"{name}, epoch {state.epoch}: test accuracy {state.history[-1]['test_accuracy']:.4f}", flush=True)
            artifacts.write_tensors(kept(folder, state.epoch), state.network.state_dict())

    network, file = inputs.initialise(study.network, seed), folder / "state.safetensors"
    return run.train(network, recipe, seed, *train_split, inputs.precision, file, after=keep).history


def publish(supervision: str, snapshots: dict, models: dict, rows: list[dict], hardware: dict | None) -> None:
    """Put every seed's results where the later stages read them; snapshots, models: {place: file}."""
    artifacts.publish(paths.snapshots(supervision), snapshots)
    artifacts.publish(paths.models(supervision), models)
    artifacts.write_json(paths.results(f"train-{supervision}"), rows)
    artifacts.write_json(paths.results(f"hardware-{supervision}"), hardware)


if __name__ == "__main__":
    main()
