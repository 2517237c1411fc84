"""Put the study's results together: summary, claims, figures (PDF and PNG) and one offline page."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hidden_structure import artifacts, claims, connectivity_claims, figures, linearity_claims, page, params, paths
from hidden_structure import connectivity_figures as on_lines
from hidden_structure import connectivity_summary as connectivity
from hidden_structure import linearity_figures as on_layers
from hidden_structure import linearity_summary as linearity
from hidden_structure.errors import one_line_errors
from hidden_structure.plotting import save
from hidden_structure.seeding import numpy_generator
from hidden_structure.summary import measure, summarise

LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "openTSNE", "matplotlib", "dvc")


@one_line_errors
def main() -> None:
    study = params.load()

    def metrics(name: str) -> Any:
        return artifacts.read_json(paths.metrics(study.study, name))

    training = {s: metrics(f"train-{s}") for s in paths.SUPERVISIONS}
    labels, collapse, cluster = map(metrics, ("labels", "collapse", "cluster"))
    networks, permutations, lines, plane = map(metrics, ("spawn", "permute", "interpolate", "plane"))
    layers, stitched = map(metrics, ("linearity", "stitch"))
    hardware = {s: metrics(f"hardware-{s}") for s in paths.SUPERVISIONS} | {"connectivity": metrics("hardware-spawn")}
    fine, coarse = (artifacts.read_arrays(paths.labels(s)) for s in paths.SUPERVISIONS)
    positions = artifacts.read_arrays(paths.clusters(study.seeds[0]))["map"]
    fine_names, coarse_names, coarse_of = fine["names"].tolist(), coarse["names"].tolist(), coarse["coarse_of"]
    names = fine_names, coarse_names
    classes, reducers = {"fine": len(fine_names), "coarse": len(coarse_names)}, study.cluster.reducers

    measured = measure(training, collapse, cluster, study.seeds, reducers)
    connected, linear = connectivity.measure(lines, study), linearity.measure(layers, stitched, study)
    numbers = summarise(measured | connected | linear, labels)
    rows = claims.table(study, measured, classes["fine"], classes["coarse"])
    rows += connectivity_claims.table(study, connected) + linearity_claims.table(study, linear)
    versions = {"python": platform.python_version()} | {library: version(library) for library in LIBRARIES}

    drawn = {
        "learning-curves": figures.learning_curves(training),
        "collapse": figures.collapse(collapse),
        "angles": figures.angles(collapse, classes),
        "maps": figures.maps(positions, fine["train"], coarse_of, *names, study.report.points, numpy_generator("map")),
        "distances": figures.distances(cluster["class_distances"]["matrix"], fine_names, coarse_of, coarse_names),
        "recovery": figures.recovery(measured, reducers, classes["fine"], classes["coarse"]),
        "agreement": figures.agreement(cluster["rows"], reducers[0], coarse_names),
    }
    drawn |= on_lines.draw(lines, plane) | on_layers.draw(layers, stitched, lines)
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
    tables = connectivity.accuracies(networks), connectivity.objectives(permutations), linearity.stitching(stitched)
    html = page.render(study, text, numbers, rows, labels, versions, hardware, *tables, pictures)
    artifacts.write_text(folder / "report.html", html)


if __name__ == "__main__":
    main()
