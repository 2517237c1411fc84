"""Match the units of independently trained networks: a permutation for each pair and method, and one that is known."""

from pathlib import Path

from hidden_structure.connectivity.pairing import posed
from hidden_structure.connectivity.planted import planted
from hidden_structure.connectivity.spawning import Pair, pairs
from hidden_structure.frame import artifacts, command, params, paths, tasks
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Hardware, Permute, Tasks
from hidden_structure.frame.workplace import workplace
from hidden_structure.permutation.coverage import summary
from hidden_structure.permutation.matching import match
from hidden_structure.permutation.methods import METHODS
from hidden_structure.permutation.permuting import identity
from hidden_structure.permutation.weight_matching import objective
from hidden_structure.training.device import describe
from hidden_structure.training.inputs import read


class Reads(Section):
    hardware: Hardware
    permute: Permute | None
    spawn: params.Spawn | None
    tasks: Tasks


@one_line_errors
@alone("permute")
def main() -> None:
    study = params.load(reads=Reads)
    if study.spawn is None:
        artifacts.clear(paths.PERMUTATIONS)
        artifacts.write_json(paths.results("permute"), [])
        artifacts.write_json(paths.results("planted"), [])
        return
    inputs, settings = read(study.hardware), study.permute
    independent = [pair for pair in pairs(study) if pair.k is None and settings.methods]
    files = [paths.spawned(pair.cell.name, *end) for pair in independent for end in (pair.a, pair.b)]
    described = study.model_dump(include={"permute", "spawn"}) | describe(inputs.device, inputs.precision, 1)
    with workplace("permute", described, (*inputs.arrays, *artifacts.arrays_of(files))) as folder:
        widest = sorted(independent, key=lambda pair: pair.cell.width, reverse=True)  # which take longest, first
        firsts = {f"{pair.cell.name}, reordered": pair for pair in reversed(independent)}
        named = {pair.id: ("another", pair) for pair in widest}
        named |= {name: ("itself", pair) for name, pair in firsts.items()}
        arguments = {name: (*those, study.hardware, settings, folder) for name, those in named.items()}
        found = tasks.run("matching networks", match_one, arguments, folder, study.tasks, study.hardware)
        files = [paths.permutation(pair.id, method) for pair in independent for method in settings.methods]
        artifacts.publish(paths.PERMUTATIONS, {file: folder / file for file in files})
        artifacts.write_json(paths.results("permute"), [row for pair in independent for row in found[pair.id]])
        artifacts.write_json(paths.results("planted"), [row for name in reversed(firsts) for row in found[name]])


def match_one(whom: str, pair: Pair, hardware: Hardware, settings: Permute, folder: Path) -> list[dict]:
    """The pair's networks, or its first with itself: tasks of one run, so that no core waits for the others."""
    return planted(pair, hardware, settings) if whom == "itself" else matched(pair, hardware, settings, folder)


def matched(pair: Pair, hardware: Hardware, settings: Permute, folder: Path) -> list[dict]:
    """Match the pair by every method: a row each, and the permutations in files below the folder."""
    problem = posed(pair, (pair.a, pair.b), hardware, settings)
    symmetry, (a, b) = problem.symmetry, problem.states
    print(f"{pair.id}: {summary(symmetry, a)}", flush=True)
    rows = []
    for method, found in match(problem).items():
        permutation = {name: entries.numpy() for name, entries in found.permutation.items()}
        artifacts.write_arrays(folder / paths.permutation(pair.id, method), permutation)
        before, after = (objective(symmetry, a, b, of) for of in (identity(symmetry), found.permutation))
        reached = {"before": found.before, "after": found.after, "weights_before": before, "weights_after": after}
        rows.append(pair.row(method) | {"objective": METHODS[method].maximises} | reached)
    return rows


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
