"""The ways of matching the units of two networks: what each is called, and whose it is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    label: str
    source: str


METHODS = {
    "weights": Method("weight matching", "Ainsworth, Hayase, Srinivasa 2023"),
    "activations": Method("activation matching", "Ainsworth, Hayase, Srinivasa 2023"),
    "correlations": Method("correlation matching", "Jordan, Sedghi, Saukh, Entezari, Neyshabur 2023"),
    "ste": Method("straight-through estimator", "Ainsworth, Hayase, Srinivasa 2023"),
}
