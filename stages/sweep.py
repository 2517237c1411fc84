"""Train the network on coarse labels with every learning rate and weight decay of `sweep`, and measure what is left.

Killed and started again it goes on where it was.
"""

from hidden_structure.frame import artifacts, command, params, results, tasks
from hidden_structure.frame.errors import InputError, one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Cluster, Hardware, Network, Sweep, Tasks
from hidden_structure.frame.workplace import workplace
from hidden_structure.merges.sweep import Plan, compute, grid
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read


class Reads(Section):
    cluster: Cluster
    hardware: Hardware
    network: Network
    sweep: Sweep | None
    tasks: Tasks


@one_line_errors
@alone("sweep")
def main() -> None:
    study = params.load(reads=Reads)
    settings = study.sweep
    if settings is None:
        results.write("sweep", [], None)
        return
    cells, recipe = grid(settings), settings.train
    inputs = read(study.hardware, "coarse")
    hardware = describe(inputs.device, inputs.precision, 1)
    fine = artifacts.read_both_labels()[0]
    own = {"lr", "weight_decay"}  # of a cell, so that a cell finished for another grid is as good
    described = study.model_dump(include={"network", "cluster"}) | {"train": recipe.model_dump(exclude=own)} | hardware
    with workplace("sweep", described, (*inputs.arrays, *fine.values()), study.tasks.keep) as folder:
        plan = Plan(folder, study.hardware, study.network, recipe, study.cluster, "sweep.train")
        named = {cell.name: (plan, cell) for cell in cells}
        rows = list(tasks.run("sweep", compute, named, folder, study.tasks, study.hardware).values())
        if all(row["error"] for row in rows):
            first = f"the first one (of sweep.lrs and sweep.weight_decays) so: {rows[0]['error']}"
            raise InputError(f"sweep: every cell failed, {first}")
        results.write("sweep", rows, hardware)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
