"""How well the original classes are recovered from the network of every merge, and how alike the merged classes are.

Measured as `cluster` does for the study's own merge, by its first reducer. Fine labels also say how alike classes are.
"""

from collections.abc import Iterator

import numpy as np
import torch

from hidden_structure.datasets.labels import bits_per_sample, class_counts, merge, merge_name, tables
from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.progress import track
from hidden_structure.frame.sections import Cluster, Merges, Network, Section, Seed, Some
from hidden_structure.merges.likeness import likeness, similarities
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
    images = data["train_images"]
    alike = similarities(images, networks(study, images.shape[1:], fine), fine, len(names))
    runs = [(kind, seed) for kind in study.merges.kinds for seed in study.merges.seeds]
    for kind, seed in track(runs, "merges"):
        name = merge_name(kind)
        made = merge(kind, names, found_tables)
        coarse_of, coarse_names = made.coarse_of, list(made.coarse_names)
        merged = Merged(fine["train"], coarse_of[fine["train"]], fine["test"], coarse_of, coarse_names)
        stored = artifacts.read_tensors(paths.merged_features(name, seed), sizes)
        probed = stored["train"], stored["test"]
        found = cluster_and_probe(probed[0].numpy(), *probed, merged, settings, reducer, name, seed)
        for group, scores in enumerate(found.row["superclasses"].values()):
            scores["members"] = [names[member] for member in np.flatnonzero(coarse_of == group)]
            scores["estimated"] = estimate(found.points[merged.coarse == group], name, seed, group)
            scores |= likeness(alike, coarse_of, group, scores["agreement"])
        own = {"name": name, "method": kind.method, "classes": len(coarse_names), "seed": seed}
        own["bits"] = bits_per_sample(class_counts(merged.coarse, len(coarse_names)))
        rows.append(own | {"oracle_accuracy": probe_accuracy(merged.fine, *probed, merged, settings.l2)} | found.row)
        print(name, {"seed": seed} | {key: rows[-1][key] for key in ("agreement", "probe_accuracy")}, flush=True)
    fine_bits = bits_per_sample(class_counts(fine["train"], len(names)))
    artifacts.write_json(paths.results("merges"), {"fine_bits": fine_bits, "rows": rows})


def networks(study: Reads, shape: tuple, fine: dict[str, np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of every network on fine labels: its features of the training samples, its logits of the test samples."""
    network = build(study.network, shape, len(fine["names"]))
    held = {f"{split}/penultimate": len(fine[split]) for split in ("train", "test")}
    for seed in study.seeds:
        stored = artifacts.read_tensors(paths.features("fine", seed), held)
        load_state(network, artifacts.read_state(paths.model("fine", seed), network))
        with torch.no_grad():
            yield stored["train/penultimate"].numpy(), head(network)(stored["test/penultimate"]).numpy()


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
