"""Average the weights of several independent networks, their units matched or not: loss and accuracy of the mean."""

from hidden_structure.connectivity.averaging import groups, measure
from hidden_structure.connectivity.spawning import TRUNK
from hidden_structure.frame import artifacts, command, params, paths, tasks
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Average, Hardware, Interpolate, Tasks
from hidden_structure.frame.spawn import Spawn
from hidden_structure.frame.workplace import workplace
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read


class Reads(Section):
    average: Average | None
    hardware: Hardware
    interpolate: Interpolate | None
    spawn: Spawn | None
    tasks: Tasks


@one_line_errors
@alone("average-networks")
def main() -> None:
    study = params.load(reads=Reads)
    if study.average is None:
        artifacts.write_json(paths.results("average"), None)
        return
    inputs, every = read(study.hardware), groups(study)
    described = study.model_dump(include={"average", "interpolate", "spawn"})
    described |= describe(inputs.device, inputs.precision, 1)
    files = dict.fromkeys(paths.spawned(group.cell.name, seed, TRUNK) for group in every for seed in group.seeds)
    longest = sorted(every, key=lambda group: (group.cell.width, len(group.seeds)), reverse=True)
    settings = study.hardware, study.average, study.interpolate.repair_samples
    named = {group.id: (group, *settings) for group in longest}
    with workplace("average-networks", described, (*inputs.arrays, *artifacts.arrays_of(files))) as folder:
        found = tasks.run("means of networks", measure, named, folder, study.tasks, study.hardware)
        artifacts.write_json(paths.results("average"), [found[group.id] for group in every])


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
