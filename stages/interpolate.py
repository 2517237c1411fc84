"""Walk the lines between networks, plain and repaired, and one plane: loss and accuracy at every point."""

from dataclasses import replace

import torch

from hidden_structure.connectivity import line as connectivity
from hidden_structure.connectivity.pairing import Reader, aligned_pairs, named, repair_images
from hidden_structure.connectivity.repair import has_batch_norm, repairer
from hidden_structure.connectivity.spawning import Pair
from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.progress import track
from hidden_structure.frame.sections import Hardware, Interpolate, Permute, Section, Spawn
from hidden_structure.seeding import torch_generator
from hidden_structure.training.inputs import read


class Reads(Section):
    hardware: Hardware
    interpolate: Interpolate | None
    permute: Permute | None
    spawn: Spawn | None


@one_line_errors
@alone("interpolate")
def main() -> None:
    study = params.load(reads=Reads)
    if study.spawn is None:
        artifacts.write_json(paths.results("interpolate"), [])
        artifacts.write_json(paths.results("plane"), None)
        return
    inputs, settings = read(study.hardware), study.interpolate
    train, precision, reader = inputs.images["train"], inputs.precision, Reader(study, inputs)
    order = torch.randperm(len(train.pixels), generator=torch_generator("interpolate"))

    def first(samples: int | None) -> connectivity.Split:
        chosen = order[:samples].to(inputs.device)
        return replace(train, pixels=train.pixels[chosen]), inputs.targets("train")[chosen]

    splits = {"train": first(settings.train_samples), "test": (inputs.images["test"], inputs.targets("test"))}
    images = repair_images(study, train, settings.repair_samples)

    def line(pair: Pair, method: str, repaired: bool) -> dict:
        network, (a, b) = reader.networks[pair.cell.name], reader.states(pair, method)
        points = connectivity.alphas(settings.permuted_points if pair.k is None else settings.spawned_points)
        with named(pair, method):
            repair = repairer(network, a, b, images, precision) if repaired else None
            found = connectivity.along_line(network, a, b, points, splits, precision, repair)
        return pair.row(method) | {"repaired": repaired} | found | connectivity.heights(found)

    def plane(pair: Pair, method: str) -> dict | None:
        network, (a, b), (_, c) = reader.networks[pair.cell.name], *(reader.states(pair, m) for m in ("none", method))
        if all(torch.equal(tensor, c[name]) for name, tensor in b.items()):  # two networks span no plane
            return None
        repair = repairer(network, a, b, images, precision) if has_batch_norm(network) else None
        found = connectivity.plane(a, b, c, [name for name, _ in network.named_parameters()], settings.plane_points)
        losses = connectivity.over_plane(network, found, splits["train"], precision, repair)
        row = {"seeds": [pair.a[0], pair.b[0]], "method": method, "repaired": repair is not None}
        return row | {"networks": found.networks.tolist(), "x": found.x, "y": found.y, "train_loss": losses}

    every = aligned_pairs(study)
    lines = track([(*one, repaired) for one in every for repaired in (False, True)], "lines between networks")
    permuted = [one for one in every if one[1] != "none"]
    artifacts.write_json(paths.results("interpolate"), [line(*one) for one in lines])
    artifacts.write_json(paths.results("plane"), plane(*permuted[0]) if permuted else None)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
