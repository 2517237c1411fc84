"""What the pieces that students were taught mean, and what their own features keep of the original classes."""

from itertools import chain, product

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
from hidden_structure.recovery import probing
from hidden_structure.recovery.clustering import information_within, recover, reduce_within, scores
from hidden_structure.training.device import compute_deterministically, describe

REDUCER = "pca"  # for students are many: t-SNE of every one would take longer than to train it


class Reads(Section):
    cluster: only(Cluster, "components", "l2", "restarts")
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
    students = list(product(settings.methods, settings.teachers, settings.seeds))
    read = *artifacts.read_labels("fine").values(), coarse_classes()
    files = (paths.student(*student) for student in students)
    with workplace("compare-students", described, chain(read, artifacts.arrays_of(files))) as folder:
        cut = study.cluster.components, study.cluster.restarts, study.cluster.l2
        tasks = {"{}, teacher {}, student {}".format(*student): (*student, *cut) for student in students}
        rows = list(run("students", compare, tasks, folder, study.tasks, study.hardware).values())
        artifacts.write_json(paths.results("students"), {"rows": rows})


def compare(method: str, teacher: int, seed: int, components: int, restarts: int, l2: float) -> dict:
    """Of one student: scores of clusters of its features inside each class, and `information`, the adjusted mutual one
    of these with the original classes; that of the `pieces` that it was taught; and `probe_accuracy`, of a linear layer
    on its features that is trained on the original labels, on those of the test set."""
    labels, coarse_of = artifacts.read_labels("fine"), coarse_classes()
    fine, names = labels["train"], ("student", method, teacher, seed)
    with artifacts.content_of([paths.results("distill")]):
        coarse = coarse_of[fine]
    held = {"train": len(fine), "test": len(labels["test"]), "pieces": len(fine)}
    tensors = artifacts.read_tensors(paths.student(method, teacher, seed), held)
    with artifacts.content_of([paths.student(method, teacher, seed)]):
        taught = information_within(tensors["pieces"].numpy(), fine, coarse)
    points = reduce_within(tensors["train"].numpy(), coarse, REDUCER, 0.0, components, *names)  # no perplexity
    recovered = recover(points, fine, coarse, coarse_of, restarts, *names)
    probe = probing.fit(tensors["train"], torch.from_numpy(fine), len(coarse_of), l2)
    told = probing.accuracy(probe, tensors["test"], torch.from_numpy(labels["test"]))
    own = {"information": information_within(recovered, fine, coarse), "pieces": taught, "probe_accuracy": told}
    return {"method": method, "teacher": teacher, "seed": seed} | scores(recovered, fine) | own


def coarse_classes() -> np.ndarray:
    """int64 (C,), that of each class in the merge of the teachers."""
    with artifacts.content_of([file := paths.results("distill")]):
        return np.array(artifacts.read_json(file, dict)["coarse_of"], np.int64)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
