"""Train a network on the labels of every merge in `merges`, and keep its features.

Killed and started again it goes on where it was.
"""

import shutil
from pathlib import Path

from hidden_structure.datasets.labels import merge, tables
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.merges.variants import Variant, features_file, train
from hidden_structure.training import resume
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read


@one_line_errors
@alone("train-merges")
def main() -> None:
    study = params.load()
    inputs, settings, recipe = read(study.hardware), study.merges, study.merges.train or study.train
    names, found = tuple(inputs.labels["names"].tolist()), tables(inputs.data)
    section, variants = "merges.train" if settings.train else "train", []
    for kind in settings.kinds:
        merged = merge(kind, names, found)
        labels = {split: merged.coarse_of[inputs.labels[split]] for split in ("train", "test")}
        classes = len(merged.coarse_names)
        own = labels, classes, section
        variants += [Variant(kind.name, seed, study.network, recipe, *own) for seed in settings.seeds]

    hardware = describe(inputs.device, inputs.precision, 1)
    described = study.model_dump(include={"network", "train", "merges"}) | hardware
    key = resume.fingerprint(described, Path(__file__), *inputs.data.values(), *inputs.labels.values())
    folder = paths.RESUME / f"merges-{key}"
    rows = [row for variant in variants for row in train(variant, inputs, folder, [recipe.epochs])]

    shutil.rmtree(paths.MERGES, ignore_errors=True)
    paths.MERGES.mkdir(parents=True)
    for variant in variants:
        file = features_file(folder, variant, recipe.epochs)
        artifacts.copy(file, paths.merged_features(variant.name, variant.seed))
    artifacts.write_json(paths.results("train-merges"), rows)
    artifacts.write_json(paths.results("hardware-merges"), hardware if variants else None)
    resume.forget(folder)


if __name__ == "__main__":
    main()
