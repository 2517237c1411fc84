"""Train the networks of the connectivity study, trunks and the children that part from them, or take given ones."""

from hidden_structure.connectivity import given
from hidden_structure.connectivity.spawning import LISTED, check_partings, forks, kept, runs, waves
from hidden_structure.connectivity.trained import forget_trunks, spawn
from hidden_structure.frame import artifacts, command, params, paths, results, tasks
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Hardware, Tasks
from hidden_structure.frame.spawn import Spawn
from hidden_structure.frame.workplace import workplace
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read


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
    described = study.model_dump(include={"spawn"}, exclude={"spawn": LISTED}) | hardware
    with workplace("spawn", described, arrays, study.tasks.keep) as folder:
        forget_trunks(folder, plan)
        found = {}
        for wave in waves(plan):
            own = [study.spawn.train_samples if study.spawn.checkpoints else forks(plan, run) for run in wave]
            named = {run.title: (run, of, study.hardware, folder) for run, of in zip(wave, own, strict=True)}
            found |= tasks.run("spawn", make, named, folder, study.tasks, study.hardware)
        files = {paths.spawned(run.cell.name, run.seed, run.name): kept(folder, run, f"{run.name}-end") for run in plan}
        artifacts.publish(paths.SPAWNED, files)
        results.write("spawn", [found[run.title] for run in plan], hardware)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
