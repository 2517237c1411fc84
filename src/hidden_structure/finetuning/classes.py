"""Which classes make up the two tasks, and how often networks that put out all classes are right on each."""

from collections.abc import Mapping, Sequence

import numpy as np

from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError

TASKS = ("first", "second")
Tasks = Mapping[str, np.ndarray]  # task -> its classes, int64, in rising order


def tasks_of(settings: params.Finetune, names: Sequence[str]) -> Tasks:
    """The classes of both tasks.

    names: of all classes, in their order.

    Raises InputError if a class is unknown or in both tasks, or a task would have fewer than two.
    """
    if settings.tasks is None:
        size = len(names) // settings.parts
        if size < 2:
            raise InputError(
                f"finetune.parts: {settings.parts} parts of {len(names)} classes have fewer than two each: lower it"
            )
        return {task: np.arange(place * size, (place + 1) * size) for place, task in enumerate(TASKS)}
    places = {name: place for place, name in enumerate(names)}
    for name in (name for task in settings.tasks for name in task):
        if name not in places:
            raise InputError(f"finetune.tasks: there is no class {name}: the classes are {', '.join(names)[:200]}")
    first, second = map(set, settings.tasks)
    if both := sorted(first & second):
        raise InputError(f"finetune.tasks: {both[0]} is in both tasks: leave it out of one")
    own = ([places[name] for name in task] for task in settings.tasks)
    return {task: np.array(sorted(classes), np.int64) for task, classes in zip(TASKS, own, strict=True)}


def samples_of(labels: np.ndarray, *classes: np.ndarray) -> np.ndarray:
    """Which samples are of these classes, int64 in rising order; labels: int64 (N,)."""
    return np.flatnonzero(np.isin(labels, np.concatenate(classes)))


def accuracies(logits: np.ndarray, labels: np.ndarray, tasks: Tasks) -> dict[str, dict[str, float]]:
    """Task, and "both" -> the share of its images that are decided rightly: "all", among all classes, and "within",
    among those of the image's own task.

    logits: float (N, C). labels: int64 (N,), of classes of the tasks.
    """
    right = {"all": logits.argmax(1) == labels, "within": np.zeros(len(labels), bool)}
    places = {task: samples_of(labels, classes) for task, classes in tasks.items()}
    for task, classes in tasks.items():
        own = places[task]
        right["within"][own] = classes[logits[np.ix_(own, classes)].argmax(1)] == labels[own]
    places["both"] = np.arange(len(labels))
    return {name: {kind: float(hits[own].mean()) for kind, hits in right.items()} for name, own in places.items()}
