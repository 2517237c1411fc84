"""The claims on neural collapse: four properties, four claims, of the network on either labels.

Each property is asked for both at the end and against the initialisation, because some an untrained network has: its
rows have nearly equal norms, and directions drawn at random nearly equal angles.
"""

import math
from collections.abc import Mapping, Sequence

from hidden_structure.frame.params import Study
from hidden_structure.report.claim import Claim, Criterion, unless
from hidden_structure.report.preconditions import trained as properly_trained
from hidden_structure.report.statistics import finite

IDEA = "collapse"
PAPYAN = "Papyan, Han, Donoho 2020"
ZHU = "Zhu, Ding, Zhou, Li, You, Sulam, Qu 2021"
FITTED_FROM = 0.999  # training accuracy: zero error, but for what augmentation still makes of a sample
LEFT_BELOW = 0.99  # training accuracy: who falls so far after that is trained anew
# property -> the most it may be at the end, and as a ratio to what it was at initialisation
BOUNDS = {
    "nc1": (0.1, 0.1),  # a decade lower; the source shows one to three
    "simplex": (0.1, 0.5),  # directions drawn at random in 64 dimensions have cosines of about 0.1
    "nc3": (0.2, 0.2),  # 11 degrees between last layer and class means, of about 90 at initialisation
    "nc4": (0.01, 0.1),
}
# Between what the unconstrained features model predicts and what a network does. For the gap it predicts from the
# network's own norms, little is left but the angle between last layer and features: a factor of 2 any network meets.
FACTORS = {"gap": 1.1, "wrong": 2.0}
MODEL = {  # column -> what it is
    "gap": "excess of the right class's logit over a wrong one's",
    "wrong": "probability of a wrong class",
}


def claims(study: Study, training: Sequence[Mapping], collapse: Sequence[Mapping]) -> list[Claim]:
    """training, collapse: rows of the tables of these names."""
    found = []
    for supervision in ("fine", "coarse"):
        networks = of(collapse, supervision)
        met = terminal(training, supervision), trained(study, training, collapse, supervision)
        failed = next(filter(None, map(unless, met)), "")
        own = [*(_beside(name, networks, supervision, failed) for name in MODEL if name in networks[0])]
        found += [
            *met,
            *own,
            *(_claim(name, networks, supervision, failed) for name in _properties(networks[0]["classes"])),
        ]
    return found


def of(rows: Sequence[Mapping], supervision: str) -> list[Mapping]:
    """The networks of one supervision, in the order of the seeds."""
    return sorted((row for row in rows if row["supervision"] == supervision), key=lambda row: row["seed"])


def terminal(training: Sequence[Mapping], supervision: str) -> Claim:
    """That the networks fit their training set, which is where collapse begins."""
    networks = of(training, supervision)
    return Claim(
        id=f"{IDEA}.{supervision}.terminal",
        idea=IDEA,
        kind="precondition",
        statement=f"The networks on {supervision} labels reached the terminal phase of training.",
        criterion=Criterion(
            "accuracy over the last epoch of training, augmented as in training (fraction)",
            at_least=FITTED_FROM,
            origin="ours: zero training error, the source's beginning of the terminal phase, rounded down",
        ),
        values=tuple(row["train"]["accuracy"][-1] for row in networks),
        seeds=seeds(networks),
        source=PAPYAN,
    )


def lapse(network: Mapping) -> tuple[int, float] | None:
    """Epoch and value of the lowest training accuracy of a network that had fitted its training set and then did not.

    Of a network that normalises and decays its weights, these shrink while there is no error, until a step is too long
    for them. None of networks to which nothing of the kind happened; network: a row of the table `training`.
    """
    curve = list(zip(network["epochs"], network["train"]["accuracy"], strict=True))
    fitted = next((place for place, (_, value) in enumerate(curve) if value >= FITTED_FROM), len(curve))
    lowest = min(curve[fitted:], key=lambda one: one[1], default=(0, 1.0))
    return lowest if lowest[1] < LEFT_BELOW else None


def trained(study: Study, training: Sequence[Mapping], collapse: Sequence[Mapping], supervision: str) -> Claim:
    """That the networks do on the test set what networks of the kind do."""
    networks = of(training, supervision)
    return properly_trained(
        f"{IDEA}.{supervision}.trained",
        f"the networks on {supervision} labels are",
        [row["test"]["accuracy"][-1] for row in networks],
        seeds(networks),
        study.data.source,
        of(collapse, supervision)[0]["classes"],
    )


