"""Put the study's results together: summary, claims, figures (PDF and PNG) and one offline page."""

import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hidden_structure import artifacts, chapters, distill_summary, page, params, paths
from hidden_structure.connectivity_summary import accuracies, objectives
from hidden_structure.errors import one_line_errors
from hidden_structure.linearity_summary import stitching
from hidden_structure.plotting import save, without_glyph
from hidden_structure.summary import summarise

LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "openTSNE", "matplotlib", "dvc")
TRAINED = {  # networks -> end of the name of their hardware metrics
    "connectivity": "spawn",
    "merges": "merges",
    "split": "split",
    "sweep": "sweep",
    "student": "distill",
}


@one_line_errors
def main() -> None:
    study = params.load()

    def metrics(name: str) -> Any:
        return artifacts.read_json(paths.metrics(study.study, name))

    labels = {supervision: artifacts.read_arrays(paths.labels(supervision)) for supervision in paths.SUPERVISIONS}
    positions = artifacts.read_arrays(paths.clusters(study.seeds[0]))["map"]
    first = chapters.fine_structure(study, metrics, labels, positions)
    parts = [
        first,
        chapters.merges(study, metrics, labels, first.measured),
        chapters.split(study, metrics, first.measured),
        chapters.sweep(study, metrics, labels, first.measured),
        chapters.unconstrained(study, metrics, artifacts.read_arrays(paths.UNCONSTRAINED)),
    ]
    if study.spawn.seeds:
        parts += [chapters.connectivity(study, metrics), chapters.linearity(study, metrics)]
    if study.distill.seeds:
        parts.append(chapters.distillation(study, metrics))
    described = metrics("labels")
    numbers = summarise({name: values for part in parts for name, values in part.measured.items()}, described)
    rows = [row for part in parts for row in part.claims]

    if lacking := without_glyph([*labels["fine"]["names"], *labels["coarse"]["names"]]):
        print(f"figures show {lacking} as code points: no font has them, install one such as Noto Sans CJK")
    shutil.rmtree(paths.figures(study.study), ignore_errors=True)
    pictures = {}
    for name, figure in {name: figure for part in parts for name, figure in part.figures.items()}.items():
        save(figure, paths.figure(study.study, name, "pdf"))
        pictures[name] = save(figure, paths.figure(study.study, name, "png"))

    folder, parameters = paths.report(study.study), Path("params.yaml")
    versions = {"python": platform.python_version()} | {library: version(library) for library in LIBRARIES}
    artifacts.write_json(folder / "metrics.json", numbers)
    artifacts.write_json(folder / "claims.json", rows)
    artifacts.write_json(folder / "versions.json", versions)
    artifacts.copy(parameters, folder / "params.yaml")
    hardware = {supervision: metrics(f"hardware-{supervision}") for supervision in paths.SUPERVISIONS}
    hardware |= {name: found for name, stage in TRAINED.items() if (found := metrics(f"hardware-{stage}"))}
    tables = accuracies(metrics("spawn")), objectives(metrics("permute")), stitching(metrics("stitch"))
    tables += (distill_summary.table(metrics("distill"), study),)
    text = parameters.read_text(encoding="utf-8")
    html = page.render(study, text, numbers, rows, described, versions, hardware, *tables, pictures)
    artifacts.write_text(folder / "report.html", html)


if __name__ == "__main__":
    main()
