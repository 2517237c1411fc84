"""Walk the lines between networks, plain and repaired, and one plane: loss and accuracy at every point."""

from dataclasses import replace

import torch

from hidden_structure import artifacts, connectivity, params, paths
from hidden_structure.batches import augmented, on_device
from hidden_structure.device import compute_deterministically, pick_device, pick_precision
from hidden_structure.errors import InputError, one_line_errors
from hidden_structure.networks.build import build
from hidden_structure.permutation.permuting import apply
from hidden_structure.permutation.symmetry import derive
from hidden_structure.progress import track
from hidden_structure.repair import has_batch_norm, repairer
from hidden_structure.seeding import torch_generator
from hidden_structure.spawning import Pair, cells, pairs


@one_line_errors
def main() -> None:
    study = params.load()
    compute_deterministically()
    device = pick_device(study.hardware)
    precision = pick_precision(study.hardware, device)
    data, labels = artifacts.read_arrays(paths.DATA), artifacts.read_arrays(paths.labels("fine"))
    train, test = (on_device(data[f"{split}_images"], data["mean"], data["std"], device) for split in ("train", "test"))
    targets = {split: torch.from_numpy(labels[split]).to(device) for split in ("train", "test")}
    order, settings = torch.randperm(len(train.pixels), generator=torch_generator("interpolate")), study.interpolate

    def first(samples: int | None) -> connectivity.Split:
        chosen = order[:samples].to(device)
        return replace(train, pixels=train.pixels[chosen]), targets["train"][chosen]

    splits = {"train": first(settings.train_samples), "test": (test, targets["test"])}
    recipe = params.trunk_recipe(study)  # statistics are those of training, black borders of crops included
    images = augmented(first(settings.repair_samples)[0], torch_generator("repair"), recipe.crop, recipe.flip)
    place = {"device": device, "memory_format": torch.preserve_format if device.type == "mps" else torch.channels_last}
    networks = {c.name: build(c.network, test.pixels.shape[1:], len(labels["names"])).to(**place) for c in cells(study)}

    def states(pair: Pair, method: str) -> tuple[connectivity.State, connectivity.State]:
        a, b = (artifacts.read_tensors(paths.spawned(pair.cell.name, *end)) for end in (pair.a, pair.b))
        if method == "none":
            return a, b
        symmetry = derive(networks[pair.cell.name], train.normalise(train.pixels[:2]))
        found = artifacts.read_arrays(paths.permutation(pair.cell.name, pair.a[0], pair.b[0], method))
        return a, apply(symmetry, {name: torch.from_numpy(array) for name, array in found.items()}, b)

    def line(pair: Pair, method: str, repaired: bool) -> dict:
        network, (a, b) = networks[pair.cell.name], states(pair, method)
        points = connectivity.alphas(settings.permuted_points if pair.k is None else settings.spawned_points)
        row = {"kind": "independent" if pair.k is None else "spawned", "k": pair.k, "width": pair.cell.width}
        row |= {"weight_decay": pair.cell.train.weight_decay, "seeds": [pair.a[0], pair.b[0]], "method": method}
        try:
            repair = repairer(network, a, b, images, precision) if repaired else None
            found = connectivity.along_line(network, a, b, points, splits, precision, repair)
        except InputError as error:
            raise InputError(f"{pair.cell.name}, {pair.a} to {pair.b}, permuted by {method}: {error}") from error
        return row | {"repaired": repaired} | found | connectivity.heights(found)

    def plane(pair: Pair, method: str) -> dict | None:
        network, (a, b), (_, c) = networks[pair.cell.name], states(pair, "none"), states(pair, method)
        if all(torch.equal(tensor, c[name]) for name, tensor in b.items()):  # two networks span no plane
            return None
        repair = repairer(network, a, b, images, precision) if has_batch_norm(network) else None
        found = connectivity.plane(a, b, c, [name for name, _ in network.named_parameters()], settings.plane_points)
        losses = connectivity.over_plane(network, found, splits["train"], precision, repair)
        row = {"seeds": [pair.a[0], pair.b[0]], "method": method, "repaired": repair is not None}
        return row | {"networks": found.networks.tolist(), "x": found.x, "y": found.y, "train_loss": losses}

    methods = {True: ("none", *study.permute.methods), False: ("none",)}  # of independent pairs, and of spawned ones
    every = [(pair, method) for pair in pairs(study) for method in methods[pair.k is None]]
    lines = track([(*one, repaired) for one in every for repaired in (False, True)], "lines between networks")
    permuted = [one for one in every if one[1] != "none"]
    artifacts.write_json(paths.metrics(study.study, "interpolate"), [line(*one) for one in lines])
    artifacts.write_json(paths.metrics(study.study, "plane"), plane(*permuted[0]) if permuted else None)


if __name__ == "__main__":
    main()
