"""Match the units of independently trained networks: a permutation for each pair and method."""

from dataclasses import replace

import torch

from hidden_structure.connectivity.spawning import pairs
from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.progress import track
from hidden_structure.frame.sections import Hardware, Permute, Section, Spawn
from hidden_structure.networks.weights import load_state
from hidden_structure.permutation.coverage import summary, unread
from hidden_structure.permutation.matching import Problem, match
from hidden_structure.permutation.methods import METHODS
from hidden_structure.permutation.permuting import identity
from hidden_structure.permutation.symmetry import derive
from hidden_structure.permutation.weight_matching import objective
from hidden_structure.seeding import torch_generator
from hidden_structure.training.batches import evaluation_batches
from hidden_structure.training.inputs import read


class Reads(Section):
    hardware: Hardware
    permute: Permute | None
    spawn: Spawn | None


@one_line_errors
@alone("permute")
def main() -> None:
    study = params.load(reads=Reads)
    if study.spawn is None:
        artifacts.clear(paths.PERMUTATIONS)
        artifacts.write_json(paths.results("permute"), [])
        return
    inputs = read(study.hardware)
    train, device, precision = inputs.images["train"], inputs.device, inputs.precision
    chosen = torch.randperm(len(train.pixels), generator=torch_generator("permute"))[: study.permute.samples].to(device)
    images, targets = replace(train, pixels=train.pixels[chosen]), inputs.targets("train")[chosen]

    rows, permutations, symmetries = [], {}, {}
    independent = [pair for pair in pairs(study) if pair.k is None and study.permute.methods]
    for pair in track(independent, "matching pairs"):
        networks = []
        for seed, name in (pair.a, pair.b):
            network = inputs.build(pair.cell.network).to(device)
            load_state(network, artifacts.read_state(paths.spawned(pair.cell.name, seed, name), network))
            networks.append(network)
        a, b = (network.state_dict() for network in networks)
        if pair.cell.name not in symmetries:  # which are of the architecture, whatever the weights are
            symmetries[pair.cell.name] = derive(networks[0], next(evaluation_batches(images, 2)))
        symmetry, seeds = symmetries[pair.cell.name], (pair.a[0], pair.b[0])
        print(f"{pair.cell.name}, {seeds}: {summary(symmetry, a)}", flush=True)
        if unread(symmetry):
            print(f"{pair.cell.name}: activations leave {', '.join(unread(symmetry))} in place, which nothing reads")
        problem = Problem(symmetry, networks, images, targets, study.permute, precision, seeds)
        for method, matched in match(problem).items():
            file = paths.permutation(pair.id, method)
            permutations[file] = {name: entries.numpy() for name, entries in matched.permutation.items()}
            weights = [objective(symmetry, a, b, of) for of in (identity(symmetry), matched.permutation)]
            rows.append(
                pair.row(method)
                | {"objective": METHODS[method].maximises, "before": matched.before, "after": matched.after}
                | {"weights_before": weights[0], "weights_after": weights[1]}
            )
    artifacts.clear(paths.PERMUTATIONS)
    for file, permutation in permutations.items():
        artifacts.write_arrays(file, permutation)
    artifacts.write_json(paths.results("permute"), rows)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