def seeds(networks: Sequence[Mapping]) -> tuple[str, ...]:
    return tuple(str(row["seed"]) for row in networks)


def criterion(name: str) -> Criterion:
    """Of a property, on what `score` gives."""
    end, ratio = BOUNDS[name]
    quantity = {
        "nc1": "NC1",
        "simplex": "std/mean of the class means' norms and excess of their cosines over the least possible, the larger",
        "nc3": "NC3",
        "nc4": "share of training samples on which nearest class mean and network disagree",
    }[name]
    return Criterion(
        f"{quantity}: at the end over {end:g}, or its ratio to initialisation over {ratio:g}, whichever is larger",
        at_most=1.0,
        origin="ours: the limit is 0, the source states no bound",
    )


def score(name: str, network: Mapping) -> float:
    """The property at the end over its bound, or its ratio to initialisation over that one's, the larger of both.

    network: row of the table `collapse`.
    """
    end, ratio = BOUNDS[name]
    if name == "simplex":
        return max(_score(network["norms"]["means"], end, ratio), _score(excess(network), end, ratio))
    return _score(network[name], end, ratio)


def excess(network: Mapping) -> list[float]:
    """Over epochs: by how much the cosines of two centred class means exceed the least possible, in quadrature.

    The root mean square cosine of C vectors in k dimensions is at least sqrt((C-k)/(k(C-1))) (Welch). Centred means
    have k = C-1 dimensions at most, where that is 1/(C-1), the simplex's, and fewer if the features have fewer.
    """
    classes, dimension = network["classes"], network["dimension"]
    rank = min(classes - 1, dimension or classes - 1)
    least = (classes - rank) / (rank * (classes - 1))
    cosines = zip(network["cosine"]["means"], network["spread"]["means"], strict=True)
    return [math.sqrt(max(0.0, mean**2 + spread**2 - least)) for mean, spread in cosines]


def off(name: str, network: Mapping) -> float:
    """By what power of two the network's quantity differs from the model's at the end; infinite where either is 0."""
    own, model = (network[name][of][-1] for of in ("network", "model"))
    return abs(math.log2(own / model)) if own > 0 and model > 0 else math.inf


def _beside(name: str, networks: Sequence[Mapping], supervision: str, failed: str) -> Claim:
    values = tuple(off(name, network) for network in networks)
    statements = {
        "gap": "logits lie as far apart as in the unconstrained features model's optimum of the same norms",
        "wrong": "last layer balances weight decay as in the unconstrained features model, which tells from its norms "
        "what wrong classes get",
    }
    unmet = "" if all(map(math.isfinite, values)) else "the last layer is not decayed, or wrong classes get nothing"
    return Claim(
        id=f"{IDEA}.{supervision}.model-{name}",
        idea=IDEA,
        kind="ours",
        statement=f"Trained on {supervision} labels, a network's {statements[name]}.",
        criterion=Criterion(
            f"{MODEL[name]}, of the network over the model's at the end: logarithm to base 2, without its sign",
            at_most=math.log2(FACTORS[name]),
            origin=f"ours: a factor of {FACTORS[name]:g}",
        ),
        values=() if unmet else values,
        seeds=() if unmet else seeds(networks),
        source=ZHU,
        unmet=failed or unmet,
    )


def _score(over_epochs: Sequence[float], end: float, ratio: float) -> float:
    first, last = (finite(value, "a measure of collapse") for value in (over_epochs[0], over_epochs[-1]))
    return max(last / end, (last / first if first > 0 else 1.0) / ratio)  # what is 0 from the start did not come to be


def _properties(classes: int) -> list[str]:
    return [name for name in BOUNDS if classes > 2 or name != "simplex"]  # two centred means are always opposite


def _claim(name: str, networks: Sequence[Mapping], supervision: str, failed: str) -> Claim:
    statements = {
        "nc1": "features collapse to their class means (NC1)",
        "simplex": "centred class means come to equal norms and to angles as wide as can be (NC2)",
        "nc3": "last layer comes to be the class means, up to scale (NC3)",
        "nc4": "decisions come to be those of the nearest class mean (NC4)",
    }
    return Claim(
        id=f"{IDEA}.{supervision}.{name}",
        idea=IDEA,
        kind="published",
        statement=f"Trained on {supervision} labels, a network's {statements[name]}.",
        criterion=criterion(name),
        values=tuple(score(name, network) for network in networks),
        seeds=seeds(networks),
        source=PAPYAN,
        unmet=failed,
    )
