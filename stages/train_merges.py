"""Train a network on the labels of every merge in `merges`, and keep its features.

Killed and started again it goes on where it was.
"""

from hidden_structure.datasets.labels import merge, merge_name, tables
from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.sections import Hardware, Merges, Network, Section
from hidden_structure.merges.variants import Variant, features_file, train
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read
from hidden_structure.training.resume import workplace


class Reads(Section):
    hardware: Hardware
    merges: Merges | None
    network: Network


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
    inputs, recipe = read(study.hardware), settings.train
    names, found = tuple(inputs.labels["names"].tolist()), tables(inputs.data)
    variants = []
    for kind in settings.kinds:
        merged = merge(kind, names, found)
        labels = {split: merged.coarse_of[inputs.labels[split]] for split in ("train", "test")}
        classes = len(merged.coarse_names)
        own = labels, classes, "merges.train"
        variants += [Variant(merge_name(kind), seed, study.network, recipe, *own) for seed in settings.seeds]

    hardware = describe(inputs.device, inputs.precision, 1)
    described = study.model_dump(include={"network", "merges"}) | hardware
    with workplace("train-merges", described, inputs.arrays) as folder:
        rows = [row for variant in variants for row in train(variant, inputs, folder, [recipe.epochs])]
        files = {paths.merged_features(v.name, v.seed): features_file(folder, v, recipe.epochs) for v in variants}
        artifacts.publish(paths.MERGES, files)
        artifacts.write_json(paths.results("train-merges"), rows)
        artifacts.write_json(paths.results("hardware-merges"), hardware)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
