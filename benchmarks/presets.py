"""What a preset costs and reaches: one network a seed, on CIFAR-10 or CIFAR-100.

`python benchmarks/presets.py cifar10-fast --data data/cifar10 --seeds 0 1 2 3 4` trains them as tasks, one a core, and
writes benchmarks/presets/cifar10-fast.csv; killed and started again it goes on where it was. Seconds are of the
processor, and PFLOP 6 times multiplications times images. Nothing is chosen by the test images: the last epoch counts.
"""

import argparse
import csv
import dataclasses
import resource
import time
from pathlib import Path
from statistics import mean, stdev

import torch

from hidden_structure.datasets.load import load
from hidden_structure.frame import artifacts, params, paths, studies, tasks, workplace
from hidden_structure.networks.build import initialise
from hidden_structure.networks.cost import training_flop
from hidden_structure.training import loop, run
from hidden_structure.training.batches import on_device
from hidden_structure.training.device import compute_deterministically, describe, pick_device, pick_precision

TABLES = Path("benchmarks/presets")


@dataclasses.dataclass(frozen=True)
class Job:
    """What all seeds of a preset have in common; data: the file of the data set's arrays."""

    study: params.Study
    data: Path
    folder: Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", choices=studies.presets())
    parser.add_argument("--data", help="folder of train/<class>/* and test/<class>/*; without it they are downloaded")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--workers", type=int, help="networks at once; as many as cores unless said")
    parser.add_argument("--coarse", type=int, help="train on so many labels instead: the class's number modulo these")
    options = parser.parse_args()
    source = "cifar100" if options.preset.startswith("cifar100") else "cifar10"
    short = {"study": options.preset, "preset": options.preset, "seeds": options.seeds}
    short |= {"data": {"source": source, "folder": options.data}, "merge": {"classes": options.coarse or 2}}
    study = params.Study.model_validate(studies.complete(short | {"tasks": {"workers": options.workers}}))

    compute_deterministically(study.hardware.threads)
    device = pick_device(study.hardware)
    computing = describe(device, pick_precision(study.hardware, device), 1)
    described = study.model_dump(include={"network", "train", "hardware"}) | computing | {"coarse": options.coarse}
    key = workplace.fingerprint(described, workplace.code_of("train"), [])
    job = Job(study, Path(f"artifacts/presets/{source}.npz"), Path("artifacts/presets") / f"{options.preset}-{key}")
    if not job.data.is_file():
        artifacts.write_arrays(job.data, load(study.data).arrays())
    named = {f"seed {seed}": (job, seed, options.coarse) for seed in options.seeds}
    rows = list(tasks.run(options.preset, train, named, job.folder, study.tasks, study.hardware).values())

    name = options.preset if options.coarse is None else f"{options.preset}-{options.coarse}-labels"
    TABLES.mkdir(exist_ok=True)
    with (TABLES / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *computing], lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | computing for row in rows)
    for key in ("test_accuracy", "both_sides_accuracy", "train_accuracy", "pflop", "seconds", "peak_gigabytes"):
        values = [row[key] for row in rows]
        error = f" +- {stdev(values) / len(values) ** 0.5:.4f}" if len(values) > 1 else ""
        print(f"{key.replace('_', ' ')}: {mean(values):.4f}{error} (n = {len(values)})")


def train(job: Job, seed: int, coarse: int | None) -> dict:
    """One network: its accuracies after the last epoch, and what it cost."""
    study, recipe = job.study, job.study.train
    compute_deterministically(study.hardware.threads)
    device, arrays = pick_device(study.hardware), artifacts.read_arrays(job.data, paths.IMAGES)
    precision = pick_precision(study.hardware, device)
    labels = {split: torch.from_numpy(arrays[f"{split}_labels"]).to(device) for split in ("train", "test")}
    if coarse is not None:
        labels = {split: own % coarse for split, own in labels.items()}
    classes = int(labels["train"].max()) + 1
    images = {
        split: on_device(arrays[f"{split}_images"], arrays["mean"], arrays["std"], device)
        for split in ("train", "test")
    }
    network = initialise(study.network, arrays["train_images"].shape[1:], classes, seed)
    since = time.process_time()

    def timed(state: loop.TrainingState) -> None:
        nonlocal since
        now = time.process_time()
        state.history[-1]["seconds"] = now - since
        since = now

    file = job.folder / f"{seed}.safetensors"
    state = run.train(network, recipe, seed, images["train"], labels["train"], precision, file, after=timed)
    row = {"seed": seed, "epochs": recipe.epochs, "classes": classes}
    for name, both in (("test_accuracy", False), ("both_sides_accuracy", True)):
        row[name] = loop.evaluate(network, images["test"], labels["test"], precision, both_sides=both)[1]
    row["train_accuracy"] = loop.evaluate(network, images["train"], labels["train"], precision)[1]
    count, *shape = arrays["train_images"].shape
    row["pflop"] = round(training_flop(network, tuple(shape)) * count * recipe.epochs / 1e15, 4)
    row["seconds"] = round(sum(epoch["seconds"] for epoch in state.history), 1)
    row["peak_gigabytes"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    return row


if __name__ == "__main__":
    main()
