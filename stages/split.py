"""Train a network on classes split at random into parts, and measure over training what its features group by.

Killed and started again it goes on where it was.
"""

from hidden_structure.frame import artifacts, command, params, paths, results
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.sections import Cluster, Hardware, Network, Section, Split, only
from hidden_structure.merges.split import draw, guess_accuracy, measure
from hidden_structure.merges.variants import Variant, features_file, train
from hidden_structure.seeding import numpy_generator
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read
from hidden_structure.training.loop import snapshot_epochs
from hidden_structure.training.resume import workplace


class Reads(Section):
    cluster: only(Cluster, "l2", "restarts")
    hardware: Hardware
    network: Network
    split: Split | None


@one_line_errors
@alone("split")
def main() -> None:
    study = params.load(reads=Reads)
    settings = study.split
    if settings is None:
        results.write("split", [], None)
        return
    recipe = settings.train
    inputs = read(study.hardware)
    hardware = describe(inputs.device, inputs.precision, 1)
    described = study.model_dump(include={"network", "split"}) | hardware
    truth, test_truth, names = (inputs.labels[name] for name in ("train", "test", "names"))
    epochs = snapshot_epochs(recipe.epochs, recipe.snapshots)
    with workplace("split", described, inputs.arrays) as folder:
        rows = []
        for seed in settings.seeds:
            drawn = draw(truth, len(names), settings.classes, settings.parts, numpy_generator("split", seed))
            labels, class_of = drawn
            variant = Variant("split", seed, study.network, recipe, {"train": labels}, len(class_of), "split.train")
            for row in train(variant, inputs, folder, epochs):
                tensors = artifacts.read_tensors(features_file(folder, variant, row["epoch"]), paths.FEATURES)
                names_of_draws = "split", seed, row["epoch"]
                measured = measure(
                    tensors, *drawn, test_truth, study.cluster.restarts, study.cluster.l2, *names_of_draws
                )
                rows.append(row | {"guess_accuracy": guess_accuracy(*drawn)} | measured)
                shown = ("epoch", "train_accuracy", "agreement", "parts_distance", "probe_accuracy")
                print({key: rows[-1][key] for key in shown}, flush=True)
        results.write("split", rows, hardware)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
