"""Walk the lines between networks, plain and repaired, and one plane: loss and accuracy at every point."""

from collections import Counter

from hidden_structure.connectivity.pairing import aligned_pairs, digest, named
from hidden_structure.connectivity.spawning import LISTED, Pair
from hidden_structure.connectivity.walks import end, walk
from hidden_structure.frame import artifacts, command, params, paths, tasks
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Hardware, Interpolate, Permute, Tasks
from hidden_structure.frame.spawn import Spawn
from hidden_structure.frame.workplace import workplace
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read

LINES = ("line", "repaired line")
Digests = dict[tuple[str, tuple[int, str]], str]  # of networks, by their cell, seed and name: their files are read once


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
    described = study.model_dump(include={"interpolate", "spawn"}, exclude={"spawn": LISTED})
    described |= describe(inputs.device, inputs.precision, 1)
    every = [(named(*pair), *pair) for pair in pairs]
    lines = {f"{what} of {name}": (what, *pair) for name, *pair in every for what in LINES}
    planes = [(f"plane of {name}", ("plane", pair, method)) for name, pair, method in every if method != "none"]
    planes = planes[:1] if study.interpolate.plane_points else []
    # The longest first: the plane, then the widest networks, repaired ones before the others.
    longest = sorted(lines, key=lambda name: (lines[name][1].cell.width, name.startswith("repaired")), reverse=True)
    order = dict(planes) | {name: lines[name] for name in longest}
    settings = study.hardware, study.interpolate
    own = {(pair.cell.name, end): pair for pair, _ in pairs for end in (pair.a, pair.b)}
    digests = {key: digest(pair, [key[1]]) for key, pair in own.items()}
    shared = {name: (*of, *settings) for name, of in _shared(pairs, digests).items()}
    with workplace("interpolate", described, inputs.arrays, study.tasks.keep) as folder:
        ends = tasks.run("ends of lines", end, shared, folder, study.tasks, study.hardware)
        arguments = {name: (*those, *settings, _known(ends, digests, *those)) for name, those in order.items()}
        found = tasks.run("lines between networks", walk, arguments, folder, study.tasks, study.hardware)
        artifacts.write_json(paths.results("interpolate"), [found[name] for name in lines])
        artifacts.write_json(paths.results("plane"), found[planes[0][0]] if planes else None)


def _shared(pairs: list[tuple[Pair, str]], digests: Digests) -> dict[str, tuple[str, Pair, int]]:
    """The ends of lines that are ends of several, each to be measured once, whatever the order of its units."""
    every = [(what, pair, side) for pair, _ in pairs if pair.k is None for what in LINES for side in (0, 1)]
    names = [_named(digests, *one) for one in every]
    counts = Counter(names)
    return {name: one for name, one in zip(names, every, strict=True) if counts[name] > 1}


def _named(digests: Digests, what: str, pair: Pair, side: int) -> str:
    seed, name = end = (pair.a, pair.b)[side]
    return f"end of a {what}, {pair.cell.name}, {name} of seed {seed} ({digests[pair.cell.name, end]})"


def _known(ends: dict[str, dict], digests: Digests, what: str, pair: Pair, method: str) -> dict[float, dict]:
    sides = (0, 1) if pair.k is None else ()
    return {float(side): ends[name] for side in sides if (name := _named(digests, what, pair, side)) in ends}


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
