"""Distillation in steps, each of which is a network computed by itself: teachers, what is tried, students.

A step finds in the plan's folder what the steps before it have trained.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from hidden_structure.distillation.distiller import Attempt, Config, Distiller, choose, train_teacher
from hidden_structure.distillation.methods import METHODS, Choice, check_room
from hidden_structure.distillation.students import Task, accuracy, tasks_of
from hidden_structure.frame import artifacts, params, paths, tasks
from hidden_structure.networks.weights import load_state
from hidden_structure.training.inputs import read
from hidden_structure.training.run import import_optimizers


@dataclass(frozen=True)
class Plan:
    """What all steps depend on. coarse_of: the class that each label falls into. folder: where training is kept, named
    after all of this. The other names are those of the study's sections."""

    distill: params.Distill
    network: params.Network
    train: params.Train
    seeds: list[int]
    cluster: params.Cluster
    hardware: params.Hardware
    coarse_of: list[int]
    folder: Path


def distill(plan: Plan, where: params.Tasks) -> dict[str, Any]:
    """{coarse_of, tried, rows, teacher}: accuracies of all attempts, all students and the teacher.

    Raises InputError, which names the step, if the teacher has no room for the pieces of a method, or a step fails.
    """
    settings, (config, _) = plan.distill, _configure(plan)
    check_room(settings, config.initialise(plan.network, config.task.classes, plan.seeds[0]))
    import_optimizers()
    common = plan.folder, where, plan.hardware

    def attempts(asked: list[Attempt]) -> list[float]:
        named = {_title(*each): (plan, *each) for each in asked}
        return list(tasks.run("distill, choosing", attempt, named, *common).values())

    invented = settings.subclasses if any(METHODS[method].invented for method in settings.methods) else []
    named = {"teacher": (plan, 1)} | {f"teacher of {count} pieces": (plan, count) for count in invented}
    taught = dict(zip([1, *invented], tasks.run("distill, teachers", teach, named, *common).values(), strict=True))
    teacher = {"classes": config.task.classes, "test_accuracy": taught[1]}
    chosen = choose(settings, attempts)
    each = [(method, seed) for method in settings.methods for seed in settings.seeds]
    named = {f"{method}, seed {seed}": (plan, method, chosen[method][0], seed) for method, seed in each}
    rows = tasks.run("distill, students", student, named, *common)
    tried = []
    for method, (best, found) in chosen.items():
        tried += [{"method": method} | one.of(method) | {"accuracy": found[one]} for one in found]
        if METHODS[method].invented:
            teacher["inventing_accuracy"] = taught[best.subclasses]
    return {"coarse_of": plan.coarse_of, "tried": tried, "rows": list(rows.values()), "teacher": teacher}


def stored_teacher(settings: params.Distill, seeds: list[int]) -> Path | None:
    """The file of the teacher, where it is a network of the study."""
    return None if settings.teacher == "own" else paths.model("coarse", seeds[0])


def student_file(folder: Path, method: str, seed: int) -> Path:
    return folder / "students" / method / f"{seed}.safetensors"


def teach(plan: Plan, subclasses: int) -> float:
    """Train a teacher, that of Subclass Distillation where it is to invent two pieces or more; its test accuracy."""
    config, splits = _configure(plan)
    network = train_teacher(config, subclasses) if subclasses > 1 else _teacher(plan, config)
    if subclasses == 1 and "tsne-kmeans" in plan.distill.methods:
        _ = Distiller(config, network).embeddings.tsne  # takes long, and is kept
    found = accuracy(network, splits["test"], 1.0)
    print(f"teacher of {config.task.classes * subclasses} outputs: test accuracy {found:.4f}", flush=True)
    return found


def attempt(plan: Plan, method: str, choice: Choice) -> float:
    """The accuracy, on held-out training images, of a student that has not seen them."""
    config, _ = _configure(plan)
    return Distiller(config, _teacher(plan, config)).attempt(method, choice, plan.distill.seeds[0])


def student(plan: Plan, method: str, choice: Choice, seed: int) -> dict[str, Any]:
    """A row of accuracies; what is kept of the student is in `student_file`."""
    config, splits = _configure(plan)
    distiller = Distiller(config, _teacher(plan, config))
    trained = distiller.student(method, choice, seed, config.recipe, plan.folder / f"{method}-{seed}.safetensors")
    row, tensors = distiller.evaluate(trained, method, choice, splits)
    artifacts.write_tensors(student_file(plan.folder, method, seed), tensors)
    found = {"method": method, "seed": seed} | choice.of(method) | row
    print({name: value for name, value in found.items() if value is not None}, flush=True)
    return found


def _configure(plan: Plan) -> tuple[Config, dict[str, Task]]:
    inputs = read(plan.hardware)
    splits = tasks_of(inputs, np.array(plan.coarse_of))
    return Config.of(plan, inputs.image_shape, splits["train"], inputs.targets("train"), plan.folder), splits


def _teacher(plan: Plan, config: Config) -> nn.Module:
    """Trained, or read where it is trained already."""
    file = stored_teacher(plan.distill, plan.seeds)
    if file is None:
        return train_teacher(config)
    network = config.initialise(plan.network, config.task.classes, plan.seeds[0])
    load_state(network, artifacts.read_state(file, network))
    return network


def _title(method: str, choice: Choice) -> str:
    own = (f"{name} {value}" for name, value in choice.of(method).items() if value is not None)
    return ", ".join([method, *own])
