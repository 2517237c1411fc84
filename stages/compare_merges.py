"""How well the original classes are recovered from the network of every merge, and how alike the merged classes are.

Measured as `cluster` does for the study's own merge, by its first reducer. Fine labels also say how alike classes are.
"""

from itertools import chain

import numpy as np
import torch

from hidden_structure.datasets.labels import merge_name
from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.machine import processors
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Cluster, Hardware, Merges, Network, Seed, Some, Tasks
from hidden_structure.frame.tasks import run
from hidden_structure.frame.workplace import workplace
from hidden_structure.merges.likeness import alike, likeness, recover_merge
from hidden_structure.training.device import compute_deterministically, describe


class Reads(Section):
    cluster: Cluster
    hardware: Hardware
    merges: Merges | None
    network: Network
    seeds: Some[Seed]
    tasks: Tasks


@one_line_errors
@alone("compare-merges")
def main() -> None:
    study = params.load(reads=Reads)
    if study.merges is None:
        artifacts.write_json(paths.results("merges"), None)
        return
    compute_deterministically(study.hardware.threads)
    data, fine = artifacts.read_arrays(paths.DATA, paths.IMAGES), artifacts.read_labels("fine")
    runs = [(kind, seed) for kind in study.merges.kinds for seed in study.merges.seeds]
    files = [paths.model("fine", seed) for seed in study.seeds] + [paths.features("fine", seed) for seed in study.seeds]
    files += [paths.merged_features(merge_name(kind), seed) for kind, seed in runs]
    described = study.model_dump(include={"cluster", "network"}) | describe(torch.device("cpu"), torch.float32, 1)
    arrays = chain(data.values(), fine.values(), artifacts.arrays_of(files))
    with workplace("compare-merges", described, arrays) as folder:
        tasks = {f"{merge_name(kind)}, seed {seed}": (study.cluster, kind, seed) for kind, seed in runs}
        rows = list(run("merges", recover_merge, tasks, folder, study.tasks, processors(study.hardware)).values())
        fine_networks = {"likeness of classes": (study.network, study.seeds)}
        found = run("likeness", alike, fine_networks, folder, study.tasks, processors(study.hardware))
    matrices = {name: np.array(matrix) for name, matrix in found["likeness of classes"].items()}
    names = fine["names"].tolist()
    for row in rows:
        coarse_of = np.array(row.pop("coarse_of"))
        for group, scores in enumerate(row["superclasses"].values()):
            scores["members"] = [names[member] for member in np.flatnonzero(coarse_of == group)]
            scores |= likeness(matrices, coarse_of, group, scores["agreement"])
    artifacts.write_json(paths.results("merges"), {"rows": rows})


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
