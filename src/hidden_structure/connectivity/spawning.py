"""The networks of the connectivity study: trunks, the children that part from them, and which of them make a pair.

Frankle et al. 2020, "Linear Mode Connectivity and the Lottery Ticket Hypothesis": train a network for k epochs, or k
steps, copy it, and go on twice with different SGD noise (order and augmentation of the samples). Networks that are
given in files are trunks without children, each named by its place among them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from hidden_structure.frame import paths
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Network, Study, Train
from hidden_structure.frame.spawn import replaced
from hidden_structure.seeding import Name

TRUNK = "trunk"
STEPS = "-steps"
LISTED = {"seeds", "spawned", "epochs", "steps", "widths", "weight_decays", "recipes"}  # which networks there are
K = int | str  # when two children part: after so many epochs, or "50-steps", after so many steps of the optimizer


@dataclass(frozen=True)
class Cell:
    """One architecture and recipe; the networks of a cell differ in their seeds."""

    name: str
    width: float  # multiple of spawn.network.width
    network: Network
    train: Train
    recipe: str = ""  # how it differs from spawn.train, where it is one of spawn.recipes
    parted: bool = False  # whether its trunks have children

    @property
    def row(self) -> dict:
        """What a row of results says of it."""
        recipe = {"recipe": self.recipe} if self.recipe else {}
        return {"width": self.width, "weight_decay": self.train.weight_decay} | recipe


@dataclass(frozen=True)
class Run:
    """One network to be trained."""

    cell: Cell
    seed: int  # of the initialisation
    name: str  # the trunk, or a child such as 00005-b
    train: Train
    noise: Name  # names the generators of order and augmentation
    fork: K | None  # when it leaves its trunk; None: it is the trunk
    checkpoint: str | None = None  # the file that it is given in; None: it is trained

    @property
    def title(self) -> str:
        return f"{self.cell.name}, seed {self.seed}, {self.name}"

    @property
    def row(self) -> dict:
        """What a row of results says of its network."""
        return self.cell.row | {"seed": self.seed, "name": self.name}


@dataclass(frozen=True)
class Pair:
    """Two networks of one cell, each by its seed and name; k is None if they share nothing."""

    cell: Cell
    k: K | None
    a: tuple[int, str]
    b: tuple[int, str]

    @property
    def id(self) -> str:
        return pair_id(self.cell.name, self.k, (self.a[0], self.b[0]))

    def row(self, method: str) -> dict:
        """What a row of results says of its pair and of how it was aligned."""
        row = {"pair": self.id, "kind": "independent" if self.k is None else "spawned", "k": self.k}
        return row | self.cell.row | {"seeds": [self.a[0], self.b[0]], "method": method}


def partings(study: Study) -> list[K]:
    """Every k of the study. None at all is 0, whether it is of epochs or of steps."""
    return [*study.spawn.epochs, *(f"{k}{STEPS}" if k else 0 for k in study.spawn.steps)]


def place(k: K, batches: int) -> tuple[int, int]:
    """Where networks part in training whose epochs have so many batches: epochs done, and batches of the next."""
    return (k, 0) if isinstance(k, int) else divmod(_number(k), batches)


def parting(name: str) -> K | None:
    """The k in a network's name; None if it is a trunk's."""
    if name == TRUNK:
        return None
    k = name.rpartition("-")[0]
    return f"{_number(k)}{STEPS}" if k.endswith(STEPS) else int(k)


def _number(k: K) -> int:
    return int(str(k).removesuffix(STEPS))


def recipe_name(changed: Mapping[str, Any]) -> str:
    """How a recipe differs, in words: "lr 0.05, flip false"."""
    return ", ".join(
        f"{key} {value if isinstance(value, str) else json.dumps(value)}" for key, value in changed.items()
    )


def cell_name(width: float, weight_decay: float, recipe: str = "") -> str:
    """The one spelling of a cell, also as a folder: others for whatever other numbers."""
    width, weight_decay = (f"{x:g}" if float(f"{x:g}") == x else repr(x) for x in (width, weight_decay))
    return f"width-{width}-decay-{weight_decay}" + (f"-{paths.slug(recipe)}" if recipe else "")


def pair_id(cell: str, k: K | None, seeds: Sequence[int]) -> str:
    """The one spelling of which two networks of a cell a row, a file or a table speaks of."""
    between = "-".join(map(str, seeds)) if k is None else f"{seeds[0]}-parted-{k}"
    return f"{cell}-seeds-{between}"


def child_recipe(study: Study, trunk: Train, index: int) -> Train:
    """The recipe of child 0 or 1: its trunk's, with what spawn.children replaces."""
    return replaced(trunk, study.spawn.children[index])


def cells(study: Study) -> list[Cell]:
    """Every width with every weight decay, the first of which is the plain one; and the plain one by other recipes.

    The plain one has children. By other recipes there is nothing but trunks with children, which make no independent
    pairs.

    Raises InputError if a width is not a whole number of units, or the network has none to multiply.
    """
    network, recipe = study.spawn.network, study.spawn.train
    found = []
    for weight_decay in (recipe.weight_decay, *study.spawn.weight_decays):
        for width in (1.0, *study.spawn.widths):
            train = recipe.model_copy(update={"weight_decay": weight_decay})
            name, plain = cell_name(width, weight_decay), not found
            found.append(Cell(name, width, _widened(network, width), train, parted=plain))
    for changed in study.spawn.recipes:
        train, words = replaced(recipe, changed), recipe_name(changed)
        found.append(Cell(cell_name(1.0, train.weight_decay, words), 1.0, network, train, words, parted=True))
    return found


