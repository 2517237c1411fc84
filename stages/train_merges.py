"""Train a network on the labels of every merge in `merges`, and keep its features; and one on what these labels buy.

Killed and started again it goes on where it was.
"""

from hidden_structure.datasets.labels import merge, merge_name, tables
from hidden_structure.frame import artifacts, command, params, paths, tasks
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Hardware, Merges, Network, Tasks
from hidden_structure.frame.workplace import workplace
from hidden_structure.merges.trained import train_bought, train_merge
from hidden_structure.merges.variants import features_file
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
    for kind in settings.kinds:  # what was kept of one must not hide that it cannot be made
        merge(kind, inputs.labels["names"].tolist(), tables(inputs.data))
    hardware = describe(inputs.device, inputs.precision, 1)
    listed = {"kinds", "priced", "seeds"}
    described = study.model_dump(include={"network", "merges"}, exclude={"merges": listed}) | hardware
    with workplace("train-merges", described, inputs.arrays, study.tasks.keep) as folder:
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


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
