"""Train the network on coarse labels shuffled over the training images, every seed of the study, and keep its features.

Killed and started again it goes on where it was.
"""

from hidden_structure.frame import artifacts, command, params, paths, results, tasks
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Hardware, Memorised, Network, Seed, Some, Tasks
from hidden_structure.frame.workplace import workplace
from hidden_structure.merges.memorised import NAME, train_memorised
from hidden_structure.merges.variants import features_file
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read


class Reads(Section):
    hardware: Hardware
    memorised: Memorised | None
    network: Network
    seeds: Some[Seed]
    tasks: Tasks


@one_line_errors
@alone("train-memorised")
def main() -> None:
    study = params.load(reads=Reads)
    if study.memorised is None:
        artifacts.clear(paths.MEMORISED)
        results.write("memorised", [], None)
        return
    inputs, recipe = read(study.hardware, "coarse"), study.memorised.train
    hardware = describe(inputs.device, inputs.precision, 1)
    described = study.model_dump(include={"memorised", "network"}) | hardware
    with workplace("train-memorised", described, inputs.arrays, study.tasks.keep) as folder:
        own = study.network, recipe, study.hardware, folder
        named = {f"shuffled labels, seed {seed}": (seed, *own) for seed in study.seeds}
        found = tasks.run("train-memorised", train_memorised, named, folder, study.tasks, study.hardware)
        files = {
            paths.memorised_features(seed): features_file(folder, NAME, seed, recipe.epochs) for seed in study.seeds
        }
        artifacts.publish(paths.MEMORISED, files)
        results.write("memorised", list(found.values()), hardware)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
