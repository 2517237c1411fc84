"""Chapters of every kind of claim, figure and table, and what made their study: for tests of the report."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure

from hidden_structure.frame import params, tables
from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Chapter, Numbers, Picture
from hidden_structure.report.claim import Claim, Criterion, Published
from hidden_structure.report.page import Provenance
from hidden_structure.report.plotting import COLUMN, PAGE, band, new_figure, plain

ROOT = Path(__file__).resolve().parent.parent
STUDY = params.load(ROOT / "params.yaml")
HOSTILE = ["<script>alert(1)</script>", "</td><b>", "a&b|c", '" onload="x', "{{ name }}", "$x$ \\input{y}", "w" * 200]
CLASSES = ("cat", "dog", "ship", "truck")


def study(**style) -> Study:
    """The default one with another style of figures."""
    report = STUDY.report.model_copy(update={"style": STUDY.report.style.model_copy(update=style)})
    return STUDY.model_copy(update={"report": report})


def claim(name: str, values: Sequence[float], idea: str = "recovery", **others) -> Claim:
    """Of a gain that must be at least 0.1."""
    defaults = {
        "kind": "ours",
        "statement": "Clusters of the coarse network's features name the classes better than clusters of pixels",
        "criterion": Criterion(
            "gain in agreement over pixels (fraction)", at_least=0.1, origin="ours: twice the spread"
        ),
        "seeds": tuple(map(str, range(len(values)))),
    }
    return Claim(f"{idea}.{name}", idea, values=tuple(values), **(defaults | others))


def claims(idea: str = "recovery") -> list[Claim]:
    """One of each verdict and kind."""
    published = Published(0.52, "ResNet-20, 250 epochs, CIFAR-10")
    return [
        claim("gain", [0.31, 0.29, 0.33], idea, kind="published", source="Yang et al. 2023", published=published),
        claim("undecided", [-0.05, 0.2, 0.3], idea),
        claim("once", [0.4], idea),
        claim("control", [-0.01, 0.005, 0.002], idea, kind="control", statement="Untrained features show no gain"),
        claim("trained", [0.9, 0.91], idea, kind="precondition", statement="The network is properly trained"),
        claim("unmeasured", [], idea),
        claim("missing", [0.5, 0.6], idea, unmet=f"{idea}.trained is undecided"),
    ]


def curves(names: Sequence[str]) -> Figure:
    figure = new_figure(PAGE, 2.5)
    left, right = figure.subplots(1, 2)
    epochs = np.arange(10.0)
    for place, name in enumerate(names):
        mean = place + np.exp(-epochs)
        band(left, (epochs, mean, mean - 0.1, mean + 0.1), f"C{place % 10}", "-", plain(name))
    left.set(xlabel="epoch", ylabel="NC1")
    left.legend()
    right.imshow(np.arange(16.0).reshape(4, 4))
    right.set_title("distance")
    return figure


def bars(names: Sequence[str]) -> Figure:
    figure = new_figure(COLUMN, 2.0)
    axes = figure.subplots()
    axes.barh(range(len(names)), np.linspace(0.2, 0.9, len(names)), xerr=0.05)
    axes.set_yticks(range(len(names)), [plain(name) for name in names])
    axes.set_xlabel("accuracy")
    return figure


def chapter(idea: str = "recovery", names: Sequence[str] = CLASSES, title: str = "Hidden classes") -> Chapter:
    hostile = ", ".join(names)
    return Chapter(
        idea=idea,
        title=title,
        question=f"Which of {hostile} can be told apart inside the coarse network, though it was taught to merge them?",
        findings=[
            f"Clusters agree with {hostile} in -0.71 of all cases (contradicted).",
            "A linear layer trained on recovered labels classifies 88.4 ± 0.3 % of the test set (n = 3, supported).",
        ],
        claims=claims(idea),
        pictures=[
            Picture(
                f"{idea}-curves", f"Curves of {names[0]}", f"Lines are {hostile}.", "Means.", lambda: curves(names)
            ),
            Picture(f"{idea}-bars", "Accuracies", "Bars.", f"Of {names[-1]}.", lambda: bars(names)),
        ],
        numbers=[
            Numbers(
                f"{idea}-table",
                "Accuracies by class",
                f"Means over seeds, of {names[0]}.",
                ("class", "training (%)", "test (%)", "standard error", "difference", "seeds", "interval"),
                [(name, 99.5, 88.43217, 0.3, -1.25, 3, None) for name in names],
            )
        ],
        headline={"gain": 0.31, "missing": None, "accuracy": 0.884321654},
    )


def module(idea: str, make: Callable[[Callable], Chapter | None]) -> SimpleNamespace:
    """In place of a chapter's module; make: what reads its tables."""
    return SimpleNamespace(__name__=f"hidden_structure.report.{idea}.chapter", chapter=lambda study, read: make(read))


def write_tables(folder: Path, names: Sequence[str] = CLASSES) -> None:
    """Those that say what made a study, and those of which curves are drawn."""
    made = provenance(names)
    networks = [{"supervision": supervision, "seed": seed} for supervision in ("fine", "coarse") for seed in (0, 1)]
    own = {
        **{"classes": made.classes, "provenance": made.hardware, "versions": made.versions},
        "training": [
            one
            | {"train": {"accuracy": [0.5, 1.0]}, "snapshots": [0, 5]}
            | {"test": {"accuracy": [0.1, 0.8 + one["seed"] / 10]}}
            for one in networks
        ],
        "collapse": [one | {"epochs": [0, 5], "nc1": [9.0, 1.0 + one["seed"]]} for one in networks],
    }
    for name, rows in own.items():
        tables.write(folder / f"{name}.csv", rows)


def provenance(names: Sequence[str] = CLASSES) -> Provenance:
    trained = {"device": "cpu", "processor": "<x86>", "instructions": "AVX512", "precision": "float32", "threads": 1}
    return Provenance(
        "study: digits\nx: '</pre><script>'\n",
        [
            {"class": name, "superclass": f"group {place % 2}", "train": 40, "test": 10}
            for place, name in enumerate(names)
        ],
        [{"name": "fine"} | trained, {"name": "spawned", "device": "cuda", "processes": 8}],
        [{"library": "python", "version": "3.11.7"}, {"library": "torch", "version": "<2.15>"}],
        Numbers("trained", "What was trained", "PFLOP.", ("networks", "PFLOP each"), [("<fine> labels", "0.44")]),
    )
