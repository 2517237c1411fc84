"""The cluster-and-linear-probe test: recover the fine labels from the coarse network's features, and use them.

The probe always reads the coarse network's features; the controls cluster the pixels and an untrained network's
features instead. Fine labels of training samples only name clusters, those of test samples only score.
"""

import numpy as np
import torch

from hidden_structure.collapse.metrics import class_distances
from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.sections import Cluster, Section, Seed, Some, Train
from hidden_structure.recovery.clustering import reduce_within
from hidden_structure.recovery.recovery import Merged, cluster_and_probe, probe_accuracy


class Reads(Section):
    cluster: Cluster
    seeds: Some[Seed]
    train: Train | None


@one_line_errors
@alone("cluster")
def main() -> None:
    study = params.load(reads=Reads)
    if study.train is None:
        artifacts.write_json(paths.results("cluster"), None)
        artifacts.clear(paths.CLUSTERS)
        return
    settings = study.cluster
    fine, coarse = artifacts.read_both_labels()
    merged = Merged(fine["train"], coarse["train"], fine["test"], coarse["coarse_of"], coarse["names"].tolist())
    images = artifacts.read_arrays(paths.DATA, paths.IMAGES)["train_images"]
    pixels = images.reshape(len(images), -1).astype(np.float32) / 255

    held = {f"{split}/penultimate": len(fine[split]) for split in ("train", "test")}

    rows, oracle, distances, arrays = [], [], [], {}
    for seed in study.seeds:
        stored = {n: artifacts.read_tensors(paths.features(n, seed), held) for n in ("coarse", "untrained")}
        probed = [stored["coarse"][f"{split}/penultimate"] for split in ("train", "test")]
        sources = {name: tensors["train/penultimate"].numpy() for name, tensors in stored.items()} | {"pixels": pixels}

        arrays[seed] = {}
        for source in ("coarse", "pixels", "untrained"):
            for reducer in settings.reducers:
                found = cluster_and_probe(sources[source], *probed, merged, settings, reducer, source, seed)
                if (source, reducer) == ("coarse", "tsne"):
                    arrays[seed]["map"] = found.points.astype(np.float32)
                arrays[seed][f"recovered/{source}/{reducer}"] = found.recovered
                row = {"seed": seed, "source": source, "reducer": reducer} | found.row
                rows.append(row)
                shown = ("seed", "source", "reducer", "agreement", "probe_accuracy")
                print({key: row[key] for key in shown}, flush=True)
        if "map" not in arrays[seed]:
            flat = reduce_within(sources["coarse"], merged.coarse, "pca", settings.perplexity, 2, "coarse", seed)
            arrays[seed]["map"] = flat.astype(np.float32)
        oracle.append({"seed": seed, "probe_accuracy": probe_accuracy(merged.fine, *probed, merged, settings.l2)})
        distances.append(class_distances(probed[0], torch.from_numpy(merged.fine), len(merged.coarse_of)))

    artifacts.clear(paths.CLUSTERS)
    for seed in study.seeds:
        artifacts.write_arrays(paths.clusters(seed), arrays[seed])
    matrix = torch.stack(distances).mean(0).tolist()
    result = {"rows": rows, "oracle": oracle}
    result["class_distances"] = {"names": fine["names"].tolist(), "matrix": matrix}
    artifacts.write_json(paths.results("cluster"), result)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
