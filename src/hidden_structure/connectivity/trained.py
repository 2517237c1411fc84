"""The networks of the connectivity study, each trained as one task: trunks, and children from a trunk's state on."""

from collections.abc import Sequence
from pathlib import Path

from hidden_structure.connectivity.spawning import K, Run, forks, kept, place, waves
from hidden_structure.frame import artifacts, tasks
from hidden_structure.frame.params import Hardware
from hidden_structure.training import resume
from hidden_structure.training.inputs import read
from hidden_structure.training.loop import TrainingState
from hidden_structure.training.run import evaluate, train


def spawn(run: Run, ks: list[K], hardware: Hardware, folder: Path) -> dict:
    """Train one network, a child from its trunk's state on; ks: every k at which children leave this trunk."""
    inputs = read(hardware)
    splits = {split: (images, inputs.targets(split)) for split, images in inputs.images.items()}
    file, network = kept(folder, run, run.name), inputs.initialise(run.cell.network, run.seed)
    named = {place(k, len(inputs.labels["train"]) // run.train.batch_size): f"fork-{k}" for k in ks}

    def keep_fork(state: TrainingState) -> None:
        if name := named.get((state.epoch, state.batch)):
            resume.save(kept(folder, run, name), state)

    if run.fork is not None and not file.is_file():
        artifacts.copy(kept(folder, run, f"fork-{run.fork}"), file)
    options = {"after": keep_fork, "after_step": keep_fork, "section": "spawn.train"}
    state = train(network, run.train, run.noise, *splits["train"], inputs.precision, file, **options)
    if not all(kept(folder, run, name).is_file() for name in named.values()):  # it had passed one before this was asked
        file.unlink()
        return spawn(run, ks, hardware, folder)
    row = run.row | evaluate(state.network, splits, inputs.precision, run.train, "spawn.train")
    print(f"{run.title}: test accuracy {row['test_accuracy']:.4f}", flush=True)
    artifacts.write_tensors(kept(folder, run, f"{run.name}-end"), state.network.state_dict())
    return row


def forget_trunks(folder: Path, plan: Sequence[Run]) -> None:
    """Trunks that are finished, but lack a state at which a child of the plan leaves them, are to be trained again."""
    for run in waves(plan)[0]:
        if not all(kept(folder, run, f"fork-{k}").is_file() for k in forks(plan, run)):
            tasks.result(folder, run.title).unlink(missing_ok=True)
