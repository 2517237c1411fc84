"""Train a network on classes split at random into parts, and measure over training what its features group by.

Killed and started again it goes on where it was.
"""

from pathlib import Path

from hidden_structure.frame import artifacts, command, params, paths, results, tasks
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.sections import Cluster, Hardware, Network, Section, Split, Tasks, only
from hidden_structure.frame.workplace import workplace
from hidden_structure.merges.split import draw, guess_accuracy, measure
from hidden_structure.merges.variants import Variant, features_file, train
from hidden_structure.seeding import numpy_generator
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read
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
    described = study.model_dump(include={"cluster", "network", "split"}) | hardware
    with workplace("split", described, inputs.arrays) as folder:
        own = settings, study.network, study.cluster.restarts, study.cluster.l2, study.hardware, folder
        named = {f"seed {seed}": (seed, *own) for seed in settings.seeds}
        found = tasks.run("split", train_and_measure, named, folder, study.tasks, study.hardware)
        results.write("split", [row for rows in found.values() for row in rows], hardware)


def train_and_measure(
    seed: int, settings: Split, network: Network, restarts: int, l2: float, hardware: Hardware, folder: Path
) -> list[dict]:
    """A row for each of the epochs that are kept."""
    inputs, recipe = read(hardware), settings.train
    truth, test_truth, names = (inputs.labels[name] for name in ("train", "test", "names"))
    drawn = draw(truth, len(names), settings.classes, settings.parts, numpy_generator("split", seed))
    labels, class_of = drawn
    variant = Variant("split", seed, network, recipe, {"train": labels}, len(class_of), "split.train")
    rows = []
    for row in train(variant, inputs, folder, snapshot_epochs(recipe.epochs, recipe.snapshots)):
        tensors = artifacts.read_tensors(features_file(folder, "split", seed, row["epoch"]), paths.FEATURES)
        measured = measure(tensors, *drawn, test_truth, restarts, l2, "split", seed, row["epoch"])
        rows.append(row | {"guess_accuracy": guess_accuracy(*drawn)} | measured)
        shown = ("seed", "epoch", "train_accuracy", "agreement", "parts_distance", "probe_accuracy")
        print({key: rows[-1][key] for key in shown}, flush=True)
    return rows


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
