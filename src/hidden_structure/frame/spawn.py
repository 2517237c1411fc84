"""The section of params.yaml that says which networks part from which: the connectivity study."""

from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from hidden_structure.frame.problems import first_problem
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Network, Train
from hidden_structure.frame.values import WIDEST, Seed, Set, Size, Some, Text, Weight

# What the state of an optimizer depends on, which a child takes over from its trunk.
OF_THE_OPTIMIZER = ("optimizer", "decay_vectors", "shift_rate", "others_rate")
Changed = dict[Text, Any]  # keys of train


class Spawn(Section):
    """The networks whose connectivity is studied, all on fine labels."""

    seeds: Some[Seed]
    network: Network
    train: Train
    checkpoints: Set[Text]
    train_samples: Size | None
    spawned: Annotated[int, Field(ge=1, le=1000)]
    epochs: Set[Annotated[int, Field(ge=0, lt=100_000)]]
    steps: Set[Annotated[int, Field(ge=0, lt=10**9)]]
    children: Annotated[list[Changed], Field(min_length=2, max_length=2)]
    recipes: Annotated[
        list[Annotated[Changed, Field(min_length=1, max_length=8)]], Field(max_length=100)  # a folder is named after it
    ]
    widths: Set[Annotated[float, Field(gt=0, le=1000)]]
    weight_decays: Set[Weight]

    @model_validator(mode="after")
    def _children_part_from_their_trunk(self) -> "Spawn":
        if not self.epochs and not self.steps:
            raise ValueError("epochs: children part after some k: give one here or in steps")
        for trunk in (self.train, *self._other_recipes()):
            for index, changed in enumerate(self.children):
                recipe = _replaced(trunk, changed, f"children.{index}")
                for key in OF_THE_OPTIMIZER:
                    if getattr(recipe, key) != (kept := getattr(trunk, key)):
                        raise ValueError(f"children.{index}: a child keeps its trunk's {key}, {kept}")
                for own in (trunk, recipe):
                    if max(self.epochs, default=0) >= own.epochs:
                        raise ValueError(f"epochs: children must part before the last of {own.epochs} epochs")
        if len(self.seeds) % 2:
            raise ValueError("seeds: two networks make a pair, and no two pairs share one: give an even number")
        if self.spawned > len(self.seeds):
            raise ValueError(f"spawned: there are only {len(self.seeds)} seeds")
        return self

    def _other_recipes(self) -> list[Train]:
        found = [_replaced(self.train, changed, f"recipes.{index}") for index, changed in enumerate(self.recipes)]
        for index, recipe in enumerate(found):
            if recipe in (self.train, *found[:index]):
                raise ValueError(f"recipes.{index}: is train itself, or a recipe before it: leave it out")
        return found

    @model_validator(mode="after")
    def _further_networks_are_others(self) -> "Spawn":
        if len(self.checkpoints) == 1:
            raise ValueError("checkpoints: two networks make a pair: give another")
        if self.checkpoints and (self.widths or self.weight_decays or self.recipes):
            raise ValueError("checkpoints: are of one network: set widths, weight_decays and recipes to empty lists")
        if 1 in self.widths:
            raise ValueError("widths: 1 is the network itself, which is always there: leave it out")
        if self.train.weight_decay in self.weight_decays:
            raise ValueError(f"weight_decays: {self.train.weight_decay:g} is the recipe's own: leave it out")
        width = self.network.width or 0
        if self.widths and width * max(self.widths) > WIDEST:
            raise ValueError(f"widths: {max(self.widths):g} times {width} is more than {WIDEST:,} units")
        return self


def replaced(recipe: Train, changed: Changed) -> Train:
    """The recipe with these keys in place of its own. Raises ValidationError if they make none."""
    return Train.model_validate(recipe.model_dump() | changed)


def _replaced(recipe: Train, changed: Changed, key: str) -> Train:
    try:
        return replaced(recipe, changed)
    except ValidationError as error:
        raise ValueError(f"{key}: {first_problem(error, Train)}") from error
