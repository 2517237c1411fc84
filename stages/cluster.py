"""The cluster-and-linear-probe test: recover the fine labels from the coarse network's features, and use them.

The probe always reads the coarse network's features; the controls cluster the pixels and an untrained network's
features instead. Fine labels of training samples only name clusters, those of test samples only score.
"""

import numpy as np
import torch

from hidden_structure import artifacts, params, paths, probing
from hidden_structure.clustering import recover, reduce_within, scores, scores_within
from hidden_structure.collapse import class_distances
from hidden_structure.errors import one_line_errors


@one_line_errors
def main() -> None:
    study = params.load()
    settings = study.cluster
    labels = {s: artifacts.read_arrays(paths.labels(s)) for s in paths.SUPERVISIONS}
    fine, coarse, coarse_of = labels["fine"]["train"], labels["coarse"]["train"], labels["coarse"]["coarse_of"]
    names, classes = labels["coarse"]["names"].tolist(), len(labels["fine"]["names"])
    test_fine = torch.from_numpy(labels["fine"]["test"])
    images = artifacts.read_arrays(paths.DATA)["train_images"]
    pixels = images.reshape(len(images), -1).astype(np.float32) / 255

    rows, oracle, distances, arrays = [], [], [], {}
    for seed in study.seeds:
        stored = {name: artifacts.read_tensors(paths.features(name, seed)) for name in ("coarse", "untrained")}
        train, test = (stored["coarse"][f"{split}/penultimate"] for split in ("train", "test"))
        sources = {name: tensors["train/penultimate"].numpy() for name, tensors in stored.items()} | {"pixels": pixels}

        def probe_accuracy(recovered: np.ndarray, train: torch.Tensor = train, test: torch.Tensor = test) -> float:
            probe = probing.fit(train, torch.from_numpy(recovered), classes, settings.l2)
            return probing.accuracy(probe, test, test_fine)

        def points(source: str, method: str, components: int, seed: int = seed, sources: dict = sources) -> np.ndarray:
            return reduce_within(sources[source], coarse, method, settings.perplexity, components, source, seed)

        arrays[seed] = {}
        for source in ("coarse", "pixels", "untrained"):
            for reducer in settings.reducers:
                reduced = points(source, reducer, settings.components)
                if (source, reducer) == ("coarse", "tsne"):
                    arrays[seed]["map"] = reduced.astype(np.float32)
                recovered = recover(reduced, fine, coarse, coarse_of, settings.restarts, source, reducer, seed)
                arrays[seed][f"recovered/{source}/{reducer}"] = recovered
                row = {"seed": seed, "source": source, "reducer": reducer} | scores(recovered, fine)
                row["probe_accuracy"] = probe_accuracy(recovered)
                rows.append(row | {"superclasses": scores_within(recovered, fine, coarse, names)})
                shown = ("seed", "source", "reducer", "agreement", "probe_accuracy")
                print({key: row[key] for key in shown}, flush=True)
        if "map" not in arrays[seed]:
            arrays[seed]["map"] = points("coarse", "pca", 2).astype(np.float32)
        oracle.append({"seed": seed, "probe_accuracy": probe_accuracy(fine)})
        distances.append(class_distances(train, torch.from_numpy(fine), classes))

    for seed in study.seeds:
        artifacts.write_arrays(paths.clusters(seed), arrays[seed])
    matrix = torch.stack(distances).mean(0).tolist()
    result = {"rows": rows, "oracle": oracle}
    result["class_distances"] = {"names": labels["fine"]["names"].tolist(), "matrix": matrix}
    artifacts.write_json(paths.metrics(study.study, "cluster"), result)


if __name__ == "__main__":
    main()
