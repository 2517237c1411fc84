"""The section `distill` of params.yaml: which values each key may have; defaults.yaml says what it means."""

from typing import Literal

from pydantic import model_validator

from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Merge, Network, Train
from hidden_structure.frame.values import (
    DISTILLATIONS,
    HARD_PIECES,
    SOFT_PIECES,
    Epochs,
    Inside,
    OneOrSome,
    Pieces,
    Seed,
    Set,
    Share,
    Some,
    Temperature,
    Weight,
)


class Lelp(Section):
    """The steps of the projections that can be left out."""

    null_space: bool
    pca: bool
    rotate: bool
    standardise: bool


class Distill(Section):
    """Students of teachers that know few classes."""

    seeds: Some[Seed]
    teacher: Literal["coarse", "own"]
    teachers: Some[Seed]
    merge: Merge
    network: Network
    train: Train
    epochs: Set[Epochs]
    methods: Set[Literal[DISTILLATIONS]]
    lelp: Lelp
    subclasses: Some[Pieces]
    betas: Some[Temperature]
    softnesses: Some[Share]
    temperatures: Some[Temperature]
    validation: Inside
    tuning: Epochs | None
    tuning_seeds: Some[Seed] | None
    augmented: bool
    hint: OneOrSome[Weight]
    contrast: OneOrSome[Weight]
    contrast_temperature: Temperature

    def held_out(self, samples: int) -> int:
        """Training samples that choose hyper-parameters."""
        return max(1, round(self.validation * samples))

    @model_validator(mode="after")
    def _something_to_compare_with(self) -> "Distill":
        if "kd" not in self.methods:
            raise ValueError("methods: kd is what all are compared with: add it")
        if (self.tuning or 0) > self.train.epochs:
            raise ValueError(f"tuning: the students themselves have only {self.train.epochs} epochs")
        return self

    @model_validator(mode="after")
    def _further_lengths_are_others(self) -> "Distill":
        if self.train.epochs in self.epochs:
            raise ValueError(f"epochs: {self.train.epochs} is the recipe's own: leave it out")
        least = max(self.train.clean, self.train.snapshots - 1)
        for name, lengths in {"epochs": self.epochs, "tuning": [self.tuning] if self.tuning else []}.items():
            if lengths and min(lengths) < least:
                raise ValueError(f"{name}: {min(lengths)} are fewer than train.clean and train.snapshots ask for")
        return self

    @model_validator(mode="after")
    def _chances_are_equal(self) -> "Distill":
        both = HARD_PIECES & {*self.methods} and SOFT_PIECES & {*self.methods}
        if both and self.softnesses != [0.0] and len(self.softnesses) != len(self.betas):
            tried = f"{len(self.softnesses)} for hard pieces, and {len(self.betas)} betas for soft ones"
            raise ValueError(f"softnesses: {tried}: try as many, or one kind of pieces is tuned better")
        if shared := sorted({*self.seeds} & {*(self.tuning_seeds or ())}):
            raise ValueError(f"tuning_seeds: {shared[0]} is among seeds, whose students are to be new: take others")
        return self