def check_partings(study: Study, samples: int) -> None:
    """Raises InputError if with so many training samples a k of spawn.steps is not within training by a recipe, is
    another k as well, or lies in the middle of an epoch that a child cuts into other batches than its trunk."""
    for cell in (cell for cell in cells(study) if cell.parted):
        batches, by = samples // cell.train.batch_size, f" by the recipe of {cell.recipe}" if cell.recipe else ""
        found: dict[tuple[int, int], K] = {}
        for k in partings(study) if batches else ():  # a batch larger than the data is told elsewhere
            steps, at = _number(k), place(k, batches)
            if at in found:
                raise InputError(f"spawn.steps: {steps} are k = {found[at]} of spawn.epochs{by}: leave one out")
            found[at] = k
            for train in (cell.train, *(child_recipe(study, cell.train, index) for index in range(2))):
                own = samples // train.batch_size
                if at[0] >= train.epochs:
                    raise InputError(f"spawn.steps: {steps} are not before the last of {train.epochs * own} steps{by}")
                if at[1] and own != batches:
                    raise InputError(
                        f"spawn.steps: {steps} end within an epoch{by}, which a child with a batch_size of its own cuts"
                        f" otherwise: give a multiple of {batches}, or leave children their trunk's batch_size"
                    )


def _widened(network: Network, width: float) -> Network:
    if width == 1:
        return network
    if network.width is None:
        raise InputError(f"spawn.widths: {network.name} has no width to multiply: write an empty list")
    units = network.width * width
    if abs(units - round(units)) > 1e-6 or units < 1:
        raise InputError(f"spawn.widths: {width:g} times a width of {network.width} is not a whole number of units")
    return network.model_copy(update={"width": round(units)})


def _children(study: Study, trunk: Train) -> list[tuple[K, str, Train, str | None]]:
    """(k, name, recipe, noise) of the children. Child a keeps the trunk's noise, and where it keeps the recipe as
    well it is the trunk, gone on to its end. Child b draws its own noise, the same for every k: where it parts within
    an epoch it draws an order of that whole epoch, and goes on with the batches that come there in that order."""
    found: list[tuple[K, str, Train, str | None]] = []
    for k in partings(study):
        recipe, name = child_recipe(study, trunk, 0), f"{_number(k):05d}" + ("" if isinstance(k, int) else STEPS)
        found.append((k, TRUNK if recipe == trunk else f"{name}-a", recipe, None))
        found.append((k, f"{name}-b", child_recipe(study, trunk, 1), "b"))
    return found


def runs(study: Study) -> list[Run]:
    """Every network, each after the trunk that it leaves."""
    found = []
    if study.spawn.checkpoints:
        (cell,) = cells(study)
        return [Run(cell, place, TRUNK, cell.train, place, None, file) for place, file in _given(study)]
    for cell in cells(study):
        for rank, seed in enumerate(study.spawn.seeds[: study.spawn.spawned if cell.recipe else None]):
            found.append(Run(cell, seed, TRUNK, cell.train, seed, None))
            if cell.parted and rank < study.spawn.spawned:
                found += [
                    Run(cell, seed, name, recipe, f"{seed}-{noise}" if noise else seed, k)
                    for k, name, recipe, noise in _children(study, cell.train)
                    if name != TRUNK
                ]
    return found


def _given(study: Study) -> list[tuple[int, str]]:
    """(name, file), counted from 1."""
    return list(enumerate(study.spawn.checkpoints, 1))


def waves(plan: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """The trunks, and the children, which need their trunks first; in each those that take long come first: some steps
    are mostly fewer than an epoch."""
    trunks, children = ([run for run in plan if (run.fork is None) == is_trunk] for is_trunk in (True, False))
    return sorted(trunks, key=lambda run: -run.cell.width), sorted(children, key=_lateness)


def _lateness(run: Run) -> tuple[bool, int]:
    return bool(run.fork) and isinstance(run.fork, int), _number(run.fork)


def forks(plan: Sequence[Run], trunk: Run) -> list[K]:
    """Every k after which runs of the plan leave this one; of a child, none."""
    own = [run.fork for run in plan if (run.cell, run.seed) == (trunk.cell, trunk.seed) and run.fork is not None]
    return list(dict.fromkeys(own)) if trunk.fork is None else []


def kept(folder: Path, run: Run, name: str) -> Path:
    """Where the stage that makes the networks keeps one of a run's files."""
    return folder / run.cell.name / str(run.seed) / f"{name}.safetensors"


def pairs(study: Study) -> list[Pair]:
    """The spawned pairs of every k, and in every cell the independent pairs, no two of which share a network; of given
    networks every two."""
    found, every = [], cells(study)
    if study.spawn.checkpoints:
        return [Pair(every[0], None, (i, TRUNK), (j, TRUNK)) for (i, _), (j, _) in combinations(_given(study), 2)]
    for cell in (cell for cell in every if cell.parted):
        children = _children(study, cell.train)
        for (k, a, *_), (_, b, *_) in zip(children[::2], children[1::2], strict=True):
            found += [Pair(cell, k, (seed, a), (seed, b)) for seed in study.spawn.seeds[: study.spawn.spawned]]
    couples = list(zip(study.spawn.seeds[::2], study.spawn.seeds[1::2], strict=True))
    plain = (cell for cell in every if not cell.recipe)
    return found + [Pair(cell, None, (i, TRUNK), (j, TRUNK)) for cell in plain for i, j in couples]
