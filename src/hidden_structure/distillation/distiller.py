"""From one teacher to students by every method: equal budgets, and hyper-parameters chosen on held-out images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from hidden_structure.distillation.lelp import Splitter
from hidden_structure.distillation.methods import METHODS, Choice, Embeddings, Invention, candidates, divided, splitter
from hidden_structure.distillation.students import (
    Hinted,
    OfImages,
    Task,
    accuracy,
    classification_loss,
    distillation_loss,
    fixed_embeddings,
    fixed_targets,
    forward_all,
    hint_loss,
    invention_loss,
    label_targets,
    merged_accuracy,
    online_embeddings,
    online_targets,
    train,
)
from hidden_structure.frame import artifacts, params
from hidden_structure.networks.build import initialise
from hidden_structure.networks.features import head, head_tensors
from hidden_structure.seeding import Name, global_seed


@dataclass(frozen=True, eq=False)
class Config:
    """Teachers and students, what they learn and by which recipes.

    network, recipe: of a student. teacher_network, teacher_recipe, teacher_seed: of the teacher, and of those that
    invent pieces. fine: int64 (N,), which only oracles see. folder: where training is kept, of this teacher alone.
    """

    settings: params.Distill
    network: params.Network
    recipe: params.Train
    teacher_network: params.Network
    teacher_recipe: params.Train
    teacher_seed: int
    cluster: params.Cluster
    image_shape: tuple[int, int, int]
    task: Task
    fine: Tensor
    folder: Path

    @classmethod
    def of(
        cls,
        study: params.Study,
        teacher_seed: int,
        image_shape: tuple[int, int, int],
        task: Task,
        fine: Tensor,
        folder: Path,
    ) -> "Config":
        """Networks and recipes from the study's sections."""
        return cls(
            settings=study.distill,
            network=study.distill.network,
            recipe=study.distill.train,
            teacher_network=study.network,
            teacher_recipe=study.train,
            teacher_seed=teacher_seed,
            cluster=study.cluster,
            image_shape=image_shape,
            task=task,
            fine=fine,
            folder=folder,
        )

    def initialise(self, network: params.Network, outputs: int, seed: Name) -> nn.Module:
        """A network on the device, whose initial weights depend on the seed alone."""
        return initialise(network, self.image_shape, outputs, seed).to(self.task.labels.device)

    def of_choosing(self) -> tuple["Config", Task]:
        """That of students which choose hyper-parameters, and the held-out images that they are judged on.

        Their teacher is another one, which has not seen these images either: of one that has, a student that imitates
        it learns their labels.
        """
        parts = divided(self.settings, len(self.task.labels))
        held_out, kept = (torch.from_numpy(part).to(self.task.labels.device) for part in parts)
        recipe = self.recipe.model_copy(update={"epochs": self.settings.tuning or self.recipe.epochs})
        own = {"task": self.task.part(kept), "fine": self.fine[kept], "folder": self.folder / "choosing"}
        return replace(self, recipe=recipe, **own), self.task.part(held_out)


def train_teacher(config: Config, invented: Invention | None = None) -> nn.Module:
    """A teacher of the classes; that of Subclass Distillation where it is to invent pieces of them."""
    task, seed, smoothing, advice = config.task, config.teacher_seed, config.teacher_recipe.label_smoothing, ""
    subclasses, objective = 1, classification_loss(task, smoothing)
    if invented:
        (subclasses, weight), temperature = invented, config.settings.contrast_temperature
        objective = invention_loss(task, smoothing, weight, temperature)
        advice = f"lower distill.contrast ({weight}) or raise distill.contrast_temperature ({temperature})"
    network = config.initialise(config.teacher_network, task.classes * subclasses, seed)
    file = config.folder / f"teacher{_named(invented)}.safetensors"
    train(network, config.teacher_recipe, seed, task, objective, file, advice=advice)
    return network


def _named(invented: Invention | None) -> str:
    return "".join(f"-{value}" for value in invented or ())


