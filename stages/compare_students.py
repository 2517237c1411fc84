"""What the pieces that students were taught mean, and what their own features keep of the original classes."""

from itertools import chain

import numpy as np
import sklearn.decomposition
import sklearn.metrics  # noqa: F401
import torch

from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.distilling import Distill
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section, only
from hidden_structure.frame.sections import Cluster, Hardware, Tasks
from hidden_structure.frame.tasks import run
from hidden_structure.frame.workplace import workplace
from hidden_structure.recovery.clustering import information_within, recover, reduce_within, scores
from hidden_structure.training.device import compute_deterministically, describe

REDUCER = "pca"  # for students are many: t-SNE of every one would take longer than to train it


class Reads(Section):
    cluster: only(Cluster, "components", "restarts")
    distill: Distill | None
    hardware: Hardware
    tasks: Tasks


@one_line_errors
@alone("compare-students")
def main() -> None:
    study = params.load(reads=Reads)
    settings = study.distill
    if settings is None:
        artifacts.write_json(paths.results("students"), None)
        return
    compute_deterministically(study.hardware.threads)
    described = {"cluster": study.cluster.model_dump()} | describe(torch.device("cpu"), torch.float32, 1)
    students = [paths.student(method, seed) for method in settings.methods for seed in settings.seeds]
    labels = artifacts.read_labels("fine")["train"], coarse_classes()
    with workplace("compare-students", described, chain(labels, artifacts.arrays_of(students))) as folder:
        cut = study.cluster.components, study.cluster.restarts
        tasks = {method: (method, settings.seeds, *cut) for method in settings.methods}
        found = run("students", compare, tasks, folder, study.tasks, study.hardware)
        pieces = [{"method": method, "ami": found[method]["ami"]} for method in settings.methods]
        rows = [row for method in settings.methods for row in found[method]["rows"]]
        artifacts.write_json(paths.results("students"), {"pieces": pieces, "rows": rows})


def compare(method: str, seeds: list[int], components: int, restarts: int) -> dict:
    """Of the students of one method: `rows` of scores by seed, and the `ami` of the first one's pieces."""
    fine, coarse_of = artifacts.read_labels("fine")["train"], coarse_classes()
    with artifacts.content_of([paths.results("distill")]):
        coarse = coarse_of[fine]
    rows, information = [], []
    for seed in seeds:
        tensors, names = artifacts.read_tensors(paths.student(method, seed)), ("student", method, seed)
        with artifacts.content_of([paths.student(method, seed)]):
            pieces, features = tensors["pieces"].numpy(), tensors["train"].numpy()
            information.append(information_within(pieces, fine, coarse))
        points = reduce_within(features, coarse, REDUCER, 0.0, components, *names)  # no perplexity
        recovered = recover(points, fine, coarse, coarse_of, restarts, *names)
        rows.append({"method": method, "seed": seed} | scores(recovered, fine))
    return {"rows": rows, "ami": information[0]}


def coarse_classes() -> np.ndarray:
    """int64 (C,), that of each class in the merge of the teacher."""
    with artifacts.content_of([file := paths.results("distill")]):
        return np.array(artifacts.read_json(file, dict)["coarse_of"], np.int64)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
