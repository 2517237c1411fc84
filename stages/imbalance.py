"""Train networks of which some classes have few images, and measure how near these classes' rows come to one another.

Killed and started again it goes on where it was.
"""

from hidden_structure.frame import command, params, results, tasks
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.imbalance import Imbalance
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Hardware, Network, Tasks
from hidden_structure.frame.workplace import workplace
from hidden_structure.merges.imbalance import foretold, majority_of, train_ratio
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read


class Reads(Section):
    hardware: Hardware
    imbalance: Imbalance | None
    network: Network
    tasks: Tasks


@one_line_errors
@alone("imbalance")
def main() -> None:
    study = params.load(reads=Reads)
    settings = study.imbalance
    if settings is None:
        results.write("imbalance", None, None)
        return
    inputs = read(study.hardware)
    hardware = describe(inputs.device, inputs.precision, 1)
    described = (
        study.model_dump(include={"imbalance", "network"}, exclude={"imbalance": {"ratios", "seeds"}}) | hardware
    )
    with workplace("imbalance", described, inputs.arrays, study.tasks.keep) as folder:
        own = settings, study.network, study.hardware, folder
        networks = [(ratio, seed) for ratio in settings.ratios for seed in settings.seeds]
        named = {f"ratio {ratio}, seed {seed}": (ratio, seed, *own) for ratio, seed in networks}
        found = tasks.run("imbalance", train_ratio, named, folder, study.tasks, study.hardware)
        rows = [row for pair in found.values() for row in pair]
        majority = majority_of(settings, len(inputs.labels["names"]))
        said = foretold(rows, inputs.labels["train"], majority, settings.ratios)
        results.write("imbalance", {"networks": rows} | said, hardware)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
