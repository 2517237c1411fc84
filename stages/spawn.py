"""Train the networks of the connectivity study: trunks, and children that part from them after k epochs.

One trunk serves every k. Killed and started again it goes on where it was.
"""

import shutil
from functools import partial
from pathlib import Path

from hidden_structure.connectivity.spawning import Run, runs
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import InputError, one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.seeding import global_seed
from hidden_structure.training import loop, resume
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read


@one_line_errors
@alone("spawn")
def main() -> None:
    study = params.load()
    inputs = read(study.hardware)
    device, precision = inputs.device, inputs.precision
    splits = {split: (images, inputs.targets(split)) for split, images in inputs.images.items()}
    hardware = describe(device, precision, 1)
    recipe = study.model_dump(include={"network", "train", "spawn"}) | hardware
    folder = (
        paths.RESUME
        / f"spawn-{resume.fingerprint(recipe, Path(__file__), *inputs.data.values(), *inputs.labels.values())}"
    )

    section = "spawn.train" if study.spawn.train else "train"
    forks = {(run.cell.name, run.seed, run.fork) for run in runs(study)}

    def file(run: Run, name: str) -> Path:
        return folder / run.cell.name / str(run.seed) / f"{name}.safetensors"

    def train(run: Run) -> dict:
        with global_seed("initialisation", run.seed):
            network = inputs.build(run.cell.network)
        state = loop.start(network, run.train, device)

        def keep(state: loop.TrainingState) -> None:
            if run.fork is None and (run.cell.name, run.seed, state.epoch) in forks:  # before the state
                resume.save(file(run, f"fork-{state.epoch}"), state)
            resume.save(file(run, run.name), state)

        if not resume.load(file(run, run.name), state):
            if run.fork is not None and not resume.load(file(run, f"fork-{run.fork}"), state):
                raise InputError(f"{folder} has lost a trunk's state: delete the folder and start again")
            keep(state)
        loop.fit(state, *splits["train"], run.train, run.noise, precision, after_epoch=keep, section=section)
        diverged = partial(loop.diverged, train=run.train, section=section)
        row = {"width": run.cell.width, "weight_decay": run.cell.train.weight_decay, "seed": run.seed, "name": run.name}
        for split, (images, targets) in splits.items():
            loss, accuracy = loop.evaluate(state.network, images, targets, precision, said=diverged)
            row |= {f"{split}_loss": loss, f"{split}_accuracy": accuracy}
        print(f"{run.cell.name}, seed {run.seed}, {run.name}: test accuracy {row['test_accuracy']:.4f}", flush=True)
        artifacts.write_tensors(file(run, f"{run.name}-end"), state.network.state_dict())
        return row

    rows = []
    for run in runs(study):
        try:
            rows.append(train(run))
        except InputError as error:
            raise InputError(f"spawn, {run.cell.name}, seed {run.seed}, {run.name}: {error}") from error
    shutil.rmtree(paths.SPAWNED, ignore_errors=True)
    paths.SPAWNED.mkdir(parents=True)
    for run in runs(study):
        artifacts.copy(file(run, f"{run.name}-end"), paths.spawned(run.cell.name, run.seed, run.name))
    artifacts.write_json(paths.results("spawn"), rows)
    artifacts.write_json(paths.results("hardware-spawn"), hardware if rows else None)
    resume.forget(folder)


if __name__ == "__main__":
    main()
