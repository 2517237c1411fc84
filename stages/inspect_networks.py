"""Look into networks that are given: how far they collapsed, and what is inside their classes."""

from itertools import chain

from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.given import Inspect
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section, only
from hidden_structure.frame.sections import Cluster, Features, Hardware, Network, Tasks
from hidden_structure.frame.tasks import run
from hidden_structure.frame.workplace import workplace
from hidden_structure.inspection.looking import look
from hidden_structure.networks import checkpoints
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read


class Reads(Section):
    cluster: Cluster
    features: only(Features, "batch_size")
    hardware: Hardware
    inspect: Inspect | None
    network: Network
    tasks: Tasks


@one_line_errors
@alone("inspect-networks")
def main() -> None:
    study = params.load(reads=Reads)
    settings = study.inspect
    if settings is None:
        artifacts.clear(paths.INSPECTED)
        artifacts.write_json(paths.results("inspect"), [])
        return
    inputs, fine = read(study.hardware, settings.labels), artifacts.read_both_labels()[0]
    hardware = describe(inputs.device, inputs.precision, 1)
    described = study.model_dump(include={"cluster", "features", "inspect", "network"}) | hardware
    files = (checkpoints.content(file) for file in settings.checkpoints)
    with workplace("inspect-networks", described, chain(inputs.arrays, fine.values(), files)) as folder:
        own = settings, study.network, study.cluster, study.hardware, study.features.batch_size, folder
        tasks = {f"network {place}": (place, *own) for place in range(1, len(settings.checkpoints) + 1)}
        found = run("given networks", look, tasks, folder, study.tasks, study.hardware)
        maps = {paths.inspected(place): folder / f"{place}.npz" for place in range(1, len(found) + 1)}
        artifacts.publish(paths.INSPECTED, maps)
        artifacts.write_json(paths.results("inspect"), list(found.values()))


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
