"""Distillation in steps, each of which is a network computed by itself: teachers, what is tried, students.

A step finds in the plan's folder what the steps before it have trained.
"""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from torch import nn

from hidden_structure.distillation import vectors
from hidden_structure.distillation.distiller import Attempt, Config, Distiller, choose, train_teacher
from hidden_structure.distillation.methods import METHODS, Choice, Invention, check_room
from hidden_structure.distillation.students import Task, accuracy, augmented_accuracy, tasks_of
from hidden_structure.frame import artifacts, params, paths, tasks
from hidden_structure.frame.errors import by_key
from hidden_structure.networks.weights import load_state
from hidden_structure.training.inputs import read


@dataclass(frozen=True)
class Plan:
    """What all steps depend on. coarse_of: the class that each label falls into. folder: where training is kept, named
    after all of this. vectors: the file of the samples where they are no images of the study. The other names are those
    of the study's sections."""

    distill: params.Distill
    network: params.Network
    train: params.Train
    cluster: params.Cluster
    hardware: params.Hardware
    coarse_of: list[int]
    folder: Path
    vectors: Path | None = None


def distill(plan: Plan, where: params.Tasks) -> dict[str, Any]:
    """{coarse_of, teachers, tried, rows, lengths}: accuracies of all teachers, attempts and students, the last by the
    recipe's own epochs and by others.

    Raises InputError, which names the step, if the teacher has no room for the pieces of a method, or a step fails.
    """
    settings, (config, _) = plan.distill, _configure(plan, plan.distill.teachers[0])
    with by_key("null_space", "distill.lelp.null_space"):
        check_room(settings, config.initialise(plan.network, config.task.classes, config.teacher_seed))
    common = plan.folder, where, plan.hardware
    scores: dict[Attempt, list[float]] = {}

    def taught(invented: Invention | None) -> list[dict[str, float]]:
        named = {_teaches(seed, invented): (plan, seed, invented) for seed in settings.teachers}
        return list(tasks.run("distill, teachers", teach, named, *common).values())

    teachers = [
        {"seed": seed, "classes": config.task.classes} | found
        for seed, found in zip(settings.teachers, taught(None), strict=True)
    ]

    def attempts(asked: list[Attempt]) -> list[float]:
        by = [(each, *pair) for each in asked for pair in tuning_students(settings)]
        needed = dict.fromkeys((seed, None) for _, seed, _ in by)
        needed |= dict.fromkeys((seed, one.invention) for (method, one), seed, _ in by if METHODS[method].invented)
        named = {f"{_teaches(*one)}, without held-out images": (plan, *one) for one in needed}
        tasks.run("distill, teachers that choose", teach_choosing, named, *common)
        named = {f"{_title(*each)}, {_of(*pair)}": (plan, *each, *pair) for each, *pair in by}
        found = tasks.run("distill, choosing", attempt, named, *common)
        for (one, *_), share in zip(by, found.values(), strict=True):
            scores.setdefault(one, []).append(share)
        return [fmean(scores[one]) for one in asked]

    chosen = choose(settings, attempts)
    for best in (best for method, (best, _) in chosen.items() if METHODS[method].invented):
        for row, inventing in zip(teachers, taught(best.invention), strict=True):
            row["inventing_accuracy"] = inventing["test_accuracy"]

    def students(epochs: int) -> list[dict[str, Any]]:
        by = [(method, teacher, seed) for method in settings.methods for teacher, seed in pairs(settings)]
        named = {
            f"{method}, {_of(*pair)}, {epochs} epochs": (plan, method, chosen[method][0], *pair, epochs)
            for method, *pair in by
        }
        return list(tasks.run(f"distill, students of {epochs} epochs", student, named, *common).values())

    tried = [
        {"method": method} | one.of(method) | {"accuracy": mean, "accuracies": scores[method, one]}
        for method, (_, found) in chosen.items()
        for one, mean in found.items()
    ]
    rows, lengths = students(settings.train.epochs), [row for epochs in settings.epochs for row in students(epochs)]
    return {"coarse_of": plan.coarse_of, "teachers": teachers, "tried": tried, "rows": rows, "lengths": lengths}


def pairs(settings: params.Distill) -> list[tuple[int, int]]:
    """Seeds of every teacher and of each of its students."""
    return [(teacher, seed) for teacher in settings.teachers for seed in settings.seeds]


def tuning_students(settings: params.Distill) -> list[tuple[int, int]]:
    """Seeds of the students whose mean accuracy chooses hyper-parameters, each with its teacher's: in turn, so that the
    choice is no single teacher's and costs no more than with one."""
    seeds = settings.tuning_seeds or settings.seeds[:1]
    return [(settings.teachers[place % len(settings.teachers)], seed) for place, seed in enumerate(seeds)]


