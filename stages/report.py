"""Put the study's results together: summary, claims, figures (PDF and PNG) and one offline page."""

import platform
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hidden_structure.report.connectivity.measure import accuracies, objectives
from hidden_structure.report.linearity.measure import stitching

from hidden_structure.frame import artifacts, params, paths, results
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.report import chapters, page
from hidden_structure.report.distillation import measure as distill_summary
from hidden_structure.report.plotting import save, without_glyph
from hidden_structure.report.summary import summarise

LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "openTSNE", "matplotlib", "dvc")
# Networks -> end of the name of their hardware metrics.
TRAINED = {"connectivity": "spawn", "merges": "merges", "split": "split", "sweep": "sweep", "student": "distill"}


@one_line_errors
@alone("report")
def main() -> None:
    study = params.load()
    read: list[Path] = []  # by the chapter under way

    def metrics(name: str) -> Any:
        read.append(paths.metrics(study.study, name))
        return results.read(study.study, name)

    def chapter(make: Callable, *others: Any) -> chapters.Chapter:
        read.clear()
        with artifacts.content_of(read):
            return make(study, metrics, *others)

    with artifacts.content_of(read):
        described = metrics("labels")
        hardware = {supervision: metrics(f"hardware-{supervision}") for supervision in paths.SUPERVISIONS}
        hardware |= {name: found for name, stage in TRAINED.items() if (found := metrics(f"hardware-{stage}"))}
        tables = accuracies(metrics("spawn")), objectives(metrics("permute")), stitching(metrics("stitch"))
        tables += (distill_summary.table(metrics("distill"), study),)
    described_by = [*read]
    labels = dict(zip(paths.SUPERVISIONS, artifacts.read_both_labels(), strict=True))
    positions = artifacts.read_arrays(paths.clusters(study.seeds[0]), {"map": ("f", 2)})["map"]
    plane = artifacts.read_arrays(paths.UNCONSTRAINED, paths.PLANE)
    first = chapter(chapters.fine_structure, labels, positions)
    parts = [first, chapter(chapters.merges, labels, first.measured), chapter(chapters.split, first.measured)]
    parts += [chapter(chapters.sweep, labels, first.measured), chapter(chapters.unconstrained, plane)]
    if study.spawn:
        parts += [chapter(chapters.connectivity), chapter(chapters.linearity)]
    if study.distill:
        parts.append(chapter(chapters.distillation))
    with artifacts.content_of([paths.metrics(study.study, "labels")]):
        numbers = summarise({name: values for part in parts for name, values in part.measured.items()}, described)
    rows, pictures = [row for part in parts for row in part.claims], {}
    if lacking := without_glyph([*labels["fine"]["names"], *labels["coarse"]["names"]]):
        print(f"figures show {lacking} as code points: no font has them, install one such as Noto Sans CJK")
    shutil.rmtree(paths.figures(study.study), ignore_errors=True)
    for name, figure in {name: figure for part in parts for name, figure in part.figures.items()}.items():
        save(figure, paths.figure(study.study, name, "pdf"))
        pictures[name] = save(figure, paths.figure(study.study, name, "png"))

    folder, parameters = paths.report(study.study), Path("params.yaml")
    versions = {"python": platform.python_version()} | {library: version(library) for library in LIBRARIES}
    text = parameters.read_text(encoding="utf-8")
    with artifacts.content_of(described_by):
        html = page.render(study, text, numbers, rows, described, versions, hardware, *tables, pictures)
    artifacts.write_json(folder / "metrics.json", numbers)
    artifacts.write_json(folder / "claims.json", rows)
    artifacts.write_json(folder / "versions.json", versions)
    artifacts.copy(parameters, folder / "params.yaml")
    artifacts.write_text(folder / "report.html", html)


if __name__ == "__main__":
    main()
