"""What was trained for a study, and at what cost: a few lines, one a kind of network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Numbers, Tables
from hidden_structure.report.collapse.claims import of
from hidden_structure.report.statistics import rounded
from hidden_structure.report.words import number

STUDY, STUDENT, SPAWN = "network", "distill.network", "spawn.network"  # as the table `flops` names them
PETA = 1e15


@dataclass(frozen=True)
class Kind:
    """Networks that are told in one line.

    networks: one each, its place in the table `flops`, the images of an epoch and its epochs. train, test: accuracies
    on their own labels; of some kinds one of them is not in the tables.
    """

    name: str
    seeds: Sequence[int]
    networks: Sequence[tuple[tuple[str, float, int], int, int]]
    train: Sequence[float] = ()
    test: Sequence[float] = ()


def trained(study: Study, tables: Tables) -> Numbers | None:
    """None of a study that trains nothing."""
    found = list(_kinds(study, tables))
    if not found:
        return None
    flop = {(row["network"], row["width"], row["outputs"]): row["flop"] for row in tables("flops")}
    costs = [[_pflop(flop, network) for network in kind.networks] for kind in found]
    rows = [_row(kind, own) for kind, own in zip(found, costs, strict=True)]
    every = [cost for own in costs for cost in own]
    if len(rows) > 1 and None not in every:
        rows.append(("all of these", len(every), *[None] * 4, number(rounded(sum(every)), 3), None, None))
    return Numbers(
        "trained",
        "What was trained",
        "PFLOP are 6 times the multiplications of the network times images times epochs, over 10^15"
        + (", and not known of tables that an earlier version made. " if not flop else "; of all, the sum. ")
        + "Accuracies are on the networks' own labels, in training those of the last epoch; from the least to the most "
        "over the networks of a line. Networks that only served to choose hyper-parameters, or to invent pieces, are "
        "not counted.",
        (
            *("networks", "number", "seeds", "epochs", "images", "labels", "PFLOP each"),
            *("training accuracy", "test accuracy"),
        ),
        rows,
    )


def _row(kind: Kind, costs: Sequence[float | None]) -> tuple:
    keys, images, epochs = zip(*kind.networks, strict=True)
    sizes = (_range(values) for values in (epochs, images, [outputs for *_, outputs in keys]))
    cost = None if None in costs else _range([rounded(cost) for cost in costs])
    seeds = ", ".join(map(str, dict.fromkeys(kind.seeds)))
    return kind.name, len(kind.networks), seeds, *sizes, cost, _range(kind.train), _range(kind.test)


def _range(values: Sequence[float]) -> str | None:
    if not values:
        return None
    ends = (number(end, 3) if isinstance(end, float) else str(end) for end in (min(values), max(values)))
    return " to ".join(dict.fromkeys(ends))


def _pflop(flop: Mapping, network: tuple[tuple[str, float, int], int, int]) -> float | None:
    key, images, epochs = network
    return flop[key] * images * epochs / PETA if key in flop else None


def _kinds(study: Study, tables: Tables) -> Iterator[Kind]:
    classes = tables("classes")
    images, fine = sum(row["train"] for row in classes), len(classes)
    if study.train:
        counts = {"fine": fine, "coarse": len({row["superclass"] for row in classes})}
        for supervision, count in counts.items():
            own = of(tables("training"), supervision)
            last = {split: [row[split]["accuracy"][-1] for row in own] for split in ("train", "test")}
            each = (STUDY, 1, count), images, study.train.epochs
            if own:
                yield Kind(f"{supervision} labels", [row["seed"] for row in own], [each] * len(own), **last)
    if study.memorised and (rows := tables("memorised")):
        each = (STUDY, 1, len({row["superclass"] for row in classes})), images, study.memorised.train.epochs
        fitted = [row["fitted"] for row in rows]
        yield Kind("coarse labels, shuffled", [row["seed"] for row in rows], [each] * len(rows), fitted)
    if study.merges:
        yield from _merged(study, tables("merges"), images, fine)
    if study.split and (rows := tables("split")):
        split = fine + min(fine, study.split.classes or fine) * (study.split.parts - 1)
        each = (STUDY, 1, split), images, study.split.train.epochs
        train = [row["train_accuracy"][-1] for row in rows]
        yield Kind("split labels", [row["seed"] for row in rows], [each] * len(rows), train)
    if study.sweep and (rows := tables("sweep")):
        each = (STUDY, 1, len({row["superclass"] for row in classes})), images, study.sweep.train.epochs
        last = ([v for row in rows if (v := row[f"{split}_accuracy"]) is not None] for split in ("train", "test"))
        yield Kind("coarse labels, grid of recipes", [row["seed"] for row in rows], [each] * len(rows), *last)
    if study.imbalance and (rows := [row for row in tables("minorities") if row["trained"]]):
        each = [((STUDY, 1, fine), row["images"], row["epochs"]) for row in rows]
        test = [row["test_accuracy"] for row in rows]
        yield Kind("fine labels, some classes with few images", [row["seed"] for row in rows], each, (), test)
    if study.finetune:
        yield from _finetuned(tables("finetuned"), fine)
    if study.distill:
        yield from _taught(study, tables, images)
    if study.spawn and not study.spawn.checkpoints:
        yield from _spawned(study, tables("networks"), images, fine)


def _merged(study: Study, merges: Sequence[Mapping], images: int, fine: int) -> Iterator[Kind]:
    rows = [row for row in merges if row.get("trained")]
    if rows:
        each = [((STUDY, 1, row["classes"]), images, study.merges.train.epochs) for row in rows]
        last = ([row["trained"][split] for row in rows] for split in ("train", "test"))
        yield Kind("other merges", [row["seed"] for row in rows], each, *last)
    bought = [row for row in rows if row.get("bought") and row["bought"].get("epochs")]  # once tables did not say
    if bought:
        each = [((STUDY, 1, fine), row["bought"]["samples"], row["bought"]["epochs"]) for row in bought]
        test = [row["bought"]["accuracy"] for row in bought]
        yield Kind("fine labels, as many as merges are worth", [row["seed"] for row in bought], each, (), test)


def _finetuned(networks: Sequence[Mapping], fine: int) -> Iterator[Kind]:
    for name, pretrained in {"finetuned on part of the classes": True, "from scratch on these": False}.items():
        rows = [row for row in networks if (row["begins"] == "pretrained") == pretrained]
        if rows:
            each = [((STUDY, 1, fine), row["images"], row["epochs"]) for row in rows]
            test = [row["accuracy"][row["task"]]["all"] for row in rows]
            yield Kind(name, [row["seed"] for row in rows], each, (), test)


def _taught(study: Study, tables: Tables, images: int) -> Iterator[Kind]:
    outputs = {row["method"]: row["outputs"] for row in tables("distilled")}
    if study.distill.teacher == "own" and (teachers := tables("teacher")):
        each = [((STUDY, 1, row["classes"]), images, study.train.epochs) for row in teachers]
        yield Kind("teachers", [row["seed"] for row in teachers], each, (), [row["test_accuracy"] for row in teachers])
    for name, table in {"students": "students", "students, of other lengths": "lengths"}.items():
        if students := tables(table):
            own = study.distill.train.epochs  # once tables did not say
            each = [((STUDENT, 1, outputs[row["method"]]), images, row.get("epochs", own)) for row in students]
            last = ([row["accuracy"][split] for row in students] for split in ("train", "test"))
            yield Kind(name, [row["seed"] for row in students], each, *last)


def _epochs(study: Study, row: Mapping) -> float:
    """Of a trunk all, of a child ("00005-b") those after it has left its trunk."""
    if "epochs" in row:  # not once, when all k were whole epochs
        return row["epochs"]
    whole = study.spawn.train.epochs
    return (
        whole if row["k"] is None else study.spawn.children["ab".index(row["name"][-1])].get("epochs", whole) - row["k"]
    )


def _spawned(study: Study, networks: Sequence[Mapping], images: int, fine: int) -> Iterator[Kind]:
    for width, recipe in dict.fromkeys((row["width"], row.get("recipe") or "") for row in networks):
        alike = [row for row in networks if (row["width"], row.get("recipe") or "") == (width, recipe)]
        for child in (False, True):
            rows = [row for row in alike if (row["k"] is not None) == child]
            each = [((SPAWN, width, fine), images, _epochs(study, row)) for row in rows for _ in row["seed"]]
            train, test = ([v for row in rows for v in row[f"{split}_accuracy"]] for split in ("train", "test"))
            if each:
                name = "parted from trunks" if child else "trunks"
                name += "" if width == 1 else f", width times {width:g}"
                name += f", by the recipe of {recipe}" if recipe else ""
                yield Kind(name, [seed for row in rows for seed in row["seed"]], each, train, test)
