"""The networks of the connectivity study: trunks, the children that part from them, and which of them make a pair.

Frankle et al. 2020, "Linear Mode Connectivity and the Lottery Ticket Hypothesis": train a network for k epochs, copy
it, and go on twice with different SGD noise (order and augmentation of the samples).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Network, Study, Train
from hidden_structure.seeding import Name

TRUNK = "trunk"


@dataclass(frozen=True)
class Cell:
    """One architecture and recipe; the networks of a cell differ in their seeds."""

    name: str
    width: float  # multiple of spawn.network.width
    network: Network
    train: Train


@dataclass(frozen=True)
class Run:
    """One network to be trained."""

    cell: Cell
    seed: int  # of the initialisation
    name: str  # the trunk, or a child such as 00005-b
    train: Train
    noise: Name  # names the generators of order and augmentation
    fork: int | None  # the epoch after which it leaves its trunk; None: it is the trunk

    @property
    def title(self) -> str:
        return f"{self.cell.name}, seed {self.seed}, {self.name}"

    @property
    def row(self) -> dict:
        """What a row of results says of its network."""
        cell = {"width": self.cell.width, "weight_decay": self.cell.train.weight_decay}
        return cell | {"seed": self.seed, "name": self.name}


@dataclass(frozen=True)
class Pair:
    """Two networks of one cell, each by its seed and name; k is None if they share nothing."""

    cell: Cell
    k: int | None
    a: tuple[int, str]
    b: tuple[int, str]

    @property
    def id(self) -> str:
        return pair_id(self.cell.width, self.cell.train.weight_decay, self.k, (self.a[0], self.b[0]))

    def row(self, method: str) -> dict:
        """What a row of results says of its pair and of how it was aligned."""
        row = {"pair": self.id, "kind": "independent" if self.k is None else "spawned", "k": self.k}
        row |= {"width": self.cell.width, "weight_decay": self.cell.train.weight_decay}
        return row | {"seeds": [self.a[0], self.b[0]], "method": method}


def cell_name(width: float, weight_decay: float) -> str:
    return f"width-{width:g}-decay-{weight_decay:g}"


def pair_id(width: float, weight_decay: float, k: int | None, seeds: Sequence[int]) -> str:
    """The one spelling of which two networks a row, a file or a table speaks of."""
    between = "-".join(map(str, seeds)) if k is None else f"{seeds[0]}-parted-{k}"
    return f"{cell_name(width, weight_decay)}-seeds-{between}"


def child_recipe(study: Study, index: int) -> Train:
    """The recipe of child 0 or 1: the trunk's, with what spawn.children replaces."""
    return Train.model_validate(study.spawn.train.model_dump() | study.spawn.children[index])


def cells(study: Study) -> list[Cell]:
    """Every width with every weight decay; the first is the plain one, the only one with children.

    Raises InputError if a width is not a whole number of units, or the network has none to multiply.
    """
    network, recipe = study.spawn.network, study.spawn.train
    found = []
    for weight_decay in (recipe.weight_decay, *study.spawn.weight_decays):
        for width in (1.0, *study.spawn.widths):
            train = recipe.model_copy(update={"weight_decay": weight_decay})
            found.append(Cell(cell_name(width, weight_decay), width, _widened(network, width), train))
    return found


def _widened(network: Network, width: float) -> Network:
    if width == 1:
        return network
    if network.width is None:
        raise InputError(f"spawn.widths: {network.name} has no width to multiply: write an empty list")
    units = network.width * width
    if abs(units - round(units)) > 1e-6 or units < 1:
        raise InputError(f"spawn.widths: {width:g} times a width of {network.width} is not a whole number of units")
    return network.model_copy(update={"width": round(units)})


def _children(study: Study) -> list[tuple[int, str, Train, str | None]]:
    """(k, name, recipe, noise) of the children. Child a keeps the trunk's noise, and where it keeps the recipe as
    well it is the trunk, gone on to its end. Child b draws its own noise, the same for every k."""
    found: list[tuple[int, str, Train, str | None]] = []
    for k in study.spawn.epochs:
        recipe = child_recipe(study, 0)
        found.append((k, TRUNK if recipe == study.spawn.train else f"{k:05d}-a", recipe, None))
        found.append((k, f"{k:05d}-b", child_recipe(study, 1), "b"))
    return found


def runs(study: Study) -> list[Run]:
    """Every network, each after the trunk that it leaves."""
    found = []
    for index, cell in enumerate(cells(study)):
        for rank, seed in enumerate(study.spawn.seeds):
            found.append(Run(cell, seed, TRUNK, cell.train, seed, None))
            if index == 0 and rank < study.spawn.spawned:
                found += [
                    Run(cell, seed, name, recipe, f"{seed}-{noise}" if noise else seed, k)
                    for k, name, recipe, noise in _children(study)
                    if name != TRUNK
                ]
    return found


def waves(plan: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """The trunks, and the children, which need their trunks first; in each those that take long come first."""
    trunks, children = ([run for run in plan if (run.fork is None) == is_trunk] for is_trunk in (True, False))
    return sorted(trunks, key=lambda run: -run.cell.width), sorted(children, key=lambda run: run.fork)


def forks(plan: Sequence[Run], trunk: Run) -> list[int]:
    """The epochs after which runs of the plan leave this one; of a child, none."""
    own = {run.fork for run in plan if (run.cell, run.seed) == (trunk.cell, trunk.seed)} - {None}
    return sorted(own) if trunk.fork is None else []


def pairs(study: Study) -> list[Pair]:
    """The spawned pairs of every k, and in every cell the independent pairs, no two of which share a network."""
    found = []
    children = _children(study)
    for (k, a, *_), (_, b, *_) in zip(children[::2], children[1::2], strict=True):
        found += [Pair(cells(study)[0], k, (seed, a), (seed, b)) for seed in study.spawn.seeds[: study.spawn.spawned]]
    couples = list(zip(study.spawn.seeds[::2], study.spawn.seeds[1::2], strict=True))
    return found + [Pair(cell, None, (i, TRUNK), (j, TRUNK)) for cell in cells(study) for i, j in couples]
