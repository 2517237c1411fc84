"""What the pieces that students were taught mean, and what their own features keep of the original classes."""

from itertools import chain, product

import numpy as np
import sklearn.decomposition
import sklearn.metrics  # noqa: F401
import torch

from hidden_structure.distillation.keeping import keeps
from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.distilling import Distill
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.machine import processors
from hidden_structure.frame.section import Section, only
from hidden_structure.frame.sections import Cluster, Hardware, Tasks
from hidden_structure.frame.tasks import run
from hidden_structure.frame.workplace import workplace
from hidden_structure.training.device import compute_deterministically, describe


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
        rows = list(run("students", compare, tasks, folder, study.tasks, processors(study.hardware)).values())
        artifacts.write_json(paths.results("students"), {"rows": rows})


def compare(method: str, teacher: int, seed: int, components: int, restarts: int, l2: float | None) -> dict:
    """What one student keeps."""
    labels, coarse_of, file = artifacts.read_labels("fine"), coarse_classes(), paths.student(method, teacher, seed)
    fine, names = labels["train"], ("student", method, teacher, seed)
    with artifacts.content_of([paths.results("distill")]):
        coarse = coarse_of[fine]
    held = {"train": len(fine), "test": len(labels["test"]), "pieces": len(fine)}
    tensors = artifacts.read_tensors(file, held)
    with artifacts.content_of([file]):
        kept = keeps(tensors, labels, coarse, coarse_of, components, restarts, l2, names)
    return {"method": method, "teacher": teacher, "seed": seed} | kept


def coarse_classes() -> np.ndarray:
    """int64 (C,), that of each class in the merge of the teachers."""
    with artifacts.content_of([file := paths.results("distill")]):
        return np.array(artifacts.read_json(file, dict)["coarse_of"], np.int64)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
