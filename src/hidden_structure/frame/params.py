"""params.yaml as typed, validated sections: an unknown key or a bad value is an error that names it.

Every key must be present (null where it has no meaning), so that two studies compare line by line.
"""

from pathlib import Path

from pydantic import ValidationError, model_validator

from hidden_structure.frame import yaml_files
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.problems import first_problem
from hidden_structure.frame.sections import (
    WIDEST,
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
    Seed,
    Some,
    Spawn,
    Split,
    Sweep,
    Train,
    Unconstrained,
)


class Study(Section):
    study: Name
    seeds: Some[Seed]
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
    def _epochs_suffice(self) -> "Study":
        for name, recipe in (("train", self.train), ("split.train", self.split.train)):
            if recipe and recipe.snapshots > recipe.epochs + 1:
                raise ValueError(f"{name}.snapshots: at most {recipe.epochs + 1}, the start and every epoch")
        epochs = (self.distill.train or self.train).epochs
        if self.distill.seeds and (self.distill.tuning or 0) > epochs:
            raise ValueError(f"distill.tuning: the students themselves have only {epochs} epochs")
        return self

    @model_validator(mode="after")
    def _spawning_is_possible(self) -> "Study":
        recipes = [child_recipe(self, index) for index in range(2)]
        if not self.spawn.seeds:
            return self
        if len(self.spawn.seeds) % 2:
            raise ValueError("spawn.seeds: two networks make a pair, and no two pairs share one: give an even number")
        if self.spawn.spawned > len(self.spawn.seeds):
            raise ValueError(f"spawn.spawned: there are only {len(self.spawn.seeds)} spawn.seeds")
        trunk = trunk_recipe(self)
        if 1 in self.spawn.widths:
            raise ValueError("spawn.widths: 1 is the network itself, which is always there: leave it out")
        if trunk.weight_decay in self.spawn.weight_decays:
            raise ValueError(f"spawn.weight_decays: {trunk.weight_decay:g} is the recipe's own: leave it out")
        width = (self.spawn.network or self.network).width or 0
        if self.spawn.widths and width * max(self.spawn.widths) > WIDEST:
            raise ValueError(f"spawn.widths: {max(self.spawn.widths):g} times {width} is more than {WIDEST:,} units")
        for index, recipe in enumerate(recipes):
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

    Raises InputError, in one line that names the file or the key, if the file cannot be read or is not YAML 1.2, a key
    is unknown, missing or repeated, or a value is of the wrong type or impossible.
    """
    content = yaml_files.read(path, "run from the repository's root, or copy one of studies/ there")
    if not isinstance(content, dict):
        raise InputError(f"{path} must map section names to sections")
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error, Study)}") from error
