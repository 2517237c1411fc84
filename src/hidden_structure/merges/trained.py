"""A network on the labels of a merge, and one on as many original labels as these are worth, as independent tasks.

Both read what they learn from the files of the study, and leave features in `folder`, of the stage.
"""

from pathlib import Path

from hidden_structure.datasets.labels import merge, merge_name, tables
from hidden_structure.frame import params
from hidden_structure.merges.price import affordable, as_many_steps, draw
from hidden_structure.merges.variants import Variant, train
from hidden_structure.seeding import numpy_generator
from hidden_structure.training.inputs import read

SECTION = "merges.train"


def train_merge(
    kind: params.Merge,
    seed: int,
    network: params.Network,
    recipe: params.Train,
    hardware: params.Hardware,
    folder: Path,
) -> dict:
    """The row of one network; its features after the last epoch are in the folder."""
    inputs = read(hardware)
    merged = merge(kind, inputs.labels["names"].tolist(), tables(inputs.data))
    labels = {split: merged.coarse_of[inputs.labels[split]] for split in ("train", "test")}
    variant = Variant(merge_name(kind), seed, network, recipe, labels, len(merged.coarse_names), SECTION)
    (row,) = train(variant, inputs, folder, [recipe.epochs])
    return row


def train_bought(
    kind: params.Merge,
    seed: int,
    network: params.Network,
    recipe: params.Train,
    hardware: params.Hardware,
    folder: Path,
) -> dict:
    """Of a network on as many original labels as the coarse ones are worth, in as many steps: how many, and its
    accuracy on the original classes."""
    inputs, name = read(hardware), merge_name(kind)
    names, fine = inputs.labels["names"].tolist(), inputs.labels["train"]
    count = affordable(fine, merge(kind, names, tables(inputs.data)).coarse_of)
    samples = draw(fine, count, numpy_generator("bought", name, seed))
    recipe = as_many_steps(recipe, len(fine), count, SECTION)
    labels = {"train": fine[samples], "test": inputs.labels["test"]}
    variant = Variant(f"{name}-bought", seed, network, recipe, labels, len(names), SECTION, samples)
    (row,) = train(variant, inputs, folder, [recipe.epochs])
    accuracies = {f"{split}_accuracy": row[f"{split}_accuracy"] for split in labels}
    return {"samples": count, "epochs": recipe.epochs} | accuracies
