"""params.yaml as typed, validated sections: an unknown key or a bad value is an error that names it.

Every key must be present (null where it has no meaning), so that two studies compare line by line.
"""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError, model_validator
from ruamel.yaml import YAML

from hidden_structure.errors import InputError
from hidden_structure.problems import first_problem
from hidden_structure.sections import (
    Cluster,
    Data,
    Distill,
    Features,
    Hardware,
    Interpolate,
    Linearity,
    Merge,
    Merges,
    Name,
    Network,
    Permute,
    Report,
    Section,
    Spawn,
    Split,
    Sweep,
    Train,
    Unconstrained,
    distinct,
)


class Study(Section):
    study: Name
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), AfterValidator(distinct)]
    hardware: Hardware
    data: Data
    merge: Merge
    network: Network
    train: Train
    features: Features
    cluster: Cluster
    merges: Merges
    split: Split
    sweep: Sweep
    unconstrained: Unconstrained
    distill: Distill
    spawn: Spawn
    permute: Permute
    interpolate: Interpolate
    linearity: Linearity
    report: Report

    @model_validator(mode="after")
    def _spawning_is_possible(self) -> "Study":
        if not self.spawn.seeds:
            return self
        if len(self.spawn.seeds) == 1:
            raise ValueError("spawn.seeds: one network makes no pair: give two seeds or more, or none")
        if self.spawn.spawned > len(self.spawn.seeds):
            raise ValueError(f"spawn.spawned: there are only {len(self.spawn.seeds)} spawn.seeds")
        trunk = trunk_recipe(self)
        if 1 in self.spawn.widths:
            raise ValueError("spawn.widths: 1 is the network itself, which is always there: leave it out")
        if trunk.weight_decay in self.spawn.weight_decays:
            raise ValueError(f"spawn.weight_decays: {trunk.weight_decay:g} is the recipe's own: leave it out")
        for index in range(2):
            recipe = child_recipe(self, index)
            if recipe.optimizer != trunk.optimizer:
                raise ValueError(f"spawn.children.{index}: a child keeps its trunk's optimizer, {trunk.optimizer}")
            if max(self.spawn.epochs) >= recipe.epochs:
                raise ValueError(f"spawn.epochs: children must part before the last of {recipe.epochs} epochs")
        return self


def trunk_recipe(study: Study) -> Train:
    return study.spawn.train or study.train


def child_recipe(study: Study, index: int) -> Train:
    """The recipe of child 0 or 1. Raises ValueError if spawn.children makes no valid recipe of the trunk's."""
    try:
        return Train.model_validate(trunk_recipe(study).model_dump() | study.spawn.children[index])
    except ValidationError as error:
        raise ValueError(f"spawn.children.{index}: {first_problem(error, Train)}") from error


def load(path: Path = Path("params.yaml")) -> Study:
    """Read and check one study.

    Raises InputError, in one line that names the key, if the file is missing or not YAML 1.2, a key is unknown,
    missing or repeated, or a value is of the wrong type or impossible.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing: run from the repository's root, or copy one of studies/ there") from error
    except Exception as error:  # besides YAMLError the reader lets KeyError, IndexError, RecursionError ... through
        raise InputError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} must map section names to sections")
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error, Study)}") from error
