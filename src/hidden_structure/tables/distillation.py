"""Students of a teacher of few classes: what each reached, what it was taught, and how that was chosen."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hidden_structure.distillation.methods import METHODS
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Study

SETTINGS = ("subclasses", "beta", "softness", "temperature")


def tabulate(study: Study, results: Callable[[str], Any]) -> dict[str, list[dict]]:
    """Table -> rows; none without students. Methods come in one order, each with its label and source.

    `teacher`: one row, with how many held-out images hyper-parameters were chosen on.
    `distilled`: one a method with its hyper-parameters and outputs, and `information`, the adjusted mutual information
    of the pieces that were taught with the original classes, inside each class.
    `students`: one a student: accuracies, and `recovery`, the share of training samples that clusters of its own
    features give their original class.
    `tuning`: one a set of hyper-parameters that was tried: accuracy on the held-out images.

    Raises InputError if a method lacks a student, or a student or method its features or pieces.
    """
    found, compared = results("distill"), results("students")
    if not found:
        return {}
    if not compared:
        raise InputError("the results hold students, but not what they keep: run `dvc repro` to measure it")
    order = [method for method in METHODS if any(row["method"] == method for row in found["rows"])]
    images = sum(results("labels")["fine"]["train_counts"].values())
    teacher = {"seed": study.seeds[0], "images": images, "held_out": round(study.distill.validation * images)}
    pieces = {row["method"]: row["ami"] for row in compared["pieces"]}
    kept = {(row["method"], row["seed"]): row["agreement"] for row in compared["rows"]}
    return {
        "teacher": [found["teacher"] | teacher],
        "distilled": [_method(method, found["rows"], pieces) for method in order],
        "students": [_student(row, kept) for method in order for row in _students(method, found["rows"])],
        "tuning": [
            _named(method) | {name: row[name] for name in (*SETTINGS, "accuracy")}
            for method in order
            for row in found["tried"]
            if row["method"] == method
        ],
    }


def _named(method: str) -> dict:
    return {"method": method, "label": METHODS[method].label}


def _method(method: str, rows: Sequence[Mapping], pieces: Mapping[str, float]) -> dict:
    if method not in pieces:
        raise InputError(f"the results hold no pieces of {method}: run `dvc repro` to measure them")
    first = next(row for row in rows if row["method"] == method)
    settings = {name: first[name] for name in (*SETTINGS, "outputs")}
    return _named(method) | {"source": METHODS[method].source} | settings | {"information": pieces[method]}


def _students(method: str, rows: Sequence[Mapping]) -> list[Mapping]:
    """In the order of the seeds, which are those of every method."""
    seeds = sorted({row["seed"] for row in rows})
    own = sorted((row for row in rows if row["method"] == method), key=lambda row: row["seed"])
    if [row["seed"] for row in own] != seeds:
        raise InputError(f"the results of {method} lack a student that others have: run `dvc repro` to train it")
    return own


def _student(row: Mapping, kept: Mapping[tuple[str, int], float]) -> dict:
    own = row["method"], row["seed"]
    if own not in kept:
        raise InputError(f"the results lack what the student by {own[0]} of seed {own[1]} keeps: run `dvc repro`")
    accuracy = {split: row[f"{split}_accuracy"] for split in ("train", "test")}
    return {"method": own[0], "seed": own[1], "accuracy": accuracy, "recovery": kept[own]}
