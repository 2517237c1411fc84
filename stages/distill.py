"""Train students of teachers that know few classes, by every method of `distill`.

Killed and started again it goes on where it was.
"""

from hidden_structure.datasets.labels import merge, tables
from hidden_structure.distillation.steps import Plan, distill, pairs, stored_teachers, student_file
from hidden_structure.frame import artifacts, command, params, paths, results
from hidden_structure.frame.distilling import Distill
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section, only
from hidden_structure.frame.sections import Cluster, Hardware, Network, Tasks, Train
from hidden_structure.frame.workplace import workplace
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read


class Reads(Section):
    cluster: only(Cluster, "components", "perplexity", "restarts")
    distill: Distill | None
    hardware: Hardware
    network: Network
    tasks: Tasks
    train: Train | None


@one_line_errors
@alone("distill")
def main() -> None:
    study = params.load(reads=Reads)
    settings = study.distill
    if settings is None:
        artifacts.clear(paths.STUDENTS)
        results.write("distill", None, None)
        return
    inputs, coarse = read(study.hardware), artifacts.read_both_labels()[1]
    coarse_of = merge(settings.merge, inputs.labels["names"].tolist(), tables(inputs.data)).coarse_of.tolist()
    hardware = describe(inputs.device, inputs.precision, 1)
    described = study.model_dump(include={"network", "train", "cluster", "distill"}) | hardware
    arrays = *inputs.arrays, *coarse.values(), *artifacts.arrays_of(stored_teachers(settings))
    with workplace("distill", described, arrays) as folder:
        own = settings, study.network, study.train, study.cluster, study.hardware, coarse_of, folder
        found = distill(Plan(*own), study.tasks)
        students = [(method, *pair) for method in settings.methods for pair in pairs(settings)]
        artifacts.publish(paths.STUDENTS, {paths.student(*each): student_file(folder, *each) for each in students})
        results.write("distill", found, hardware)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
