"""Put the study's results together: summary, claims, figures (PDF and PNG) and one offline page."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hidden_structure import artifacts, claims, connectivity_claims, figures, page, params, paths, summary
from hidden_structure import connectivity_figures as on_lines
from hidden_structure.connectivity_summary import accuracies, measure, objectives
from hidden_structure.errors import one_line_errors
from hidden_structure.plotting import save
from hidden_structure.seeding import numpy_generator

LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "openTSNE", "matplotlib", "dvc")


@one_line_errors
def main() -> None:
    study = params.load()

    def metrics(name: str) -> Any:
        return artifacts.read_json(paths.metrics(study.study, name))

    training = {s: metrics(f"train-{s}") for s in paths.SUPERVISIONS}
    labels, collapse, cluster = map(metrics, ("labels", "collapse", "cluster"))
    networks, permutations, lines, plane = map(metrics, ("spawn", "permute", "interpolate", "plane"))
    hardware = {s: metrics(f"hardware-{s}") for s in paths.SUPERVISIONS} | {"connectivity": metrics("hardware-spawn")}
    fine, coarse = (artifacts.read_arrays(paths.labels(s)) for s in paths.SUPERVISIONS)
    positions = artifacts.read_arrays(paths.clusters(study.seeds[0]))["map"]
    fine_names, coarse_names, coarse_of = fine["names"].tolist(), coarse["names"].tolist(), coarse["coarse_of"]
    names = fine_names, coarse_names
    classes, reducers = {"fine": len(fine_names), "coarse": len(coarse_names)}, study.cluster.reducers

    measured = summary.measure(training, collapse, cluster, study.seeds, reducers)
    connected = measure(lines, study)
    numbers = summary.summarise(measured | connected, labels)
    rows = claims.table(study, measured, classes["fine"], classes["coarse"])
    rows += connectivity_claims.table(study, connected)
    versions = {"python": platform.python_version()} | {library: version(library) for library in LIBRARIES}

    drawn = {
        "learning-curves": figures.learning_curves(training),
        "collapse": figures.collapse(collapse),
        "angles": figures.angles(collapse, classes),
        "maps": figures.maps(positions, fine["train"], coarse_of, *names, study.report.points, numpy_generator("map")),
        "distances": figures.distances(cluster["class_distances"]["matrix"], fine_names, coarse_of, coarse_names),
        "recovery": figures.recovery(measured, reducers, classes["fine"], classes["coarse"]),
        "agreement": figures.agreement(cluster["rows"], reducers[0], coarse_names),
        "spawning": on_lines.barrier_against_k(lines),
        "lines": on_lines.along_the_line(lines),
    }
    if study.spawn.widths or study.spawn.weight_decays:
        drawn["widths"] = on_lines.barrier_against_width(lines)
    if plane is not None:
        drawn["plane"] = on_lines.plane(plane)
    pictures = {}
    for name, figure in drawn.items():
        save(figure, paths.figure(study.study, name, "pdf"))
        pictures[name] = save(figure, paths.figure(study.study, name, "png"))

    folder, parameters = paths.report(study.study), Path("params.yaml")
    artifacts.write_json(folder / "metrics.json", numbers)
    artifacts.write_json(folder / "claims.json", rows)
    artifacts.write_json(folder / "versions.json", versions)
    artifacts.copy(parameters, folder / "params.yaml")
    text = parameters.read_text(encoding="utf-8")
    tables = accuracies(networks), objectives(permutations)
    html = page.render(study, text, numbers, rows, labels, versions, hardware, *tables, pictures)
    artifacts.write_text(folder / "report.html", html)


if __name__ == "__main__":
    main()
