"""The parts of a report: what each measured, its claims and its figures. A part that a study leaves out is missing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hidden_structure.frame.params import Study
from hidden_structure.report import summary
from hidden_structure.report.connectivity import claims as connectivity_claims
from hidden_structure.report.connectivity import figures as connectivity_figures
from hidden_structure.report.connectivity import measure as connectivity_summary
from hidden_structure.report.distillation import claims as distill_claims
from hidden_structure.report.distillation import figures as distill_figures
from hidden_structure.report.distillation import measure as distill_summary
from hidden_structure.report.linearity import claims as linearity_claims
from hidden_structure.report.linearity import figures as linearity_figures
from hidden_structure.report.linearity import measure as linearity_summary
from hidden_structure.report.merges import claims as merges_claims
from hidden_structure.report.merges import figures as merges_figures
from hidden_structure.report.merges import measure as merges_summary
from hidden_structure.report.recovery import claims, figures
from hidden_structure.report.split import claims as split_claims
from hidden_structure.report.split import figures as split_figures
from hidden_structure.report.summary import Measured
from hidden_structure.report.sweep import claims as sweep_claims
from hidden_structure.report.sweep import figures as sweep_figures
from hidden_structure.report.unconstrained import claims as unconstrained_claims
from hidden_structure.report.unconstrained import figures as unconstrained_figures
from hidden_structure.seeding import numpy_generator

SUPERVISIONS = ("fine", "coarse")
Metrics = Callable[[str], Any]  # the content of metrics/<name>.json


@dataclass(frozen=True, eq=False)
class Chapter:
    measured: Measured
    claims: list[dict]
    figures: dict[str, Figure]


def fine_structure(study: Study, metrics: Metrics, labels: Mapping[str, Mapping], positions: np.ndarray) -> Chapter:
    """Collapse on both labels, and the original classes recovered from the coarse network.

    labels: supervision -> the arrays of its labels. positions: (N, 2), of the first seed's training samples.
    """
    training = {supervision: metrics(f"train-{supervision}") for supervision in SUPERVISIONS}
    collapse, cluster = metrics("collapse"), metrics("cluster")
    fine, coarse = (labels[supervision]["names"].tolist() for supervision in SUPERVISIONS)
    classes, reducers = {"fine": len(fine), "coarse": len(coarse)}, study.cluster.reducers
    coarse_of, points = labels["coarse"]["coarse_of"], study.report.points
    measured = summary.measure(training, collapse, cluster, study.seeds, reducers)
    maps = positions, labels["fine"]["train"], coarse_of, fine, coarse, points, numpy_generator("map")
    drawn = {
        "learning-curves": figures.learning_curves(training),
        "collapse": figures.collapse(collapse),
        "angles": figures.angles(collapse, classes),
        "maps": figures.maps(*maps),
        "distances": figures.distances(cluster["class_distances"]["matrix"], fine, coarse_of, coarse),
        "recovery": figures.recovery(measured, reducers, classes["fine"], classes["coarse"]),
        "agreement": figures.agreement(cluster["rows"], reducers[0], coarse),
    }
    return Chapter(measured, claims.table(study, measured, classes["fine"], classes["coarse"]), drawn)


def connectivity(study: Study, metrics: Metrics) -> Chapter:
    lines = metrics("interpolate")
    measured = connectivity_summary.measure(lines, study)
    drawn = connectivity_figures.draw(lines, metrics("plane"))
    return Chapter(measured, connectivity_claims.table(study, measured), drawn)


def linearity(study: Study, metrics: Metrics) -> Chapter:
    layers, stitched = metrics("linearity"), metrics("stitch")
    measured = linearity_summary.measure(layers, stitched, study)
    drawn = linearity_figures.draw(layers, stitched, metrics("interpolate"))
    return Chapter(measured, linearity_claims.table(study, measured), drawn)


def unconstrained(study: Study, metrics: Metrics, plane: Mapping[str, np.ndarray]) -> Chapter:
    """plane: the trajectory of three classes, as solve-unconstrained writes it."""
    found = metrics("unconstrained")
    measured = unconstrained_claims.measure(found)
    drawn = {
        "simplex": unconstrained_figures.simplex(plane),
        "descent": unconstrained_figures.descent(found["solutions"]),
        "minority": unconstrained_figures.minority(
            found["imbalance"], found["merging_ratio"], study.unconstrained.classes
        ),
    }
    return Chapter(measured, unconstrained_claims.table(study, measured), drawn)


def merges(study: Study, metrics: Metrics, labels: Mapping[str, Mapping], known: Measured) -> Chapter:
    """Other ways of merging the labels. known: what fine_structure measured."""
    found, distances = metrics("merges"), metrics("cluster")["class_distances"]
    classes = len(labels["fine"]["names"]), len(labels["coarse"]["names"])
    measured = merges_summary.measure(found["rows"], classes[1])
    everything = measured | known
    drawn = merges_figures.draw(
        found, everything, distances, labels["coarse"]["coarse_of"], labels["coarse"]["names"].tolist()
    )
    return Chapter(measured, merges_claims.table(study, everything, *classes), drawn)


def split(study: Study, metrics: Metrics, known: Measured) -> Chapter:
    """Classes split at random. known: what fine_structure measured."""
    rows = metrics("split")
    measured = split_claims.measure(rows)
    accuracy = summary.mean_and_spread(known["fine.test_accuracy"])[0]
    return Chapter(measured, split_claims.table(study, measured | known), split_figures.draw(rows, accuracy))


def sweep(study: Study, metrics: Metrics, labels: Mapping[str, Mapping], known: Measured) -> Chapter:
    """The grid of recipes. known: what fine_structure measured."""
    rows, classes = metrics("sweep"), (len(labels[supervision]["names"]) for supervision in SUPERVISIONS)
    measured = sweep_claims.measure(rows)
    return Chapter(measured, sweep_claims.table(study, measured | known, *classes), sweep_figures.draw(rows))


def distillation(study: Study, metrics: Metrics) -> Chapter:
    """Students of a teacher that knows few classes."""
    found = metrics("distill")
    measured = distill_summary.measure(found, metrics("students"), study)
    rows = distill_claims.table(study, measured, found["teacher"]["classes"])
    return Chapter(measured, rows, distill_figures.draw(found, measured))
