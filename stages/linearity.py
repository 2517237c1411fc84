"""Measure how linearly features change along the lines between networks, why, and how well networks stitch."""

from dataclasses import replace

import torch

from hidden_structure.connectivity.pairing import Reader, aligned_pairs, named, repair_images
from hidden_structure.connectivity.repair import repairer
from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.progress import track
from hidden_structure.frame.sections import Hardware, Linearity, Permute, Section, Spawn
from hidden_structure.linearity import layers
from hidden_structure.linearity.stitching import stitch
from hidden_structure.seeding import torch_generator
from hidden_structure.training.inputs import read


class Reads(Section):
    hardware: Hardware
    linearity: Linearity | None
    permute: Permute | None
    spawn: Spawn | None


@one_line_errors
@alone("linearity")
def main() -> None:
    study = params.load(reads=Reads)
    if study.spawn is None:
        for name in ("linearity", "stitch"):
            artifacts.write_json(paths.results(name), [])
        return
    inputs, settings = read(study.hardware), study.linearity
    test, reader = inputs.images["test"], Reader(study, inputs)
    order = torch.randperm(len(test.pixels), generator=torch_generator("linearity"))  # test sets come class by class
    chosen = order[: settings.samples].to(inputs.device)
    split = replace(test, pixels=test.pixels[chosen]), inputs.targets("test")[chosen]
    statistics = repair_images(study, inputs.images["train"], settings.repair_samples)

    lines, stitched = [], []
    for pair, method in track(aligned_pairs(study), "layers of pairs of networks"):
        network, (a, b) = reader.networks[pair.cell.name], reader.states(pair, method)
        row = pair.row(method)
        with named(pair, method):
            for repaired in (False, True):
                repair = repairer(network, a, b, statistics, inputs.precision) if repaired else None
                found = layers.measure(network, a, b, settings.alphas, split, repair)
                lines.append(row | {"repaired": repaired, "alphas": settings.alphas} | found)
            stitched.append(row | stitch(network, a, b, split))
    artifacts.write_json(paths.results("linearity"), lines)
    artifacts.write_json(paths.results("stitch"), stitched)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
