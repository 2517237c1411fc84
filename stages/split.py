"""Train a network on classes split at random into parts, and measure over training what its features group by.

Killed and started again it goes on where it was.
"""

from pathlib import Path

import numpy as np

from hidden_structure.frame import artifacts, command, params, paths, results, tasks
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section, only
from hidden_structure.frame.sections import Cluster, Hardware, Network, Split, Tasks
from hidden_structure.frame.workplace import workplace
from hidden_structure.merges.split import draw, guess_accuracy, measure
from hidden_structure.merges.variants import Variant, features_file, train
from hidden_structure.seeding import numpy_generator
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import Inputs, read
from hidden_structure.training.loop import snapshot_epochs


class Reads(Section):
    cluster: only(Cluster, "l2", "restarts")
    hardware: Hardware
    network: Network
    split: Split | None
    tasks: Tasks


@one_line_errors
@alone("split")
def main() -> None:
    study = params.load(reads=Reads)
    settings = study.split
    if settings is None:
        results.write("split", [], None)
        return
    inputs = read(study.hardware)
    hardware = describe(inputs.device, inputs.precision, 1)
    described = study.model_dump(include={"cluster", "network", "split"}, exclude={"split": {"seeds"}}) | hardware
    with workplace("split", described, inputs.arrays, study.tasks.keep) as folder:
        own = settings, study.hardware, folder
        named: dict = {f"seed {seed}": (seed, *own, study.network) for seed in settings.seeds}
        trained = tasks.run("split", train_seed, named, folder, study.tasks, study.hardware)
        rows = [row for found in trained.values() for row in found]
        named = {f"seed {row['seed']}, epoch {row['epoch']}": (row, *own, study.cluster) for row in rows}
        measured = tasks.run("split, measuring", measure_epoch, named, folder, study.tasks, study.hardware)
        results.write("split", list(measured.values()), hardware)


def train_seed(seed: int, settings: Split, hardware: Hardware, folder: Path, network: Network) -> list[dict]:
    """A row for each of the epochs that are kept."""
    inputs, recipe = read(hardware), settings.train
    labels, class_of = drawn(inputs, settings, seed)
    variant = Variant("split", seed, network, recipe, {"train": labels}, len(class_of), "split.train")
    return train(variant, inputs, folder, snapshot_epochs(recipe.epochs, recipe.snapshots))


def measure_epoch(row: dict, settings: Split, hardware: Hardware, folder: Path, cluster: Cluster) -> dict:
    """The row, and what was measured of the network after that epoch."""
    inputs, key = read(hardware), ("split", row["seed"], row["epoch"])
    parts = drawn(inputs, settings, row["seed"])
    tensors = artifacts.read_tensors(features_file(folder, *key), paths.FEATURES)
    found = row | {"guess_accuracy": guess_accuracy(*parts)}
    found |= measure(tensors, *parts, inputs.labels["test"], cluster.restarts, cluster.l2, *key)
    print({name: found[name] for name in ("seed", "epoch", "parts_distance", "probe_accuracy")}, flush=True)
    return found


def drawn(inputs: Inputs, settings: Split, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The split labels of a seed, and the class that each is a part of."""
    names, generator = inputs.labels["names"], numpy_generator("split", seed)
    return draw(inputs.labels["train"], len(names), settings.classes, settings.parts, generator)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
