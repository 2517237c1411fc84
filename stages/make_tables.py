"""Take what the report shows out of what the stages computed: small tables, from which it is drawn anywhere."""

import functools
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hidden_structure.frame import artifacts, command, params, paths, tables
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.tables import (
    averages,
    collapse,
    connectivity,
    distillation,
    finetune,
    flops,
    imbalance,
    inspection,
    linearity,
    merges,
    recovery,
    split,
    sweep,
    unconstrained,
)

IDEAS = (collapse, recovery, merges, split, sweep, imbalance, finetune, unconstrained, connectivity, averages)
IDEAS += (linearity, distillation, inspection)
LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "openTSNE", "dvc")
# What there is a hardware-*.json of.
TRAINED = ("fine", "coarse", "memorised", "merges", "split", "sweep", "imbalance", "finetune", "distill", "spawn")


@one_line_errors
@alone("make-tables")
def main() -> None:
    study = params.load()
    read: list[Path] = []

    def results(name: str) -> Any:
        read.append(paths.results(name))
        return artifacts.read_json(paths.results(name))

    image_shape = artifacts.read_arrays(paths.DATA, paths.IMAGES)["test_images"].shape[1:]
    cost = functools.partial(flops.tabulate, image_shape=image_shape)
    texts: dict[str, str] = {}
    for make in (*(idea.tabulate for idea in IDEAS), cost, provenance):
        read.clear()
        with artifacts.content_of(read):
            texts |= {name: tables.text(rows) for name, rows in make(study, results).items()}

    artifacts.clear(paths.TABLES)
    for name, text in texts.items():
        artifacts.write_text(paths.table(name), text)
    if study.train:
        positions = artifacts.read_arrays(paths.clusters(study.seeds[0]), {"map": ("f", 2)})["map"]
        artifacts.write_arrays(
            paths.TABLES / "map.npz", recovery.arrays(study, positions, *artifacts.read_both_labels())
        )
    if study.inspect:
        positions = artifacts.read_arrays(paths.inspected(1), {"map": ("f", 2)})["map"]
        own = artifacts.read_labels("fine"), artifacts.read_labels(study.inspect.labels)
        artifacts.write_arrays(paths.TABLES / "inspected_map.npz", recovery.arrays(study, positions, *own))


def provenance(study: params.Study, results: Callable[[str], Any]) -> dict[str, list[dict]]:
    """What computed the networks, and by which libraries."""
    rows = [{"trained": name} | row for name in TRAINED if (row := results(f"hardware-{name}"))]
    libraries = {"python": platform.python_version()} | {library: version(library) for library in LIBRARIES}
    versions = [{"library": library, "version": number} for library, number in libraries.items()]
    return {"provenance": rows, "versions": versions}


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