def stored_teachers(settings: params.Distill) -> list[Path]:
    """The files of the teachers, where they are networks of the study."""
    return [] if settings.teacher == "own" else [paths.model("coarse", seed) for seed in settings.teachers]


def student_file(folder: Path, method: str, teacher: int, seed: int) -> Path:
    return folder / "students" / method / str(teacher) / f"{seed}.safetensors"


def teach(plan: Plan, seed: int, invented: Invention | None) -> dict[str, float]:
    """Train a teacher, that of Subclass Distillation where it is to invent pieces.

    Gives its `test_accuracy`, and of one that invents none its `train_accuracy` and `augmented_accuracy`: on training
    images as they are, and as students see them.
    """
    config, splits = _configure(plan, seed)
    network = train_teacher(config, invented) if invented else _teacher(plan, config)
    found = {"test_accuracy": accuracy(network, splits["test"], 1.0)}
    if not invented:
        found["train_accuracy"] = accuracy(network, splits["train"], 1.0)
        found["augmented_accuracy"] = augmented_accuracy(network, splits["train"], config.recipe)
        _look(Distiller(config, network))
    print(f"{_teaches(seed, invented)}: {found}", flush=True)
    return found


def teach_choosing(plan: Plan, seed: int, invented: Invention | None) -> float:
    """Train the like on the training images that are not held out; gives its accuracy on those that are."""
    config, held_out = _configure(plan, seed)[0].of_choosing()
    network = train_teacher(config, invented)
    if not invented:
        _look(Distiller(config, network))
    return accuracy(network, held_out, 1.0)


def _look(distiller: Distiller) -> None:
    """What takes long, and is kept, so that students find it there."""
    methods = distiller.config.settings.methods
    if "tsne-kmeans" in methods:
        _ = distiller.embeddings.tsne
    if "oracle-soft" in methods:
        _ = distiller.embeddings.probe


def attempt(plan: Plan, method: str, choice: Choice, teacher: int, seed: int) -> float:
    """The accuracy, on held-out training images, of a student that has not seen them, nor has its teacher."""
    config, held_out = _configure(plan, teacher)[0].of_choosing()
    return Distiller(config, train_teacher(config)).attempt(method, choice, seed, held_out)


def student(plan: Plan, method: str, choice: Choice, teacher: int, seed: int, epochs: int) -> dict[str, Any]:
    """A row of accuracies; what is kept of a student of the recipe's own length is in `student_file`."""
    config, splits = _configure(plan, teacher)
    distiller, recipe = Distiller(config, _teacher(plan, config)), config.recipe.model_copy(update={"epochs": epochs})
    file = config.folder / f"{method}-{seed}-{epochs}.safetensors"
    row, tensors = distiller.evaluate(distiller.student(method, choice, seed, recipe, file), method, choice, splits)
    if epochs == config.recipe.epochs:
        artifacts.write_tensors(student_file(plan.folder, method, teacher, seed), tensors)
    found = {"method": method, "teacher": teacher, "seed": seed, "epochs": epochs} | choice.of(method) | row
    print({name: value for name, value in found.items() if value is not None}, flush=True)
    return found


def _configure(plan: Plan, teacher: int) -> tuple[Config, dict[str, Task]]:
    inputs = read(plan.hardware) if plan.vectors is None else vectors.read(plan.vectors, plan.hardware)
    splits = tasks_of(inputs, np.array(plan.coarse_of))
    fine, folder = inputs.targets("train"), plan.folder / f"teacher-{teacher}"
    return Config.of(plan, teacher, inputs.image_shape, splits["train"], fine, folder), splits


def _teacher(plan: Plan, config: Config) -> nn.Module:
    """Trained, or read where it is trained already."""
    if plan.distill.teacher == "own":
        return train_teacher(config)
    network = config.initialise(plan.network, config.task.classes, config.teacher_seed)
    load_state(network, artifacts.read_state(paths.model("coarse", config.teacher_seed), network))
    return network


def _teaches(seed: int, invented: Invention | None) -> str:
    return f"teacher {seed}" + (" that invents {} pieces by a weight of {}".format(*invented) if invented else "")


def _of(teacher: int, seed: int) -> str:
    return f"teacher {teacher}, student {seed}"


def _title(method: str, choice: Choice) -> str:
    own = (f"{name} {value}" for name, value in choice.of(method).items() if value is not None)
    return ", ".join([method, *own])
