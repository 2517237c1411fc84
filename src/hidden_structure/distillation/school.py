"""From one teacher to students by every method: equal budgets, and hyper-parameters chosen on held-out images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from hidden_structure.distillation.lelp import Splitter, whole
from hidden_structure.distillation.pieces import HYPERPARAMETERS, Choice, Teacher, candidates, splitter
from hidden_structure.distillation.students import (
    Hinted,
    Lesson,
    Task,
    accuracy,
    distils,
    hard,
    hints,
    invents,
    learns,
    look,
    observe,
    share_right,
    taught_always,
    taught_once,
    train,
)
from hidden_structure.frame import params
from hidden_structure.networks.build import initialise
from hidden_structure.networks.features import head
from hidden_structure.seeding import global_seed, numpy_generator


@dataclass(frozen=True, eq=False)
class Course:
    """What is taught, on which images, and by what recipes.

    network, recipe: of a student. teacher_network, teacher_recipe, teacher_seed: of every teacher. fine: int64 (N,),
    which only the oracle sees. folder: where training is kept.
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
        cls, study: params.Study, image_shape: tuple[int, int, int], task: Task, fine: Tensor, folder: Path
    ) -> "Course":
        """As the study's sections say."""
        return cls(
            settings=study.distill,
            network=study.distill.network,
            recipe=study.distill.train,
            teacher_network=study.network,
            teacher_recipe=study.train,
            teacher_seed=study.seeds[0],
            cluster=study.cluster,
            image_shape=image_shape,
            task=task,
            fine=fine,
            folder=folder,
        )

    def build(self, network: params.Network, outputs: int, seed: int) -> nn.Module:
        return initialise(network, self.image_shape, outputs, seed).to(self.task.labels.device)


def train_teacher(course: Course, subclasses: int = 1) -> nn.Module:
    """On the classes; with two subclasses or more the teacher of Subclass Distillation, which invents them."""
    settings, task, seed = course.settings, course.task, course.teacher_seed
    network = course.build(course.teacher_network, task.classes * subclasses, seed)
    inventing = invents(task, settings.contrast, settings.contrast_temperature)
    objective = learns(task) if subclasses == 1 else inventing
    scales = "" if subclasses == 1 else f"distill.contrast ({settings.contrast})"
    file = course.folder / f"teacher-{subclasses}.safetensors"
    train(network, course.teacher_recipe, seed, task, objective, file, scales=scales)
    return network


