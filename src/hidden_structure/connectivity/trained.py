"""The networks of the connectivity study, each trained as one task: trunks, and children from a trunk's state on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hidden_structure.connectivity.spawning import TRUNK, K, Run, kept, place
from hidden_structure.frame import artifacts, tasks
from hidden_structure.frame.params import Hardware
from hidden_structure.training import resume
from hidden_structure.training.inputs import read
from hidden_structure.training.loop import TrainingState
from hidden_structure.training.run import evaluate, train


def spawn(run: Run, ks: list[K], hardware: Hardware, folder: Path) -> dict:
    """Train one network, a child from its trunk's state on; ks: every k at which children leave this trunk."""
    inputs = read(hardware)
    batches = len(inputs.labels["train"]) // run.train.batch_size
    splits = {split: (images, inputs.targets(split)) for split, images in inputs.images.items()}
    file, network = kept(folder, run, run.name), inputs.initialise(run.cell.network, run.seed)
    named = {place(k, batches): f"fork-{k}" for k in ks} if batches else {}

    def keep_fork(state: TrainingState) -> None:
        if name := named.get((state.epoch, state.batch)):
            resume.save(kept(folder, run, name), state)

    if run.fork is not None and not file.is_file():
        fork = kept(folder, run, f"fork-{run.fork}")
        resume.reached(fork)  # raises, and names this file and not its copy, if it is damaged
        artifacts.copy(fork, file)
    if any(not kept(folder, run, name).is_file() and at <= resume.reached(file) for at, name in named.items()):
        file.unlink()  # it was past a fork before a child was to leave there
    options = {"after": keep_fork, "after_step": keep_fork, "section": "spawn.train"}
    state = train(network, run.train, run.noise, *splits["train"], inputs.precision, file, **options)
    row = run.row | evaluate(state.network, splits, inputs.precision, run.train, "spawn.train")
    print(f"{run.title}: test accuracy {row['test_accuracy']:.4f}", flush=True)
    artifacts.write_tensors(kept(folder, run, f"{run.name}-end"), state.network.state_dict())
    return row


def forget_trunks(folder: Path, plan: Sequence[Run]) -> None:
    """Finished trunks that lack the state at which a child, unfinished, leaves them are to be trained again."""
    for run in plan:
        left, fork = run.fork is not None, kept(folder, run, f"fork-{run.fork}")
        if left and not (tasks.result(folder, run.title).is_file() or fork.is_file()):
            tasks.result(folder, replace(run, name=TRUNK).title).unlink(missing_ok=True)
