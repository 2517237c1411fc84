"""Match the units of independently trained networks: a permutation for each pair and method, and one that is known."""

from hidden_structure.connectivity.matched import files_of, match_one
from hidden_structure.connectivity.pairing import digest
from hidden_structure.connectivity.spawning import LISTED, pairs
from hidden_structure.frame import artifacts, command, params, paths, tasks
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Hardware, Permute, Tasks
from hidden_structure.frame.workplace import workplace
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
    described = study.model_dump(include={"permute", "spawn"}, exclude={"spawn": LISTED})
    described |= describe(inputs.device, inputs.precision, 1)
    with workplace("permute", described, inputs.arrays, study.tasks.keep) as folder:
        widest = sorted(independent, key=lambda pair: pair.cell.width, reverse=True)  # which take longest, first
        # Tasks are named after their networks, so that each depends on no other pair.
        names = {pair.id: f"{pair.id} ({digest(pair, (pair.a, pair.b))})" for pair in independent}
        firsts = {pair.cell.name: pair for pair in reversed(independent)}
        itself = {f"{cell}, reordered ({digest(pair, [pair.a])})": pair for cell, pair in firsts.items()}
        named = {names[pair.id]: ("another", pair) for pair in widest}
        named |= {name: ("itself", pair) for name, pair in itself.items()}
        arguments = {name: (*those, study.hardware, settings, folder / name) for name, those in named.items()}
        found = tasks.run("matching networks", match_one, arguments, folder, study.tasks, study.hardware)
        files = {file: folder / names[pair.id] / file for pair in independent for file in files_of(pair, settings)}
        artifacts.publish(paths.PERMUTATIONS, files)
        of_pairs, of_planted = ([found[name] for name in each] for each in (names.values(), reversed(itself)))
        artifacts.write_json(paths.results("permute"), [row for rows in of_pairs for row in rows])
        artifacts.write_json(paths.results("planted"), [row for rows in of_planted for row in rows])


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
