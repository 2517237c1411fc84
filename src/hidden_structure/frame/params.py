"""params.yaml as typed, validated sections: an unknown key or a bad value is an error that names it.

Every key must be present (null where it has no meaning), so that two studies compare line by line.
"""

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError, model_validator

from hidden_structure.frame import paths, yaml_files
from hidden_structure.frame.distilling import Distill
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.finetune import Finetune
from hidden_structure.frame.given import Inspect
from hidden_structure.frame.imbalance import Imbalance
from hidden_structure.frame.problems import first_problem
from hidden_structure.frame.section import Cut, Section
from hidden_structure.frame.sections import (
    Average,
    Cluster,
    Data,
    Features,
    Hardware,
    Interpolate,
    Linearity,
    Memorised,
    Merge,
    Merges,
    Network,
    Permute,
    Report,
    Split,
    Sweep,
    Tasks,
    Train,
    Unconstrained,
)
from hidden_structure.frame.spawn import Spawn
from hidden_structure.frame.values import Name, Seed, Some

PARAMS = paths.PARAMS
R = TypeVar("R", bound=Section)


class Study(Section):
    """A part that the study leaves out is None; what stands in a part is that part's own."""

    study: Name
    seeds: Some[Seed]
    hardware: Hardware
    tasks: Tasks
    data: Data
    merge: Merge
    network: Network
    train: Train | None
    features: Features
    cluster: Cluster
    memorised: Memorised | None
    merges: Merges | None
    split: Split | None
    sweep: Sweep | None
    imbalance: Imbalance | None
    finetune: Finetune | None
    unconstrained: Unconstrained | None
    distill: Distill | None
    inspect: Inspect | None
    spawn: Spawn | None
    permute: Permute | None
    interpolate: Interpolate | None
    linearity: Linearity | None
    average: Average | None
    report: Report

    @model_validator(mode="after")
    def _parts_belong_together(self) -> "Study":
        for name in ("permute", "interpolate", "linearity"):
            if self.spawn and getattr(self, name) is None:
                raise ValueError(f"{name}: the networks of spawn need it: add it, or set spawn to null")
            if getattr(self, name) and not self.spawn:
                raise ValueError(f"{name}: has no meaning without spawn: set it to null, or add spawn")
        if self.average:
            self._can_be_averaged(self.average)
        for name in ("memorised", "merges", "split", "sweep", "finetune", "distill"):
            if getattr(self, name) and not self.train:
                raise ValueError(f"{name}: is compared with the networks of train: add that, or set {name} to null")
        if self.finetune and (new := {*self.finetune.seeds} - {*self.seeds}):
            raise ValueError(f"finetune.seeds: {min(new)} is no seed of the study: add it there, or leave it out")
        if self.distill and self.distill.teacher == "coarse" and self.distill.merge != self.merge:
            raise ValueError("distill.merge: a coarse teacher has the study's own merge: give that, or teacher: own")
        if self.distill and self.distill.teacher == "coarse" and (new := {*self.distill.teachers} - {*self.seeds}):
            raise ValueError(f"distill.teachers: {min(new)} is no seed of the study: add it there, or teacher: own")
        return self

    def _can_be_averaged(self, average: Average) -> None:
        if not self.spawn:
            raise ValueError("average: is of the networks of spawn: set it to null, or add spawn")
        networks = len(self.spawn.checkpoints or self.spawn.seeds)
        if average.counts[-1] > networks:
            raise ValueError(f"average.counts: there are only {networks} networks in spawn: lower {average.counts[-1]}")
        if other := {*average.widths} - {1, *self.spawn.widths}:
            raise ValueError(f"average.widths: {min(other):g} is neither 1 nor one of spawn.widths")


def keys(reads: type[Section]) -> set[str]:
    """What of params.yaml a stage declares that it reads: names of sections, dotted where only some keys of one."""
    found = set()
    for name, field in reads.model_fields.items():
        kind = field.annotation
        cut = isinstance(kind, type) and issubclass(kind, Cut)
        found |= {f"{name}.{key}" for key in kind.model_fields} if cut else {name}
    return found


def load(path: Path = PARAMS, reads: type[R] = Study) -> R:
    """Read and check one study, or what `reads` declares of it.

    Raises InputError, in one line that names the file or the key, if the file cannot be read or is not YAML 1.2, a key
    is unknown, missing or repeated, or a value is of the wrong type or impossible.
    """
    content = yaml_files.read(path, "run from the repository's root, or write it by `hidden-structure select NAME`")
    if not isinstance(content, dict):
        raise InputError(f"{path} must map section names to sections")
    try:
        return reads.model_validate(content if reads is Study else _declared(content, reads))
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error, reads)}") from error


def _declared(content: dict, reads: type[Section]) -> dict:
    """Other sections, and other keys of a section, are checked where they are read."""
    declared = {name: value for name, value in content.items() if name in reads.model_fields}
    for name, value in declared.items():
        kind = reads.model_fields[name].annotation
        if isinstance(kind, type) and issubclass(kind, Cut) and isinstance(value, dict):
            declared[name] = {key: one for key, one in value.items() if key in kind.model_fields}
    return declared
