"""Students of teachers of few classes: what each reached, what it was taught, and how that was chosen."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from hidden_structure.distillation.methods import METHODS, TRIED
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Study

Student = tuple[str, int, int]  # method, seeds of its teacher and its own


def tabulate(study: Study, results: Callable[[str], Any]) -> dict[str, list[dict]]:
    """Table -> rows; none without students. Methods come in one order, each with its label and source.

    `teacher`: one a teacher: accuracies on test images, and on training images as they are and as students see them;
    with how many held-out images hyper-parameters were chosen on.
    `distilled`: one a method with its hyper-parameters and outputs; `information`, the adjusted mutual information of
    the pieces that were taught with the original classes, inside each class, on average over teachers; and `tried`, how
    many students chose the hyper-parameters.
    `students`: one a student: accuracies, the `gap` between them, and what its own features hold of the original
    classes: `recovery`, the share of training samples that clusters give theirs; `within`, the adjusted mutual
    information of these clusters inside each class; `probe`, the test accuracy of a linear layer that is told them.
    `lengths`: the same of students trained for other numbers of epochs, but for their features; not without such.
    `tuning`: one a set of hyper-parameters that was tried: mean accuracy on the held-out images, and the single ones.

    Raises InputError if a method lacks a student, or a student or method its features or pieces.
    """
    found, compared = results("distill"), results("students")
    if not found:
        return {}
    if not compared:
        raise InputError("the results hold students, but not what they keep: run `dvc repro` to measure it")
    order = [method for method in METHODS if any(row["method"] == method for row in found["rows"])]
    images = sum(results("labels")["fine"]["train_counts"].values())
    sizes = {"images": images, "held_out": study.distill.held_out(images)}
    kept = {_student(row): row for row in compared["rows"]}
    tables = {
        "teacher": [row | sizes for row in found["teachers"]],
        "distilled": [_method(method, found["rows"], found["tried"], kept) for method in order],
        "students": [_reached(row) | _kept(row, kept) for row in _ordered(order, found["rows"])],
        "tuning": [
            _named(method) | {name: row[name] for name in (*TRIED, "accuracy", "accuracies")}
            for method in order
            for row in found["tried"]
            if row["method"] == method
        ],
    }
    lengths = [
        _reached(row)
        for epochs in sorted({row["epochs"] for row in found["lengths"]})
        for row in _ordered(order, [row for row in found["lengths"] if row["epochs"] == epochs])
    ]
    return tables | ({"lengths": lengths} if lengths else {})


def _named(method: str) -> dict:
    return {"method": method, "label": METHODS[method].label}


def _student(row: Mapping) -> Student:
    return row["method"], row["teacher"], row["seed"]


def _method(method: str, rows: Sequence[Mapping], tried: Sequence[Mapping], kept: Mapping[Student, Mapping]) -> dict:
    own = [row for row in rows if row["method"] == method]
    settings = {name: own[0][name] for name in (*TRIED, "outputs")}
    measured = {
        "information": fmean(_of(row, kept)["pieces"] for row in own),
        "tried": sum(len(row["accuracies"]) for row in tried if row["method"] == method),
    }
    return _named(method) | {"source": METHODS[method].source} | settings | measured


def _ordered(order: Sequence[str], rows: Sequence[Mapping]) -> list[Mapping]:
    """By method, teacher and seed, which are those of every method."""
    pairs = sorted({_student(row)[1:] for row in rows})
    found = {_student(row): row for row in rows}
    for method in order:
        if any((method, *pair) not in found for pair in pairs):
            raise InputError(f"the results of {method} lack a student that others have: run `dvc repro` to train it")
    return [found[method, *pair] for method in order for pair in pairs]


def _reached(row: Mapping) -> dict:
    accuracy = {split: row[f"{split}_accuracy"] for split in ("train", "test")}
    named = {name: row[name] for name in ("method", "teacher", "seed", "epochs")}
    return named | {"accuracy": accuracy, "gap": accuracy["train"] - accuracy["test"]}


def _kept(row: Mapping, kept: Mapping[Student, Mapping]) -> dict:
    own = _of(row, kept)
    return {"recovery": own["agreement"], "within": own["information"], "probe": own["probe_accuracy"]}


def _of(row: Mapping, kept: Mapping[Student, Mapping]) -> Mapping:
    if (own := _student(row)) not in kept:
        raise InputError(f"the results lack what the student by {own[0]} of seed {own[2]} keeps: run `dvc repro`")
    return kept[own]
