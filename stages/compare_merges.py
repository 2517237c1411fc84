"""How well the original classes are recovered from the network of every merge, and how alike the merged classes are.

Everything is measured as `cluster` does for the study's own merge, by its first reducer. Fine labels of training
samples also say how alike two classes are; those of test samples otherwise only score.
"""

import numpy as np
import torch

from hidden_structure.datasets.labels import bits_per_sample, class_counts, merge, merge_name, tables
from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.progress import track
from hidden_structure.frame.sections import Cluster, Merges, Network, Section, Seed, Some
from hidden_structure.merges.likeness import above_chance, confusion, similarity_of_means, within
from hidden_structure.networks.build import build
from hidden_structure.networks.features import head
from hidden_structure.networks.weights import load_state
from hidden_structure.recovery.count import estimate
from hidden_structure.recovery.recovery import Merged, cluster_and_probe, probe_accuracy


class Reads(Section):
    cluster: Cluster
    merges: Merges | None
    network: Network
    seeds: Some[Seed]


@one_line_errors
@alone("compare-merges")
def main() -> None:
    study = params.load(reads=Reads)
    if study.merges is None:
        artifacts.write_json(paths.results("merges"), None)
        return
    settings, reducer, rows = study.cluster, study.cluster.reducers[0], []
    data, fine = artifacts.read_arrays(paths.DATA, paths.IMAGES), artifacts.read_labels("fine")
    names, sizes = tuple(fine["names"].tolist()), {split: len(fine[split]) for split in ("train", "test")}
    with artifacts.content_of([paths.DATA]):
        found_tables = tables(data)
    alike = similarities(study, data["train_images"], fine)

    runs = [(kind, seed) for kind in study.merges.kinds for seed in study.merges.seeds]
    for kind, seed in track(runs, "merges"):
        name = merge_name(kind)
        made = merge(kind, names, found_tables)
        coarse_of, coarse_names = made.coarse_of, list(made.coarse_names)
        merged = Merged(fine["train"], coarse_of[fine["train"]], fine["test"], coarse_of, coarse_names)
        stored = artifacts.read_tensors(paths.merged_features(name, seed), sizes)
        probed = stored["train"], stored["test"]
        found = cluster_and_probe(probed[0].numpy(), *probed, merged, settings, reducer, name, seed)

        within_each = {name: within(matrix, coarse_of) for name, matrix in alike.items()}
        for group, scores in enumerate(found.row["superclasses"].values()):
            members = np.flatnonzero(coarse_of == group)
            scores["members"] = [names[member] for member in members]
            scores["estimated"] = estimate(found.points[merged.coarse == group], name, seed, group)
            if len(members) > 1:
                scores["score"] = above_chance(scores["agreement"], len(members))
                scores["similarity"] = {name: own[group] for name, own in within_each.items()}
        own = {"name": name, "method": kind.method, "classes": len(coarse_names), "seed": seed}
        own["bits"] = bits_per_sample(class_counts(merged.coarse, len(coarse_names)))
        own["oracle_accuracy"] = probe_accuracy(merged.fine, *probed, merged, settings.l2)
        rows.append(own | found.row)
        shown = ("agreement", "probe_accuracy", "oracle_accuracy")
        print(own["name"], {"seed": seed} | {name: rows[-1][name] for name in shown}, flush=True)

    fine_bits = bits_per_sample(class_counts(fine["train"], len(names)))
    artifacts.write_json(paths.results("merges"), {"fine_bits": fine_bits, "rows": rows})


def similarities(study: params.Study, images: np.ndarray, fine: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Of every two classes, float64 (C, C): in pixels, and in the fine network, on average over its seeds."""
    classes = len(fine["names"])
    network = build(study.network, images.shape[1:], classes)
    features, confusions = [], []
    for seed in study.seeds:
        held = {f"{split}/penultimate": len(fine[split]) for split in ("train", "test")}
        stored = artifacts.read_tensors(paths.features("fine", seed), held)
        load_state(network, artifacts.read_state(paths.model("fine", seed), network))
        with torch.no_grad():
            logits = head(network)(stored["test/penultimate"])
        features.append(similarity_of_means(stored["train/penultimate"].numpy(), fine["train"], classes))
        confusions.append(confusion(logits.numpy(), fine["test"]))
    pixels = similarity_of_means(images, fine["train"], classes)
    return {"pixels": pixels, "features": np.mean(features, 0), "confusion": np.mean(confusions, 0)}


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
