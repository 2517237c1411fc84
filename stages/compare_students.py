"""What the pieces that students were taught mean, and what their own features keep of the original classes."""

import numpy as np

from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.progress import track
from hidden_structure.frame.sections import Cluster, Distill, Section, only
from hidden_structure.recovery.clustering import information_within, recover, reduce_within, scores

REDUCER = "pca"  # for students are many: t-SNE of every one would take longer than to train it


class Reads(Section):
    cluster: only(Cluster, "components", "restarts")
    distill: Distill | None


@one_line_errors
@alone("compare-students")
def main() -> None:
    study = params.load(reads=Reads)
    settings, cluster, found = study.distill, study.cluster, None
    if settings:
        labels, trained = artifacts.read_labels("fine"), paths.results("distill")
        fine, sizes = labels["train"], {split: len(labels[split]) for split in ("train", "test")}
        with artifacts.content_of([trained]):
            coarse_of = np.array(artifacts.read_json(trained, dict)["coarse_of"], np.int64)
            coarse = coarse_of[fine]
        found = {"pieces": [], "rows": []}
        students = [(method, seed) for method in settings.methods for seed in settings.seeds]
        for method, seed in track(students, "students"):
            tensors = artifacts.read_tensors(paths.student(method, seed), sizes | {"pieces": len(fine)})
            names = "student", method, seed
            features = tensors["train"].numpy()
            points = reduce_within(features, coarse, REDUCER, 0.0, cluster.components, *names)  # no perplexity
            recovered = recover(points, fine, coarse, coarse_of, cluster.restarts, *names)
            found["rows"].append({"method": method, "seed": seed} | scores(recovered, fine))
            if seed == settings.seeds[0]:
                found["pieces"].append(
                    {"method": method} | {"ami": information_within(tensors["pieces"].numpy(), fine, coarse)}
                )
    artifacts.write_json(paths.results("students"), found)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
