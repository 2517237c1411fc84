"""Networks that learn one of two tasks each: finetuned from one pretrained network, or trained from scratch.

The controls of cross-task linearity learn the same tasks by a recipe of their own: two from one initialisation, that of
the pretrained network, and one of these with another from an initialisation of its own. All keep one output a class of
the data, so that weights of any two can be averaged whole.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from hidden_structure.finetuning.classes import TASKS, accuracies, samples_of, tasks_of
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.networks.features import LOGITS, extract
from hidden_structure.networks.weights import load_state
from hidden_structure.training import loop, resume, run
from hidden_structure.training.batches import evaluation_batches
from hidden_structure.training.device import autocast, place
from hidden_structure.training.inputs import Inputs, read
from hidden_structure.training.whitening import whiten

PRETRAINED, INITIAL, OTHER = "pretrained", "initial", "other"  # what a network begins as
BATCH_SIZE = 500  # images at once when a network decides; changes no number


@dataclass(frozen=True)
class Run:
    """A network to be trained. seed: of the pretrained network, and of the initialisation."""

    begins: str
    task: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.begins}-{self.task}"

    def file(self, folder: Path) -> Path:
        """Its weights at the end, in the stage's folder."""
        return folder / str(self.seed) / f"{self.name}-end.safetensors"


@dataclass(frozen=True)
class Pair:
    """Two networks, the first of the first task. kind: finetuned; same or independent, of their initialisations."""

    kind: str
    a: Run
    b: Run


def pairs(seed: int) -> list[Pair]:
    first, second = TASKS
    kinds = {"finetuned": (PRETRAINED, PRETRAINED), "same": (INITIAL, INITIAL), "independent": (INITIAL, OTHER)}
    return [Pair(kind, Run(a, first, seed), Run(b, second, seed)) for kind, (a, b) in kinds.items()]


def runs(seed: int) -> list[Run]:
    """Every network of these pairs, once."""
    return list(dict.fromkeys(run for pair in pairs(seed) for run in (pair.a, pair.b)))


def pretrained_file(seed: int, settings: params.Finetune) -> Path:
    return paths.model("fine", seed) if settings.epoch is None else paths.snapshot("fine", seed, settings.epoch)


def beginning(begins: str, seed: int, settings: params.Finetune, network: params.Network, inputs: Inputs) -> nn.Module:
    """A network as it is before it learns a task, on the device. Raises InputError if a file is missing or damaged."""
    made = inputs.initialise(network, f"{seed}-{OTHER}" if begins == OTHER else seed)
    if begins == PRETRAINED:
        load_state(made, artifacts.read_state(pretrained_file(seed, settings), made))
        return place(made, inputs.device)
    made = place(made, inputs.device)
    whiten(made, inputs.images["train"])  # by images of all classes: else the tasks would have other filters
    return made


def train_run(
    one: Run,
    settings: params.Finetune,
    network: params.Network,
    hardware: params.Hardware,
    folder: Path,
) -> dict:
    """A row of one network; its weights at the end are in the folder, of the stage.

    classes: of its task; images: that it learns; accuracy: as `classes.accuracies` has it, on the test images of both
    tasks.

    Raises InputError if training fails.
    """
    inputs = read(hardware)
    tasks = tasks_of(settings, inputs.labels["names"].tolist())
    recipe = settings.train if one.begins == PRETRAINED else settings.from_scratch
    section = "finetune.train" if one.begins == PRETRAINED else "finetune.from_scratch"
    own = torch.from_numpy(samples_of(inputs.labels["train"], tasks[one.task])).to(inputs.device)
    images = replace(inputs.images["train"], pixels=inputs.images["train"].pixels[own])
    file, made = one.file(folder).with_name(f"{one.name}.safetensors"), inputs.build(network)
    if not file.is_file():
        begun = beginning(one.begins, one.seed, settings, network, inputs)
        resume.save(file, loop.start(begun, recipe, inputs.device))
    noise = f"finetune-{one.seed}-{one.name}"
    state = run.train(
        made, recipe, noise, images, inputs.targets("train")[own], inputs.precision, file, section=section
    )
    artifacts.write_tensors(one.file(folder), state.network.state_dict())
    found = decide(state.network, inputs, tasks)
    print(f"seed {one.seed}, {one.name}: test accuracy within its task {found[one.task]['within']:.4f}", flush=True)
    row = {"begins": one.begins, "task": one.task, "seed": one.seed, "classes": len(tasks[one.task])}
    return row | {"images": len(own), "epochs": recipe.epochs, "accuracy": found}


def decide(network: nn.Module, inputs: Inputs, tasks: dict) -> dict[str, dict[str, float]]:
    """The network's accuracies on the test images of the tasks; it is on the device."""
    labels, test = inputs.labels["test"], inputs.images["test"]
    own = samples_of(labels, *tasks.values())
    images = replace(test, pixels=test.pixels[torch.from_numpy(own).to(inputs.device)])
    with autocast(inputs.device, inputs.precision):
        logits = extract(network, evaluation_batches(images, BATCH_SIZE), [LOGITS], len(own))[LOGITS]
    return accuracies(logits.numpy(), labels[own], tasks)
