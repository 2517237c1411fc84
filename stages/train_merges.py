"""Train a network on the labels of every merge in `merges`, and keep its features; and one on what these labels buy.

Killed and started again it goes on where it was.
"""

from pathlib import Path

from hidden_structure.datasets.labels import merge, merge_name, tables
from hidden_structure.frame import artifacts, command, params, paths, tasks
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Hardware, Merge, Merges, Network, Tasks, Train
from hidden_structure.frame.workplace import workplace
from hidden_structure.merges.price import affordable, as_many_steps, draw
from hidden_structure.merges.variants import Variant, features_file, train
from hidden_structure.seeding import numpy_generator
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read


class Reads(Section):
    hardware: Hardware
    merges: Merges | None
    network: Network
    tasks: Tasks


@one_line_errors
@alone("train-merges")
def main() -> None:
    study = params.load(reads=Reads)
    settings = study.merges
    if settings is None:
        artifacts.clear(paths.MERGES)
        artifacts.write_json(paths.results("train-merges"), [])
        artifacts.write_json(paths.results("hardware-merges"), None)
        return
    inputs = read(study.hardware)
    hardware = describe(inputs.device, inputs.precision, 1)
    described = study.model_dump(include={"network", "merges"}) | hardware
    with workplace("train-merges", described, inputs.arrays) as folder:
        networks = [(merge_name(kind), seed, kind) for kind in settings.kinds for seed in settings.seeds]
        own = study.network, settings.train, study.hardware, folder
        named = {f"{name}, seed {seed}": (kind, seed, *own) for name, seed, kind in networks}
        found = tasks.run("train-merges", train_merge, named, folder, study.tasks, study.hardware)
        if settings.priced:
            named = {f"{name}, as original labels, seed {seed}": (kind, seed, *own) for name, seed, kind in networks}
            bought = tasks.run("original labels", train_bought, named, folder, study.tasks, study.hardware)
            for row, priced in zip(found.values(), bought.values(), strict=True):
                row["bought"] = priced
        epochs = settings.train.epochs
        files = {paths.merged_features(*key): features_file(folder, *key, epochs) for *key, _ in networks}
        artifacts.publish(paths.MERGES, files)
        artifacts.write_json(paths.results("train-merges"), list(found.values()))
        artifacts.write_json(paths.results("hardware-merges"), hardware)


def train_merge(kind: Merge, seed: int, network: Network, recipe: Train, hardware: Hardware, folder: Path) -> dict:
    """The row of one network; its features after the last epoch are in the folder."""
    inputs = read(hardware)
    merged = merge(kind, inputs.labels["names"].tolist(), tables(inputs.data))
    labels = {split: merged.coarse_of[inputs.labels[split]] for split in ("train", "test")}
    classes = len(merged.coarse_names)
    variant = Variant(merge_name(kind), seed, network, recipe, labels, classes, "merges.train")
    (row,) = train(variant, inputs, folder, [recipe.epochs])
    return row


def train_bought(kind: Merge, seed: int, network: Network, recipe: Train, hardware: Hardware, folder: Path) -> dict:
    """Of a network on as many original labels as the coarse ones are worth, in as many steps: how many, and its
    accuracy on the original classes."""
    inputs, name = read(hardware), merge_name(kind)
    names, fine = inputs.labels["names"].tolist(), inputs.labels["train"]
    count = affordable(fine, merge(kind, names, tables(inputs.data)).coarse_of)
    samples = draw(fine, count, numpy_generator("bought", name, seed))
    recipe = recipe.model_copy(update={"epochs": as_many_steps(recipe.epochs, len(fine), count)})
    labels = {"train": fine[samples], "test": inputs.labels["test"]}
    own = f"{name}-bought", seed, network, recipe, labels, len(names), "merges.train", samples
    (row,) = train(Variant(*own), inputs, folder, [recipe.epochs])
    return {"samples": count, "epochs": recipe.epochs} | {
        f"{split}_accuracy": row[f"{split}_accuracy"] for split in labels
    }


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
