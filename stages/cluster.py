"""The cluster-and-linear-probe test: recover the fine labels from the coarse network's features, and use them."""

from itertools import chain

import numpy as np
import torch

from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.machine import processors
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Cluster, Hardware, Memorised, Seed, Some, Tasks, Train
from hidden_structure.frame.tasks import run
from hidden_structure.frame.workplace import workplace
from hidden_structure.recovery import controls
from hidden_structure.training.device import compute_deterministically, describe


class Reads(Section):
    cluster: Cluster
    hardware: Hardware
    memorised: Memorised | None
    seeds: Some[Seed]
    tasks: Tasks
    train: Train | None


@one_line_errors
@alone("cluster")
def main() -> None:
    study = params.load(reads=Reads)
    if study.train is None:
        artifacts.write_json(paths.results("cluster"), None)
        artifacts.clear(paths.CLUSTERS)
        return
    settings, seeds, computing = study.cluster, study.seeds, (study.tasks, processors(study.hardware))
    ways = controls.ways(settings, study.memorised)
    compute_deterministically(study.hardware.threads)
    fine, coarse = artifacts.read_both_labels()
    images = artifacts.read_arrays(paths.DATA, paths.IMAGES)["train_images"]
    described = {"cluster": settings.model_dump()} | describe(torch.device("cpu"), torch.float32, 1)
    arrays = chain([images, *fine.values(), *coarse.values()], artifacts.arrays_of(controls.files(ways, seeds)))
    with workplace("cluster", described, arrays) as folder:
        every = [(source, reducer, seed) for seed in seeds for source, reducer in ways]
        first, named = seeds[0], {one: "{} by {}, seed {}".format(*one) for one in every}
        again = {one for one in every if one[0] == controls.PIXELS and one[2] != first}  # no network changes these
        maps = {
            f"t-SNE of {source}, seed {seed}, super-class {group}": (folder, settings, source, seed, int(group))
            for source, reducer, seed in every
            if reducer == "tsne" and (source, reducer, seed) not in again
            for group in np.unique(coarse["train"])
        }
        run("t-SNE", controls.draw_map, maps, folder, *computing)
        recoveries = {named[one]: (folder, settings, *one) for one in every if one not in again}
        found = run("recovery", controls.recover, recoveries, folder, *computing)
        repeated = {named[one]: (folder, settings, first, *one[1:]) for one in every if one in again}
        found |= run("recovery, pixels", controls.read_again, repeated, folder, *computing)
        rows = [found[name] for name in named.values()]
        oracles = {f"fine labels, seed {seed}": (settings, seed) for seed in seeds}
        compared = list(run("fine labels", controls.compare, oracles, folder, *computing).values())
        own = {f"own features, seed {seed}": (settings, controls.MEMORISED, seed) for seed in seeds if study.memorised}
        read = list(run("own features", controls.oracle, own, folder, *computing).values())

        artifacts.clear(paths.CLUSTERS)
        for seed in seeds:
            artifacts.write_arrays(paths.clusters(seed), controls.collect(folder, settings, ways, seed))
        matrix = torch.tensor([each["distances"] for each in compared], dtype=torch.float64).mean(0).tolist()
        result = {"rows": rows, "oracle": [each["oracle"] for each in compared]}
        if study.memorised:
            result["memorised"] = read
        result["class_distances"] = {"names": fine["names"].tolist(), "matrix": matrix}
        artifacts.write_json(paths.results("cluster"), result)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
