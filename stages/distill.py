"""Train students of a teacher that knows few classes, by every method of `distill`.

Killed and started again it goes on where it was.
"""

from hidden_structure.datasets.labels import merge, tables
from hidden_structure.distillation.distiller import Config, Distiller, train_teacher
from hidden_structure.distillation.methods import METHODS, check_room
from hidden_structure.distillation.students import accuracy, tasks_of
from hidden_structure.frame import artifacts, command, params, paths, results
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.sections import Cluster, Distill, Hardware, Network, Section, Seed, Some, Train, only
from hidden_structure.frame.workplace import workplace
from hidden_structure.networks.weights import load_state
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read


class Reads(Section):
    cluster: only(Cluster, "components", "perplexity", "restarts")
    distill: Distill | None
    hardware: Hardware
    network: Network
    seeds: Some[Seed]
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
    coarse_of = merge(settings.merge, inputs.labels["names"].tolist(), tables(inputs.data)).coarse_of
    tasks, classes = tasks_of(inputs, coarse_of), int(coarse_of.max()) + 1

    hardware = describe(inputs.device, inputs.precision, 1)
    described = study.model_dump(include={"seeds", "network", "train", "cluster", "distill"}) | hardware
    stored = {} if settings.teacher == "own" else artifacts.read_tensors(paths.model("coarse", study.seeds[0]))
    arrays = *inputs.arrays, *coarse.values(), *(stored[name] for name in sorted(stored))
    with workplace("distill", described, arrays) as folder:
        config = Config.of(study, inputs.image_shape, tasks["train"], inputs.targets("train"), folder)
        teacher = config.initialise(study.network, classes, study.seeds[0])
        check_room(settings, teacher)
        if settings.teacher == "own":
            teacher = train_teacher(config)
        else:
            load_state(teacher, artifacts.check_state(stored, teacher, paths.model("coarse", study.seeds[0])))
        distiller = Distiller(config, teacher)

        found: dict = {"coarse_of": coarse_of.tolist(), "tried": [], "rows": []}
        found["teacher"] = {"classes": classes, "test_accuracy": accuracy(teacher, tasks["test"], 1.0)}
        print(found["teacher"], flush=True)
        files = {}
        for method in settings.methods:
            choice, tried = distiller.choose(method, settings.seeds[0])
            found["tried"] += [{"method": method} | one.of(method) | {"accuracy": tried[one]} for one in tried]
            for seed in settings.seeds:
                state = folder / f"{method}-{seed}.safetensors"
                student = distiller.student(method, choice, seed, config.recipe, state)
                row, tensors = distiller.evaluate(student, method, choice, tasks)
                files[paths.student(method, seed)] = folder / "students" / method / f"{seed}.safetensors"
                artifacts.write_tensors(files[paths.student(method, seed)], tensors)
                found["rows"].append({"method": method, "seed": seed} | choice.of(method) | row)
                print({name: value for name, value in found["rows"][-1].items() if value is not None}, flush=True)
            if METHODS[method].invented:
                inventing = distiller.teacher(choice.subclasses)[0]
                found["teacher"]["inventing_accuracy"] = accuracy(inventing, tasks["test"], 1.0)
        artifacts.publish(paths.STUDENTS, files)
        results.write("distill", found, hardware)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