class Distiller:
    """A teacher and its students. Teachers that invent their pieces are trained when first asked for."""

    def __init__(self, config: Config, teacher: nn.Module) -> None:
        self.config = config
        self._teachers = {None: (teacher, *self._seen(teacher))}
        values, weight = self._teachers[None][1], head(teacher).weight.detach()
        own = config.fine, config.cluster, config.teacher_seed, config.folder
        self.embeddings = Embeddings(values, config.task.labels, weight, *own)
        self._splitters: dict[tuple[str, Choice], Splitter] = {}

    def teacher(self, invented: Invention | None = None) -> tuple[nn.Module, Tensor, Tensor]:
        """The one that invents such pieces, or none; its embeddings (N, d) and its logits of the training images."""
        if invented not in self._teachers:
            network = train_teacher(self.config, invented)
            self._teachers[invented] = network, *self._seen(network, invented)
        return self._teachers[invented]

    def _seen(self, network: nn.Module, invented: Invention | None = None) -> tuple[Tensor, Tensor]:
        """Embeddings and logits of the training images, computed once for all processes that share the folder."""
        file, device = self.config.folder / f"seen{_named(invented)}.safetensors", self.config.task.labels.device
        if not file.is_file():
            embeddings, logits = forward_all(network, self.config.task)
            artifacts.write_tensors(file, {"embeddings": embeddings, "logits": logits})
        samples = len(self.config.task.labels)
        found = artifacts.read_tensors(file, {"embeddings": samples, "logits": samples})
        return found["embeddings"].to(device), found["logits"].to(device)

    def student(self, method: str, choice: Choice, seed: int, recipe: params.Train, file: Path) -> nn.Module:
        """A student trained on the images that its teacher is of.

        Its initial weights, order and augmentation depend on the seed and on the teacher's alone: students of one
        teacher and one seed are to be compared, and those of different teachers share nothing.

        Raises InputError if the classes cannot be split so, or training fails.
        """
        task, settings, row = self.config.task, self.config.settings, METHODS[method]
        targets, outputs = self._targets(method, choice)
        objective = distillation_loss(targets, task, row.temperature(choice))
        name = f"{seed} of teacher {self.config.teacher_seed}"
        network = trained = self.config.initialise(self.config.network, outputs, name)
        if row.hint:
            teacher, reference, _ = self.teacher()
            online = settings.augmented
            embeddings = online_embeddings(teacher, task.precision) if online else fixed_embeddings(reference)
            objective = hint_loss(objective, embeddings, reference, outputs, choice.hint)
            with global_seed("hint", name):
                trained = Hinted(network, reference.shape[1])
        advice = advice_for(method, choice)
        train(trained, recipe, name, task, objective, file, "distill.train", advice)
        return network

    def attempt(self, method: str, choice: Choice, seed: int, held_out: Task) -> float:
        """The accuracy of a student on images that neither it nor this teacher has seen."""
        file = self.config.folder / f"{method}-{choice.name}-{seed}.safetensors"
        network = self.student(method, choice, seed, self.config.recipe, file)
        return accuracy(network, held_out, METHODS[method].temperature(choice))

    def evaluate(
        self, network: nn.Module, method: str, choice: Choice, tasks: Mapping[str, Task]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """A student's accuracy on every task, and its number of outputs; for its file its embeddings of every task's
        images, its last layer, and the piece of each training image that it was taught."""
        found, tensors = {}, head_tensors(network) | {"pieces": self.pieces(method, choice)}
        for name, task in tasks.items():
            tensors[name], logits = forward_all(network, task)
            found[f"{name}_accuracy"] = merged_accuracy(logits, task, METHODS[method].temperature(choice))
        return found | {"outputs": logits.shape[1]}, tensors

    def pieces(self, method: str, choice: Choice) -> Tensor:
        """int64 (N,): the likeliest piece of each training image's own class; all 0 where classes are left whole."""
        task = self.config.task
        every = torch.arange(len(task.labels), device=task.labels.device)
        if METHODS[method].invented:
            found = self.teacher(choice.invention)[2].unflatten(1, (task.classes, -1))
        else:
            found = self._splitter(method, choice)(self.teacher()[1], every)
        return found[every, task.labels].argmax(1)

    def _targets(self, method: str, choice: Choice) -> tuple[OfImages, int]:
        """A student's targets, and how many outputs it needs for them."""
        task, row = self.config.task, METHODS[method]
        if not row.taught:
            return label_targets(task, self.config.recipe.label_smoothing), task.classes
        teacher, embeddings, logits = self.teacher(choice.invention if row.invented else None)
        split = self._splitter(method, choice)
        outputs = logits.shape[1] * split(embeddings[:1], task.labels.new_zeros(1)).shape[2]
        if self.config.settings.augmented:
            return online_targets(teacher, split, task.precision, choice.temperature), outputs
        return fixed_targets(embeddings, logits, split, choice.temperature), outputs

    def _splitter(self, method: str, choice: Choice) -> Splitter:
        if (method, choice) not in self._splitters:
            self._splitters[method, choice] = splitter(method, choice, self.embeddings, self.config.settings.lelp)
        return self._splitters[method, choice]


Attempt = tuple[str, Choice]  # method, its hyper-parameters


def choose(
    settings: params.Distill, attempt: Callable[[list[Attempt]], list[float]]
) -> dict[str, tuple[Choice, dict[Choice, float]]]:
    """Of every method the hyper-parameters by which a student does best, and the accuracies of all that were tried.

    They are chosen one after the other, each with the others at their best so far, at first those that the parameters
    name first; of all methods side by side.

    attempt: gives the accuracies of independent attempts.
    """
    best = dict.fromkeys(settings.methods, Choice.first(settings))
    tried: dict[str, dict[Choice, float]] = {method: {} for method in settings.methods}
    names = {method: METHODS[method].hyperparameters for method in settings.methods}
    for step in range(max(map(len, names.values()))):
        among = {m: candidates(settings, best[m], names[m][step]) for m in names if step < len(names[m])}
        asked = [(m, choice) for m, each in among.items() if len(each) > 1 for choice in each if choice not in tried[m]]
        for (method, choice), found in zip(asked, attempt(asked), strict=True):
            tried[method][choice] = found
        for method, each in among.items():
            best[method] = max(each, key=lambda choice: tried[method].get(choice, 0.0))
    return {method: (best[method], tried[method]) for method in settings.methods}


def advice_for(method: str, choice: Choice) -> str:
    """The keys besides the recipe that can make a student diverge: its loss grows with T^2, pieces are divided by beta.

    Empty if there are none.
    """
    had = METHODS[method].hyperparameters
    advice = [f"lower distill.temperatures ({choice.temperature})"] if "temperature" in had else []
    advice += [f"raise distill.betas ({choice.beta})"] if "beta" in had else []
    advice += [f"lower distill.hint ({choice.hint})"] if METHODS[method].hint else []
    return " or ".join(advice)
