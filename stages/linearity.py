"""Measure how linearly features change along the lines between networks, why, and how well networks stitch."""

from hidden_structure.connectivity.pairing import aligned_pairs, named
from hidden_structure.connectivity.spawning import LISTED
from hidden_structure.frame import artifacts, command, params, paths, tasks
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Hardware, Linearity, Permute, Tasks
from hidden_structure.frame.spawn import Spawn
from hidden_structure.frame.workplace import workplace
from hidden_structure.linearity.measures import measure
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read


class Reads(Section):
    hardware: Hardware
    linearity: Linearity | None
    permute: Permute | None
    spawn: Spawn | None
    tasks: Tasks


@one_line_errors
@alone("linearity")
def main() -> None:
    study = params.load(reads=Reads)
    if study.spawn is None:
        for name in ("linearity", "stitch"):
            artifacts.write_json(paths.results(name), [])
        return
    inputs, pairs = read(study.hardware), aligned_pairs(study)
    described = study.model_dump(include={"linearity", "spawn"}, exclude={"spawn": LISTED})
    described |= describe(inputs.device, inputs.precision, 1)
    every = {named(*pair): pair for pair in pairs}
    widest = sorted(every.items(), key=lambda item: item[1][0].cell.width, reverse=True)  # which take longest, first
    arguments = {name: (*pair, study.hardware, study.linearity) for name, pair in widest}
    with workplace("linearity", described, inputs.arrays, study.tasks.keep) as folder:
        found = tasks.run("layers of pairs of networks", measure, arguments, folder, study.tasks, study.hardware)
        artifacts.write_json(paths.results("linearity"), [row for name in every for row in found[name]["lines"]])
        artifacts.write_json(paths.results("stitch"), [found[name]["stitched"] for name in every])


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
