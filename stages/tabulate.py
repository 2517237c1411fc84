"""Take what the report shows out of what the stages computed: small tables, from which it is drawn anywhere."""

import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hidden_structure.frame import artifacts, params, paths, tables
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.tables import (
    collapse,
    connectivity,
    distillation,
    linearity,
    merges,
    recovery,
    split,
    sweep,
    unconstrained,
)

IDEAS = (collapse, recovery, merges, split, sweep, unconstrained, connectivity, linearity, distillation)
LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "openTSNE", "dvc")
TRAINED = ("fine", "coarse", "merges", "split", "sweep", "distill", "spawn")  # what there is a hardware-*.json of


@one_line_errors
@alone("tabulate")
def main() -> None:
    study = params.load()
    read: list[Path] = []

    def results(name: str) -> Any:
        read.append(paths.results(name))
        return artifacts.read_json(paths.results(name))

    found: dict[str, list[dict]] = {}
    for idea in IDEAS:
        read.clear()
        with artifacts.content_of(read):
            found |= idea.tabulate(study, results)
    found["provenance"] = [{"trained": name} | row for name in TRAINED if (row := results(f"hardware-{name}"))]
    libraries = {"python": platform.python_version()} | {library: version(library) for library in LIBRARIES}
    found["versions"] = [{"library": library, "version": number} for library, number in libraries.items()]

    shutil.rmtree(paths.TABLES, ignore_errors=True)
    for name, rows in found.items():
        tables.write(paths.table(name), rows)
    if study.train:
        positions = artifacts.read_arrays(paths.clusters(study.seeds[0]), {"map": ("f", 2)})["map"]
        artifacts.write_arrays(
            paths.TABLES / "map.npz", recovery.arrays(study, positions, *artifacts.read_both_labels())
        )


if __name__ == "__main__":
    main()
