"""Walk the lines between networks, plain and repaired, and one plane: loss and accuracy at every point."""

from hidden_structure.connectivity.pairing import aligned_pairs, content, named
from hidden_structure.connectivity.walks import walk
from hidden_structure.frame import artifacts, command, params, paths, tasks
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Hardware, Interpolate, Permute, Tasks
from hidden_structure.frame.spawn import Spawn
from hidden_structure.frame.workplace import workplace
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read


class Reads(Section):
    hardware: Hardware
    interpolate: Interpolate | None
    permute: Permute | None
    spawn: Spawn | None
    tasks: Tasks


@one_line_errors
@alone("interpolate")
def main() -> None:
    study = params.load(reads=Reads)
    if study.spawn is None:
        artifacts.write_json(paths.results("interpolate"), [])
        artifacts.write_json(paths.results("plane"), None)
        return
    inputs, pairs = read(study.hardware), aligned_pairs(study)
    described = study.model_dump(include={"interpolate", "permute", "spawn"})
    described |= describe(inputs.device, inputs.precision, 1)
    lines = {f"{what} of {named(*pair)}": (what, *pair) for pair in pairs for what in ("line", "repaired line")}
    planes = [(f"plane of {named(*pair)}", ("plane", *pair)) for pair in pairs if pair[1] != "none"][:1]
    # The longest first: the plane, then the widest networks, repaired ones before the others.
    longest = sorted(lines, key=lambda name: (lines[name][1].cell.width, name.startswith("repaired")), reverse=True)
    order = dict(planes) | {name: lines[name] for name in longest}
    arguments = {name: (*those, study.hardware, study.interpolate) for name, those in order.items()}
    with workplace("interpolate", described, (*inputs.arrays, *content(pairs))) as folder:
        found = tasks.run("lines between networks", walk, arguments, folder, study.tasks, study.hardware)
        artifacts.write_json(paths.results("interpolate"), [found[name] for name in lines])
        artifacts.write_json(paths.results("plane"), found[planes[0][0]] if planes else None)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