class School:
    """A teacher and its students. Teachers that invent their pieces are trained when first asked for."""

    def __init__(self, course: Course, teacher: nn.Module) -> None:
        self.course = course
        self._known = {1: (teacher, *observe(teacher, course.task))}
        weight, embeddings = head(teacher).weight.detach(), self._known[1][1]
        self._splitters: dict[tuple[str, Choice], Splitter] = {}
        self._split = Teacher(embeddings, course.task.labels, weight, course.fine, course.cluster)

    def teacher(self, invented: int = 1) -> tuple[nn.Module, Tensor, Tensor]:
        """The one that invents so many pieces a class, its embeddings (N, d) and its logits of the training images."""
        if invented not in self._known:
            network = train_teacher(self.course, invented)
            self._known[invented] = network, *observe(network, self.course.task)
        return self._known[invented]

    def student(
        self, method: str, choice: Choice, seed: int, recipe: params.Train, file: Path, chosen: Tensor | None = None
    ) -> nn.Module:
        """Trained on all training images, or on those with the chosen numbers, int64 (n,).

        Raises InputError if the classes cannot be split so, or training fails.
        """
        task, settings = self.course.task, self.course.settings
        lesson, outputs = self._lesson(method, choice)
        objective = distils(lesson, task, temperature(method, choice))
        network = trained = self.course.build(self.course.network, outputs, seed)
        if method == "fitnet":
            teacher, embeddings, _ = self.teacher()
            seen = embeddings_of(teacher, task.precision) if settings.augmented else known(embeddings)
            objective = hints(objective, seen, embeddings, outputs, settings.hint)
            with global_seed("hint", seed):
                trained = Hinted(network, embeddings.shape[1])
        section = "distill.train" if settings.train else "train"
        train(trained, recipe, seed, task, objective, file, chosen, section, scales(method, choice, settings))
        return network

    def choose(self, method: str, seed: int) -> tuple[Choice, dict[Choice, float]]:
        """The hyper-parameters by which a student does best on held-out training images, and all that were tried.

        They are chosen one after the other, each with the others at their best so far, at first those that the
        parameters name first. Pieces come from all training images, for a teacher knows all of them.
        """
        settings, task = self.course.settings, self.course.task
        order = numpy_generator("distill", "validation").permutation(len(task.labels))
        device, held_out = task.labels.device, max(1, round(settings.validation * len(order)))
        held, kept = (torch.from_numpy(part).to(device) for part in (order[:held_out], order[held_out:]))
        recipe = self.course.recipe.model_copy(update={"epochs": settings.tuning or self.course.recipe.epochs})
        best = Choice(settings.subclasses[0], settings.betas[0], settings.temperatures[0])
        tried: dict[Choice, float] = {}
        for name in HYPERPARAMETERS[method]:
            among = candidates(settings, best, name)
            for choice in among if len(among) > 1 else ():
                if choice not in tried:
                    file = self.course.folder / f"choosing-{method}-{choice.name}.safetensors"
                    network = self.student(method, choice, seed, recipe, file, kept)
                    tried[choice] = accuracy(network, task.part(held), temperature(method, choice))
            best = max(among, key=lambda choice: tried.get(choice, 0.0))
        return best, tried

    def examine(
        self, network: nn.Module, method: str, choice: Choice, tasks: Mapping[str, Task]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """A student's accuracy on every task, and its number of outputs; for its file its embeddings of every task's
        images, its last layer, and the piece of each training image that it was taught."""
        found, tensors = {}, dict(head(network).named_parameters()) | {"pieces": self.pieces(method, choice)}
        for name, task in tasks.items():
            tensors[name], logits = observe(network, task)
            found[f"{name}_accuracy"] = share_right(logits, task, temperature(method, choice))
        return found | {"outputs": logits.shape[1]}, tensors

    def pieces(self, method: str, choice: Choice) -> Tensor:
        """int64 (N,): the likeliest piece of each training image's own class; all 0 where classes are left whole."""
        task = self.course.task
        every, classes = torch.arange(len(task.labels), device=task.labels.device), task.classes
        if method == "subclass":
            found = self.teacher(choice.subclasses)[2].unflatten(1, (classes, -1))
        else:
            found = self._splitter(method, choice)(self.teacher()[1], every)
        return found[every, task.labels].argmax(1)

    def _lesson(self, method: str, choice: Choice) -> tuple[Lesson, int]:
        task = self.course.task
        if method == "alone":
            return hard(task), task.classes
        invented = choice.subclasses if method == "subclass" else 1
        teacher, embeddings, logits = self.teacher(invented)
        split = self._splitter(method, choice)
        outputs = logits.shape[1] * split(embeddings[:1], task.labels.new_zeros(1)).shape[2]
        if self.course.settings.augmented:
            return taught_always(teacher, split, task.precision, choice.temperature), outputs
        return taught_once(embeddings, logits, split, choice.temperature), outputs

    def _splitter(self, method: str, choice: Choice) -> Splitter:
        if method == "subclass":
            return whole(self.course.task.classes * choice.subclasses)
        if (method, choice) not in self._splitters:
            made = splitter(method, choice, self._split, self.course.settings.lelp.model_dump())
            self._splitters[method, choice] = made
        return self._splitters[method, choice]


def known(embeddings: Tensor) -> Lesson:
    """Of the images as they are."""
    return lambda images, index: embeddings[index]


def embeddings_of(teacher: nn.Module, precision: torch.dtype) -> Lesson:
    """Of each image as the student sees it."""
    return lambda images, index: look(teacher, images, precision)[0]


def scales(method: str, choice: Choice, settings: params.Distill) -> str:
    """The keys by which a student's targets and its loss grow."""
    found = {f"{name}s": getattr(choice, name) for name in ("beta", "temperature") if name in HYPERPARAMETERS[method]}
    found |= {"hint": settings.hint} if method == "fitnet" else {}
    return " or ".join(f"distill.{name} ({value})" for name, value in found.items())


def temperature(method: str, choice: Choice) -> float:
    """Of the student's outputs; labels have none."""
    return 1.0 if method == "alone" else choice.temperature
