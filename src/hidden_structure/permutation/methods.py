"""The ways of matching the units of two networks: names, sources and objectives; `matching` has the functions.

They are apart because tables and figures need these words, and none of the code that matches.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """label, source: what it is called, and whose it is. maximises: its objective, in words. published: there."""

    label: str
    source: str
    maximises: str
    published: bool = True


METHODS = {
    "weights": Method("weight matching", "Ainsworth, Hayase, Srinivasa 2023", "sum of products of weights"),
    "activations": Method(
        "activation matching", "Ainsworth, Hayase, Srinivasa 2023", "sum over units of mean products of activations"
    ),
    "correlations": Method(
        "correlation matching",
        "Jordan, Sedghi, Saukh, Entezari, Neyshabur 2023",
        "sum over units of correlations of activations",
    ),
    "ste": Method(
        "straight-through estimator",
        "Ainsworth, Hayase, Srinivasa 2023",
        "minus the training loss half-way (nats), from weight matching on",
    ),
    "joint": Method(
        "joint matching",
        "our reading of commutativity (Zhou, Yang, Yang, Yan, Hu 2023)",
        "sum of products of weights and, with as loud a vote, of correlations of activations",
        published=False,
    ),
}
