"""Match the units of independently trained networks: a permutation for each pair and method."""

from dataclasses import replace
from pathlib import Path

import torch

from hidden_structure.connectivity.spawning import Pair, pairs
from hidden_structure.frame import artifacts, command, params, paths, tasks
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Hardware, Permute, Tasks
from hidden_structure.frame.workplace import workplace
from hidden_structure.networks.weights import load_state
from hidden_structure.permutation.coverage import summary
from hidden_structure.permutation.matching import Problem, match
from hidden_structure.permutation.methods import METHODS
from hidden_structure.permutation.permuting import identity
from hidden_structure.permutation.symmetry import derive
from hidden_structure.permutation.weight_matching import objective
from hidden_structure.seeding import torch_generator
from hidden_structure.training.batches import evaluation_batches
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
        return
    inputs, settings = read(study.hardware), study.permute
    independent = [pair for pair in pairs(study) if pair.k is None and settings.methods]
    files = [paths.spawned(pair.cell.name, *end) for pair in independent for end in (pair.a, pair.b)]
    described = study.model_dump(include={"permute", "spawn"}) | describe(inputs.device, inputs.precision, 1)
    with workplace("permute", described, (*inputs.arrays, *artifacts.arrays_of(files))) as folder:
        widest = sorted(independent, key=lambda pair: pair.cell.width, reverse=True)  # which take longest, first
        arguments = {pair.id: (pair, study.hardware, settings, folder) for pair in widest}
        found = tasks.run("matching pairs", matched, arguments, folder, study.tasks, study.hardware)
        files = [paths.permutation(pair.id, method) for pair in independent for method in settings.methods]
        artifacts.publish(paths.PERMUTATIONS, {file: folder / file for file in files})
        artifacts.write_json(paths.results("permute"), [row for pair in independent for row in found[pair.id]])


def matched(pair: Pair, hardware: Hardware, settings: Permute, folder: Path) -> list[dict]:
    """Match the pair by every method: a row each, and the permutations in files below the folder."""
    inputs = read(hardware)
    train, networks = inputs.images["train"], [inputs.build(pair.cell.network) for _ in "ab"]
    chosen = torch.randperm(len(train.pixels), generator=torch_generator("permute"))[: settings.samples]
    images, targets = replace(train, pixels=train.pixels[chosen]), inputs.targets("train")[chosen]
    for network, end in zip(networks, (pair.a, pair.b), strict=True):
        load_state(network, artifacts.read_state(paths.spawned(pair.cell.name, *end), network))
    a, b = (network.to(inputs.device).state_dict() for network in networks)
    symmetry = derive(networks[0], next(evaluation_batches(images, 2)))
    print(f"{pair.id}: {summary(symmetry, a)}", flush=True)
    noise = pair.a[0], pair.b[0]
    rows, problem = [], Problem(symmetry, networks, images, targets, settings, inputs.precision, noise)
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
