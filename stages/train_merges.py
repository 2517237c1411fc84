"""Train a network on the labels of every merge in `merges`, and keep its features.

Killed and started again it goes on where it was.
"""

from hidden_structure.datasets.labels import merge, tables
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.merges.variants import Variant, features_file, train
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read
from hidden_structure.training.resume import workplace


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
    with workplace("train-merges", described, inputs.arrays) as folder:
        rows = [row for variant in variants for row in train(variant, inputs, folder, [recipe.epochs])]
        files = {paths.merged_features(v.name, v.seed): features_file(folder, v, recipe.epochs) for v in variants}
        artifacts.publish(paths.MERGES, files)
        artifacts.write_json(paths.results("train-merges"), rows)
        artifacts.write_json(paths.results("hardware-merges"), hardware if variants else None)


if __name__ == "__main__":
    main()
