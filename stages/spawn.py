"""Train the networks of the connectivity study, trunks and the children that part from them, or take given ones."""

from pathlib import Path

from hidden_structure.connectivity import given
from hidden_structure.connectivity.spawning import K, Run, check_partings, forks, kept, place, runs, waves
from hidden_structure.frame import artifacts, command, params, paths, results, tasks
from hidden_structure.frame.errors import InputError, one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Hardware, Tasks
from hidden_structure.frame.spawn import Spawn
from hidden_structure.frame.workplace import workplace
from hidden_structure.training import resume
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read
from hidden_structure.training.loop import TrainingState
from hidden_structure.training.run import evaluate, train


class Reads(Section):
    hardware: Hardware
    spawn: Spawn | None
    tasks: Tasks


@one_line_errors
@alone("spawn")
def main() -> None:
    study = params.load(reads=Reads)
    if study.spawn is None:
        artifacts.clear(paths.SPAWNED)
        results.write("spawn", [], None)
        return
    inputs = read(study.hardware)
    if not study.spawn.checkpoints:
        check_partings(study, len(inputs.labels["train"]))
    hardware = describe(inputs.device, inputs.precision, 1)
    plan, make = runs(study), given.take if study.spawn.checkpoints else spawn
    arrays = (*inputs.arrays, *given.content(plan))
    with workplace("spawn", study.model_dump(include={"spawn"}) | hardware, arrays) as folder:
        found = {}
        for wave in waves(plan):
            own = [study.spawn.train_samples if study.spawn.checkpoints else forks(plan, run) for run in wave]
            named = {run.title: (run, of, study.hardware, folder) for run, of in zip(wave, own, strict=True)}
            found |= tasks.run("spawn", make, named, folder, study.tasks, study.hardware)
        files = {paths.spawned(run.cell.name, run.seed, run.name): kept(folder, run, f"{run.name}-end") for run in plan}
        artifacts.publish(paths.SPAWNED, files)
        results.write("spawn", [found[run.title] for run in plan], hardware)


def spawn(run: Run, forks: list[K], hardware: Hardware, folder: Path) -> dict:
    """Train one network, a child from its trunk's state on; forks: every k at which children leave this trunk."""
    inputs = read(hardware)
    splits = {split: (images, inputs.targets(split)) for split, images in inputs.images.items()}
    file, network = kept(folder, run, run.name), inputs.initialise(run.cell.network, run.seed)
    named = {place(k, len(inputs.labels["train"]) // run.train.batch_size): f"fork-{k}" for k in forks}

    def keep_fork(state: TrainingState) -> None:
        if name := named.get((state.epoch, state.batch)):
            resume.save(kept(folder, run, name), state)

    if run.fork is not None and not file.is_file():
        fork = kept(folder, run, f"fork-{run.fork}")
        if not fork.is_file():
            raise InputError(f"{folder} has lost a trunk's state: delete the folder and start again")
        artifacts.copy(fork, file)
    options = {"after": keep_fork, "after_step": keep_fork, "section": "spawn.train"}
    state = train(network, run.train, run.noise, *splits["train"], inputs.precision, file, **options)
    row = run.row | evaluate(state.network, splits, inputs.precision, run.train, "spawn.train")
    print(f"{run.title}: test accuracy {row['test_accuracy']:.4f}", flush=True)
    artifacts.write_tensors(kept(folder, run, f"{run.name}-end"), state.network.state_dict())
    return row


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
