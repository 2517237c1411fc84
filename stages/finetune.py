"""Finetune the study's networks on two parts of the classes, and measure whether features add up as weights do.

Killed and started again it goes on where it was.
"""

from hidden_structure.finetuning.classes import tasks_of
from hidden_structure.finetuning.measures import measure_pair
from hidden_structure.finetuning.networks import pairs, pretrained_file, runs, train_run
from hidden_structure.frame import artifacts, command, params, results, tasks
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.finetune import Finetune
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Hardware, Network, Tasks
from hidden_structure.frame.workplace import workplace
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read


class Reads(Section):
    finetune: Finetune | None
    hardware: Hardware
    network: Network
    tasks: Tasks


@one_line_errors
@alone("finetune")
def main() -> None:
    study = params.load(reads=Reads)
    settings = study.finetune
    if settings is None:
        results.write("finetune", None, None)
        return
    inputs = read(study.hardware)
    names = inputs.labels["names"].tolist()
    hardware = describe(inputs.device, inputs.precision, 1)
    described = study.model_dump(include={"finetune", "network"}) | hardware
    pretrained = artifacts.arrays_of(pretrained_file(seed, settings) for seed in settings.seeds)
    with workplace("finetune", described, (*inputs.arrays, *pretrained)) as folder:
        own = settings, study.network, study.hardware, folder
        named: dict = {f"seed {seed}, {run.name}": (run, *own) for seed in settings.seeds for run in runs(seed)}
        trained = tasks.run("finetune", train_run, named, folder, study.tasks, study.hardware)
        named = {f"seed {seed}, {pair.kind}": (pair, *own) for seed in settings.seeds for pair in pairs(seed)}
        measured = tasks.run("finetune, measuring", measure_pair, named, folder, study.tasks, study.hardware)
        rows = [row for own in measured.values() for row in own]
        found: dict = {
            "tasks": {task: [names[place] for place in own] for task, own in tasks_of(settings, names).items()}
        }
        results.write("finetune", found | {"networks": list(trained.values()), "pairs": rows}, hardware)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
