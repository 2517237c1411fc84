"""The claims on classes split at random, rows of the same form as those of claims.py.

Two snapshots of each network are judged. `early`: that whose clusters agree best with the classes, among those where
the network has not memorised which part each sample was put into. `memorised`: the last one, if by then it has.
"""

from collections.abc import Mapping, Sequence

from hidden_structure.frame.params import Study
from hidden_structure.report.recovery.claims import AGREEMENT_FROM, NEARLY, YANG
from hidden_structure.report.summary import Measured, mean_and_spread

QUANTITIES = ("train_accuracy", "agreement", "ari", "parts_distance", "own_part", "class_accuracy", "probe_accuracy")
# Training accuracy counts as memorised from here on the way between what a guess at the part gives, and 1.
MEMORISED_FROM = 0.5


def memorised(row: Mapping) -> bool:
    return row["train_accuracy"] >= row["guess_accuracy"] + MEMORISED_FROM * (1 - row["guess_accuracy"])


def measure(rows: Sequence[Mapping]) -> Measured:
    """`split.early.<quantity>` and `split.memorised.<quantity>`, a value for every seed that has such a snapshot."""
    measured: Measured = {}
    for seed in dict.fromkeys(row["seed"] for row in rows):
        own = sorted((row for row in rows if row["seed"] == seed), key=lambda row: row["epoch"])
        early = [row for row in own if row["epoch"] > 0 and not memorised(row)]
        chosen = {"early": max(early, key=lambda row: row["agreement"])} if early else {}
        if memorised(own[-1]):
            chosen["memorised"] = own[-1]
        for when, row in chosen.items():
            for name in QUANTITIES:
                measured.setdefault(f"split.{when}.{name}", []).append(row[name])
    return measured


def table(study: Study, measured: Measured) -> list[dict]:
    """One row a claim: {id, claim, source, published, measured, spread, seeds, holds}; none if no class was split.

    A claim does not hold where a seed has no such snapshot; its numbers are those of the other seeds, or None.

    Args:
        measured: what `measure` gives, and `fine.test_accuracy`, of the network trained on the classes themselves.
    """
    seeds, parts = study.split.seeds, study.split.parts
    if not seeds:
        return []
    split = f"each of {study.split.classes} classes" if study.split.classes else "each class"
    trained = f"with {split} split at random into {parts} labels"
    floor = round(mean_and_spread(measured["fine.test_accuracy"])[0] - NEARLY, 4)  # as printed
    midway = "midway between knowing the class alone and 1"
    when = {
        "early": f"Trained {trained}, before the split is memorised (training accuracy below {midway}; of such "
        "snapshots the one with the best clusters),",
        "memorised": f"Trained {trained}, at the end, with the split memorised (training accuracy {midway} or higher),",
    }
    grouped = (
        "features group by the true class: clusters, as many as classes, give a fraction of "
        f"{AGREEMENT_FROM} or more of the training samples their true class."
    )
    probed = (
        f"a linear layer trained on the true classes reaches a test accuracy of {floor:g} or more, which is that of "
        f"the network trained on the classes themselves less {NEARLY}."
    )

    def row(name: str, quantity: str, sentence: str, bound: float) -> dict:
        found = measured.get(quantity, [])
        if failed := len(seeds) - len(found):
            sentence += f" For {failed} of {len(seeds)} seeds there is no such snapshot, so it does not hold."
        mean, spread = mean_and_spread(found) if found else (None, None)
        numbers = {"published": None, "measured": mean, "spread": spread, "seeds": seeds}
        return {"id": name, "claim": sentence, "source": YANG} | numbers | {"holds": not failed and mean >= bound}

    return [
        row("split.grouping", "split.early.agreement", f"{when['early']} {grouped}", AGREEMENT_FROM),
        row("split.grouping.memorised", "split.memorised.agreement", f"{when['memorised']} {grouped}", AGREEMENT_FROM),
        row("split.probe", "split.early.probe_accuracy", f"{when['early']} {probed}", floor),
        row("split.probe.memorised", "split.memorised.probe_accuracy", f"{when['memorised']} {probed}", floor),
    ]
