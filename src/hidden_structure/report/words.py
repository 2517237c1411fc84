"""Numbers and verdicts as readers see them: the same on the page, in README.md and in LaTeX."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hidden_structure.frame.params import Study
from hidden_structure.frame.sections import Network, Train
from hidden_structure.report.claim import KINDS, VERDICTS, Claim, Kind, Verdict

MARKS: Mapping[Verdict, str] = {
    "supported": "\N{CHECK MARK}",
    "contradicted": "\N{BALLOT X}",
    "undecided": "?",
    "not assessable": "\N{EN DASH}",
}
GROUPS: Mapping[Kind, str] = {
    "published": "claims of the sources",
    "ours": "questions of our own",
    "control": "controls",
    "precondition": "preconditions",
}
KIND: Mapping[Kind, str] = {
    "published": "of the source",
    "ours": "ours",
    "control": "control",
    "precondition": "precondition",
}
SOURCES = {
    "digits": "scikit-learn's digits",
    "mnist": "MNIST",
    "fashion-mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "folder": "A folder of images",
}
FAMILIES = {"mlp": "MLP", "resnet": "ResNet", "vgg": "VGG"}


def about(study: Study, classes: Sequence[Mapping]) -> str:
    """A study's data, labels and network in a sentence or two; classes: rows of that table, or none."""
    source = SOURCES.get(study.data.source, study.data.source)
    given = [*(study.inspect.checkpoints if study.inspect else ()), *(study.spawn.checkpoints if study.spawn else ())]
    if given and study.train is None:
        built = _built((study.spawn or study).network)
        return f"{source}: {len(classes)} classes. {len(given)} given network{'s' * (len(given) > 1)}: {built}."
    if study.train is None and (part := study.spawn or study.imbalance):
        own = _trained(study.spawn.network if study.spawn else study.network, part.train, part.seeds)
        return f"{source}: {len(classes)} classes. {own}" if classes else f"{source}. {own}"
    merge = " ".join(str(word) for word in (study.merge.method, study.merge.classes) if word is not None)
    superclasses = len({row.get("superclass") for row in classes})
    counts = f"{len(classes)} classes, merged into {superclasses}" if classes else "classes, merged"
    data = f"{source}: {counts} ({merge})."
    return f"{data} {_trained(study.network, study.train, study.seeds)}" if study.train else data


def _trained(network: Network, train: Train, seeds: Sequence[int]) -> str:
    epochs = f"{train.epochs} epoch{'s' * (train.epochs > 1)}"
    return f"{_built(network)}; {epochs}; seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}."


def _built(network: Network) -> str:
    sizes = [f"{name} {value}" for name in ("depth", "width") if (value := getattr(network, name)) is not None]
    norm = [f"{network.norm} norm"] if network.norm not in (None, "none") else []
    return ", ".join([FAMILIES.get(network.name, network.name.rpartition(":")[2]), *sizes, *norm])


def number(value: float, digits: int = 4) -> str:
    """With so many significant digits, and no exponent where it would not shorten it."""
    if isinstance(value, (bool, int)):
        return true_minus(str(value))
    text = f"{value:.{digits}g}"
    return true_minus(f"{value:.0f}" if "e+" in text and abs(value) < 1e9 else text)


def cell(value: Any) -> str:
    """Of a table: nothing, text, a number, or several."""
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(cell, value))
    return true_minus(value) if isinstance(value, str) else number(value)


def measured(row: Mapping[str, Any]) -> tuple[str, str]:
    """A claim's mean with its standard error, and how sure that is; row: as Claim.row gives it."""
    if not row["n"]:
        return "", ""
    error = "" if row["standard_error"] is None else f" ± {number(row['standard_error'], 2)}"
    sure = f"n = {row['n']}"
    if row["interval"] is not None:
        low, high = (number(end, 3) for end in row["interval"])
        sure += f", 95 % interval {low} to {high}"
    return number(row["measured"]) + error, sure


def true_minus(text: str) -> str:
    """The text with a minus sign in place of each hyphen that begins a number."""
    return re.sub(r"(?<![\w.)\]-])-(?=\.?\d)", "\N{MINUS SIGN}", text)


def in_order(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Claims as they are listed: by verdict, what failed first, and by kind."""
    return sorted(rows, key=lambda row: (VERDICTS.index(row["verdict"]), KINDS.index(row["kind"])))


def tally(claims: Iterable[Claim]) -> dict[Kind, dict[Verdict, int]]:
    """How many claims of each kind have each verdict."""
    counts = {kind: dict.fromkeys(VERDICTS, 0) for kind in KINDS}
    for claim in claims:
        counts[claim.kind][claim.verdict] += 1
    return counts
