"""The claims on mode connectivity, rows of the same form as those of claims.py.

Barriers and instabilities are of the test error, in fractions of 1; `seeds` lists the trunks of spawned pairs, or the
two seeds of each independent pair.
"""

from hidden_structure.connectivity.spawning import cells
from hidden_structure.frame.params import Network, Study
from hidden_structure.report.connectivity.measure import independent_pairs, methods, spawned_pairs
from hidden_structure.report.plotting import METHODS
from hidden_structure.report.summary import Measured, mean_and_spread, rounded

FRANKLE = "Frankle, Dziugaite, Roy, Carbin 2020"
AINSWORTH = "Ainsworth, Hayase, Srinivasa 2023"
JORDAN = "Jordan, Sedghi, Saukh, Entezari, Neyshabur 2023"

# Two percent of error is where Frankle et al. draw the line between noise and instability; we hold independent
# networks, which they found far apart, to the same.
STABLE_BELOW = 0.02
# Small images on which even an MLP is stable from initialisation on, as their LeNet on MNIST was.
EASY = ("digits", "mnist", "fashion-mnist")
# Aligning must do much, not merely something: no paper gives a number for every network, so we ask for half.
ALIGNED_SHARE = 0.5
# "Zero barrier" of an MLP on such images: what cannot be told from none by eye in the authors' figures.
ZERO_AT_MOST = 0.005

# Test accuracy of the ends and of the midpoint after matching correlations, without and with REPAIR:
# (dataset, name, depth, width, norm) -> three fractions; None stands for any.
PUBLISHED = {
    ("cifar10", "resnet", 20, 16, "batch"): (0.936, 0.127, 0.676),
    ("cifar10", "resnet", 20, 64, "batch"): (0.961, 0.348, 0.921),
    ("cifar10", "vgg", 11, 64, "batch"): (0.922, 0.613, 0.882),
    ("mnist", "mlp", None, None, "none"): (0.991, 0.824, 0.980),
}


HIGHEST = "test error on the line between them rises above the straight line between its ends (the barrier) by"


def table(study: Study, measured: Measured) -> list[dict]:
    """One row a claim: {id, claim, source, published, measured, spread, seeds, holds}.

    Pairs are judged by their barrier; those of the last k by their instability (Frankle et al. 2020) too. The first k,
    where it is not 0, has no criterion, and so no claim, unless it is the last as well.
    """
    network = cells(study)[0].network
    easy = study.data.source in EASY and network.name == "mlp"
    pairs = [f"{pair.a[0]}-{pair.b[0]}" for pair in independent_pairs(study)]
    none = {ending: mean_and_spread(measured[f"permute.none.barrier{ending}"])[0] for ending in ("", "_repaired")}

    rows = []
    first, last = min(study.spawn.epochs), max(study.spawn.epochs)
    for k in sorted(study.spawn.epochs):
        name = quantity = f"spawn.barrier.k{k}"
        trunks = [pair.a[0] for pair in spawned_pairs(study, k)]
        plain = mean_and_spread(measured[quantity])[0]
        parted = f"Two networks that part after epoch {k} are"
        if k == 0 and not easy:
            sentence, holds = f"{parted} unstable: {HIGHEST} {STABLE_BELOW} or more.", plain >= STABLE_BELOW
        elif k in (0, last):
            like = ", as LeNet on MNIST does" if k == 0 else ""
            sentence, holds = f"{parted} stable: {HIGHEST} less than {STABLE_BELOW}{like}.", plain < STABLE_BELOW
        elif k == first:
            continue
        else:
            bound = mean_and_spread(measured[f"spawn.barrier.k{first}"])[0]
            sentence = (
                f"{parted} no less stable than after {first}: {HIGHEST} {bound:.4g} or less, the mean at k = {first}."
            )
            holds = plain <= bound
        rows.append(row(name, measured[quantity], sentence, FRANKLE, None, trunks, holds))
        sentence = (
            f"REPAIR harms no line between two networks that part after epoch {k}: with it the barrier in test "
            f"error is {plain:.4g} or less, the mean without it."
        )
        repaired = measured[f"{quantity}_repaired"]
        holds = mean_and_spread(repaired)[0] <= plain
        rows.append(row(f"{name}.repaired", repaired, sentence, JORDAN, None, trunks, holds))

    stability = measured[f"spawn.instability.k{last}"]
    sentence = (
        f"By Frankle et al.'s measure, two networks that part after epoch {last} are stable: the largest test error on "
        f"the line between them exceeds the mean of the two ends (the instability) by less than {STABLE_BELOW}."
    )
    trunks = [pair.a[0] for pair in spawned_pairs(study, last)]
    holds = mean_and_spread(stability)[0] < STABLE_BELOW
    rows.append(row(f"spawn.instability.k{last}", stability, sentence, FRANKLE, None, trunks, holds))

    for method in methods(study):
        name = f"permute.{method}.barrier"
        source = JORDAN if method == "correlations" else AINSWORTH
        published = _published(study, network) if method == "correlations" else (None, None)
        plain = mean_and_spread(measured[name])[0]
        repaired = measured[f"{name}_repaired"]
        midpoint = " The published figure is the barrier at the midpoint." if published[0] else ""
        if method == "none":
            sentence = f"Independent networks, not aligned, lie apart: {HIGHEST} {STABLE_BELOW} or more."
            holds, bound, halved = plain >= STABLE_BELOW, plain, ""
        else:
            half = rounded(ALIGNED_SHARE * none[""])
            zero = f", and {ZERO_AT_MOST} or less, which counts as zero" if easy else ""
            sentence = (
                f"Independent networks come together, aligned by {METHODS[method]}: {HIGHEST} "
                f"{half:.4g} or less, which is permute.none.barrier times {ALIGNED_SHARE:g}{zero}.{midpoint}"
            )
            holds = plain <= (min(half, ZERO_AT_MOST) if easy else half)
            half = rounded(ALIGNED_SHARE * none["_repaired"])
            bound = min(plain, half)
            halved = f", and {half:.4g} or less, which is permute.none.barrier.repaired times {ALIGNED_SHARE:g}"
        rows.append(row(name, measured[name], sentence, source, published[0], pairs, holds))
        sentence = (
            f"REPAIR raises no barrier ({METHODS[method]}): with it the barrier in test error is "
            f"{plain:.4g} or less, the mean without it{halved}.{midpoint}"
        )
        holds = mean_and_spread(repaired)[0] <= bound
        rows.append(row(f"{name}.repaired", repaired, sentence, JORDAN, published[1], pairs, holds))
    return rows


def row(
    name: str, values: list[float], sentence: str, source: str, published: float | None, seeds: list, holds: bool
) -> dict:
    """One claim, in the form of the table, on the mean over pairs."""
    mean, spread = mean_and_spread(values)
    numbers = {"published": published, "measured": mean, "spread": spread}
    return {"id": name, "claim": sentence, "source": source} | numbers | {"seeds": seeds, "holds": holds}


def _published(study: Study, network: Network) -> tuple[float | None, float | None]:
    """Barrier in test accuracy at the midpoint, without and with REPAIR."""
    own = (study.data.source, network.name, network.depth, network.width, network.norm)
    for key, (ends, midpoint, repaired) in PUBLISHED.items():
        if all(value in (None, other) for value, other in zip(key, own, strict=True)):
            return rounded(ends - midpoint), rounded(ends - repaired)
    return None, None
