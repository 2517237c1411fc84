"""What the stage average-networks computes, made up: pairs merge well, all together better, unmatched ones do not."""

REPAIRED = {"none": 0.6, "pairwise": 0.92, "together": 0.95}  # test accuracy of the mean of three, with REPAIR
WIDTHS = (1, 0.5)
LABELS = {"fine": {"test_counts": {f"class {index}": 10 for index in range(10)}}}


def scores(accuracy: float) -> dict:
    return {"test_loss": 2.5 * (1 - accuracy) + 0.05, "test_accuracy": accuracy}


def mean(matching: str, reference: int | None, repaired: bool, accuracy: float) -> dict:
    row = {"matching": matching, "reference": reference, "repaired": repaired}
    return row | {"objective": 100 * accuracy} | scores(accuracy if repaired else accuracy - 0.1)


def group(seeds: list[int], width: float = 1) -> dict:
    """Of the networks of these seeds."""
    shift = 0.001 * seeds[0] - 0.01 * (len(seeds) - 3)
    means = []
    for repaired in (False, True):
        means.append(mean("none", None, repaired, REPAIRED["none"] + shift))
        means += [mean("pairwise", seed, repaired, REPAIRED["pairwise"] + shift + 0.002 * seed) for seed in seeds]
        means.append(mean("together", None, repaired, REPAIRED["together"] + shift + 0.0005 * seeds[-1]))
    return {
        "width": width,
        "weight_decay": 0.0,
        "seeds": seeds,
        "networks": [scores(0.96 + 0.001 * seed) for seed in seeds],
        "ensembles": {kind: scores(0.975) for kind in ("probabilities", "logits")},
        "lost_in_cycles": 0.9 if len(seeds) > 2 else None,
        "means": means,
    }


def results(seeds: int = 6, counts: tuple[int, ...] = (2, 3, 6)) -> dict:
    """By the name of each file, of every width, of so many networks."""
    sets = [list(range(at, at + n)) for n in counts for at in range(0, seeds - n + 1, n)]
    return {"average": [group(own, width) for width in WIDTHS for own in sets], "labels": LABELS}
