"""All methods of distillation on samples of the caller's own: by the steps of the pipeline, without its files.

Teachers learn the few classes that `coarse_of` makes of the original ones, students learn from them, hyper-parameters
are chosen on held-out training samples, and what students keep of the original classes is measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import hidden_structure
from hidden_structure.distillation.keeping import keeps
from hidden_structure.distillation.methods import check_room, check_samples
from hidden_structure.distillation.steps import Plan, distill, student_file
from hidden_structure.distillation.vectors import SPLITS
from hidden_structure.frame import artifacts, params, tasks
from hidden_structure.frame.arrays import array_of
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.workplace import code_of_networks, fingerprint, versions_of_networks
from hidden_structure.networks.build import initialise
from hidden_structure.training.device import compute_deterministically, describe, pick_device, pick_precision
from hidden_structure.training.loop import check_batch, check_sizes

LARGEST = 1e100  # whose squares, of which variances are made, doubles hold


@dataclass(frozen=True, eq=False)
class Samples:
    """inputs: floats (N, d), vectors of features, as they are. labels: int64 (N,), the original classes, which teachers
    and students but those of oracles never see; where nothing is hidden, the classes themselves. Arrays or tensors."""

    inputs: np.ndarray
    labels: np.ndarray


def compare(
    samples: Mapping[str, Samples], coarse_of: Sequence[int], study: params.Study, folder: Path
) -> dict[str, Any]:
    """Teachers, students by every method of study.distill, and what these keep.

    Gives the results by name as the pipeline's stages write them, of which `tables.distillation.tabulate` makes tables:
    `distill` (`steps.distill`), `students` (a row a student, `keeping.keeps`), `labels` (how many samples).

    Args:
        samples: `train` and `test`.
        coarse_of: the class, 0, 1, ..., of each original one.
        study: its sections distill, network, train, cluster, hardware and tasks are heeded, the first with its own
            teachers; the others speak of the pipeline's data.
        folder: where training is kept, in a folder named after all that it depends on: a run that was cut short goes on
            there, and one that is finished is read again.

    Raises InputError, in one line, if the samples do not fit together, the study cannot be followed on vectors, or a
    step fails.
    """
    classes = array_of("coarse_of", coarse_of)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"folder: {folder} is a file: name a folder")
    if strange := [split for split, own in samples.items() if not isinstance(own, Samples)]:
        raise InputError(f"{strange[0]}: give Samples(inputs, labels), got {type(samples[strange[0]]).__name__}")
    samples = {
        split: Samples(array_of(f"{split}: inputs", own.inputs), array_of(f"{split}: labels", own.labels))
        for split, own in samples.items()
    }
    _check(samples, classes, study)
    arrays = {f"{split}_{name}": array for split in SPLITS for name, array in vars(samples[split]).items()}
    compute_deterministically(study.hardware.threads)  # as its tasks do, and as the folder's name says
    work = _workplace(folder, arrays, classes, study)
    artifacts.write_arrays(file := work / "vectors.npz", arrays)
    settings, cluster = study.distill, study.cluster
    own = settings, study.network, study.train, cluster, study.hardware, classes.tolist(), work, file
    found = distill(Plan(*own), study.tasks)
    cut = cluster.components, cluster.restarts, cluster.l2
    students = product(settings.methods, settings.teachers, settings.seeds)
    each = {"kept by {}, teacher {}, student {}".format(*one): (work, classes.tolist(), *cut, *one) for one in students}
    rows = list(tasks.run("students", kept, each, work, study.tasks, study.hardware).values())
    counts = np.bincount(samples["train"].labels, minlength=len(classes)).tolist()
    return {
        "distill": found,
        "students": {"rows": rows},
        "labels": {"fine": {"train_counts": dict(enumerate(counts))}},
    }


def kept(
    work: Path,
    coarse_of: list[int],
    components: int,
    restarts: int,
    l2: float | None,
    method: str,
    teacher: int,
    seed: int,
) -> dict[str, Any]:
    """What one student keeps: a task."""
    arrays, classes = artifacts.read_arrays(work / "vectors.npz"), np.array(coarse_of)
    labels = {split: arrays[f"{split}_labels"].astype(np.int64) for split in SPLITS}
    tensors = artifacts.read_tensors(student_file(work, method, teacher, seed))
    names = "student", method, teacher, seed
    own = keeps(tensors, labels, classes[labels["train"]], classes, components, restarts, l2, names)
    return {"method": method, "teacher": teacher, "seed": seed} | own


def _workplace(folder: Path, arrays: Mapping[str, np.ndarray], classes: np.ndarray, study: params.Study) -> Path:
    device = pick_device(study.hardware)
    described = study.model_dump(include={"network", "train", "cluster", "distill"})
    described |= describe(device, pick_precision(study.hardware, device), 1)
    code = [*sorted(Path(hidden_structure.__file__).parent.rglob("*.py")), *code_of_networks(described)]
    own = described | versions_of_networks(described)
    return folder / f"distill-{fingerprint(own, code, [classes, *arrays.values()])}"


def _numbered(values: np.ndarray) -> bool:
    """Whether they are 0, 1, ..."""
    return len(values) > 0 and np.array_equal(values, np.arange(len(values)))


def _check(samples: Mapping[str, Samples], classes: np.ndarray, study: params.Study) -> None:
    if study.distill is None:
        raise InputError("distill: is null, so that there are no students: write the section")
    if study.distill.teacher != "own":
        raise InputError("distill.teacher: of vectors there are no networks of a study: write own")
    if study.train is None:
        raise InputError("train: is null, so that teachers have no recipe: write one")
    for section, recipe in {"train": study.train, "distill.train": study.distill.train}.items():
        if recipe.crop or recipe.flip:
            raise InputError(f"{section}: vectors have neither edges nor sides: write crop: 0 and flip: false")
    if classes.ndim != 1 or classes.dtype.kind not in "iu" or not _numbered(np.unique(classes)):
        raise InputError(f"coarse_of must number the classes of the original ones 0, 1, ..., got {classes!r}")
    if classes.max() == 0:
        raise InputError("coarse_of makes one class of all, which nobody needs to be taught: give it two or more")
    if missing := {*SPLITS} - samples.keys():
        raise InputError(f"samples: {min(missing)} is missing: give train and test")
    width = samples["train"].inputs.shape[1] if samples["train"].inputs.ndim == 2 else "d"
    for split in SPLITS:
        inputs, labels = samples[split].inputs, samples[split].labels
        if inputs.ndim != 2 or inputs.dtype.kind != "f" or inputs.shape[1] != width:
            raise InputError(f"{split}: inputs must be floats (N, {width}), got {inputs.dtype} {inputs.shape}")
        if not width:
            raise InputError(f"{split}: inputs hold no feature, {inputs.shape}: give one or more")
        if not np.isfinite(inputs).all():
            raise InputError(f"{split}: inputs hold NaN or infinity: fill or leave out these samples")
        if (largest := float(np.abs(inputs).max(initial=0))) > LARGEST:
            raise InputError(f"{split}: inputs hold {largest:.1g}, more than {LARGEST:g}: divide them")
        if labels.shape != inputs.shape[:1] or labels.dtype != np.int64:
            raise InputError(f"{split}: labels must be int64 ({len(inputs)},), got {labels.dtype} {labels.shape}")
        if not len(labels) or labels.min() < 0 or labels.max() >= len(classes):
            raise InputError(f"{split}: labels must lie in 0..{len(classes) - 1}, of which coarse_of tells the classes")
    if missing := sorted({*range(len(classes))} - {*samples["train"].labels.tolist()}):
        raise InputError(
            f"train: the original class {missing[0]} has no sample: leave it out, and number the others anew"
        )
    labels = samples["train"].labels
    kept = len(labels) - study.distill.held_out(len(labels))
    teacher, student = (
        initialise(network, (1, 1, width), int(classes.max()) + 1, "check")
        for network in (study.network, study.distill.network)
    )
    own = {"train": (study.train, teacher), "distill.train": (study.distill.train, student)}
    for section, (recipe, network) in own.items():
        check_sizes(recipe, (kept, 1, 1, width), 1, section)
        check_batch(recipe, network, (kept, 1, 1, width), 1, section)
    check_samples(study.distill, classes[labels])
    check_room(study.distill, teacher)
