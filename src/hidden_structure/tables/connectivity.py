"""The tables of mode connectivity: networks, when they parted, the lines between them, permutations, a plane."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from hidden_structure.connectivity.spawning import cell_name, cells, pair_id, parting, partings, place, runs
from hidden_structure.frame.params import Study
from hidden_structure.permutation.methods import METHODS

UNALIGNED = {"label": "not aligned", "source": ""}
HEIGHTS = ("test_error", "test_loss", "train_error", "train_loss")
DRAWN = ("alphas", "test_loss", "test_accuracy")
CALIBRATED, FITTED = "test_calibrated_loss", "temperature"  # where the temperature was fitted at every alpha


def tabulate(study: Study, results: Callable[[str], Any]) -> dict[str, list[dict]]:
    """Tables by name; none where the study leaves connectivity out.

    networks: the networks of one width, weight decay, recipe and name, a list cell over seeds, and for how many epochs
    each was trained itself, after its trunk. forks: every k of spawned pairs, by every recipe, as steps and as a share
    of training. given: of networks that are given a row each: `reordered` is the accuracy if outputs stood for classes
    in the best order, `chance` up to where an accuracy is no more than a guess. lines: every line, with its curves
    where the network is the plain one. matching: what each method's objective gained, a list cell over pairs. planted:
    what each found of an order that is known, and "none" of it, a network of each cell. plane: a row a grid line.
    """
    lines = results("interpolate")
    if not lines:
        return {}
    counts, samples = (results("labels")["fine"][f"{split}_counts"] for split in ("test", "train"))
    samples = sum(samples.values())
    given = {"given": given_networks(results("spawn"), counts)} if study.spawn.checkpoints else {}
    return given | {
        "networks": _networks(results("spawn"), counts, {} if given else _epochs(study, samples)),
        "forks": [] if given else _forks(study, samples),
        "lines": [_line(study, row) for row in lines],
        "matching": _matching(results("permute") or []),
        "planted": [_planted(row) for row in results("planted") or []],
        "plane": _plane(results("plane"), lines),
    }


def pair_columns(row: Mapping) -> dict[str, Any]:
    """What a row of results says of its pair and of how it was aligned, as columns of a table."""
    method = METHODS.get(row["method"])
    aligned = {"label": method.label, "source": method.source} if method else UNALIGNED
    pair = pair_id(cell_name(row["width"], row["weight_decay"], row.get("recipe", "")), row["k"], row["seeds"])
    columns = ("k", "width", "weight_decay", "recipe", "seeds", "method")
    return {"pair": pair} | {name: row[name] for name in columns if name in row} | aligned


def is_plain(study: Study, row: Mapping) -> bool:
    """Whether the row is of the study's own width and recipe."""
    return row["width"] == 1 and row["weight_decay"] == study.spawn.train.weight_decay and "recipe" not in row


def nearest_to_half(alphas: Sequence[float]) -> int:
    """Where in the list the alpha nearest to 1/2 stands."""
    return min(range(len(alphas)), key=lambda index: abs(alphas[index] - 0.5))


def _epochs(study: Study, samples: int) -> dict[tuple, float]:
    """(width, weight decay, recipe, name) -> epochs, of a child those after it has left its trunk."""
    found: dict[tuple, float] = {}
    for run in runs(study):
        batches = samples // run.cell.train.batch_size
        before, rest = (0, 0) if run.fork is None else place(run.fork, batches)
        key = run.cell.width, run.cell.train.weight_decay, run.cell.recipe or None, run.name
        found[key] = run.train.epochs - before - rest / batches if rest else run.train.epochs - before
    return found


def _networks(rows: Sequence[Mapping], test_counts: Mapping[str, int], epochs: Mapping[tuple, float]) -> list[dict]:
    """guess: the accuracy of always naming the commonest class."""
    by = ("width", "weight_decay", "recipe", "name")
    guess = max(test_counts.values()) / sum(test_counts.values())
    found = []
    for key, own in _groups(rows, by):
        row = {name: value for name, value in zip(by, key, strict=True) if value is not None}
        row |= {"k": parting(row["name"]), "guess": guess}
        row |= {"epochs": epochs[key]} if key in epochs else {}
        found.append(row | _listed(own, ("seed", "train_accuracy", "test_accuracy", "test_loss")))
    return found


def given_networks(rows: Sequence[Mapping], test_counts: Mapping[str, int]) -> list[dict]:
    """A row a network that is given, from what `training.given.restored` says of it; test_counts: of its classes."""
    samples = sum(test_counts.values())
    guess = max(test_counts.values()) / samples
    chance = {"guess": guess, "chance": guess + 2 * math.sqrt(guess * (1 - guess) / samples)}
    names = short_names([row["file"] for row in rows])
    values = ("train_accuracy", "test_accuracy", "test_loss", "reordered")
    return [
        {"network": row["network"], "file": name, "notes": "; ".join(row["notes"])}
        | {key: row[key] for key in values}
        | chance
        for row, name in zip(rows, names, strict=True)
    ]


def short_names(files: Sequence[str]) -> list[str]:
    """As much of the end of each path as tells it from the others."""
    parts, length = [file.split("/") for file in files], 1
    while len({tuple(own[-length:]) for own in parts}) < len(files):
        length += 1
    return ["/".join(own[-length:]) for own in parts]


def _forks(study: Study, samples: int) -> list[dict]:
    found = []
    for cell in (cell for cell in cells(study) if cell.parted):
        batches = samples // cell.train.batch_size
        for k in partings(study):
            epochs, rest = place(k, batches)
            steps = epochs * batches + rest
            row = {"k": k, "steps": steps, "share": steps / (batches * cell.train.epochs)}
            found.append(row | ({"recipe": cell.recipe} if cell.recipe else {}))
    return found


def _line(study: Study, row: Mapping) -> dict:
    found = pair_columns(row) | {"repaired": row["repaired"]}
    fitted = FITTED in row
    found |= {"barrier": {name: row["barrier"][name] for name in (*HEIGHTS, *([CALIBRATED] if fitted else []))}}
    found |= {"instability": {"test_error": row["instability"]["test_error"]}}
    found["midpoint"] = row["test_accuracy"][nearest_to_half(row["alphas"])]
    found["ends"] = [row["test_accuracy"][place] for place in (0, -1)]
    drawn = (*DRAWN, CALIBRATED, FITTED) if fitted else DRAWN
    return found | ({name: row[name] for name in drawn} if is_plain(study, row) else {})


def _matching(rows: Sequence[Mapping]) -> list[dict]:
    by = ("width", "weight_decay", "method", "objective")
    values = ("before", "after", "weights_before", "weights_after")
    found = []
    for key, own in _groups(rows, by):
        row = dict(zip(by, key, strict=True))
        row["label"] = METHODS[row["method"]].label
        found.append(row | _listed(own, values))
    return found


def _planted(row: Mapping) -> dict:
    method = METHODS.get(row["method"])
    network = f"{cell_name(row['width'], row['weight_decay'])}-seed-{row['seed']}"
    return dict(row) | {"network": network, "label": method.label if method else UNALIGNED["label"]}


def _plane(plane: Mapping | None, lines: Sequence[Mapping]) -> list[dict]:
    """A row a grid line, from the lowest y on. Columns a, b and permuted: x, y and training loss of the three networks,
    the loss as it stands at the end of their lines."""
    if plane is None:
        return []

    def losses(method: str) -> list[float]:
        wanted = plane["seeds"], method, plane["repaired"], lines[0]["width"], lines[0]["weight_decay"]
        names = ("seeds", "method", "repaired", "width", "weight_decay")
        return next(r["train_loss"] for r in lines if r["k"] is None and tuple(r[name] for name in names) == wanted)

    ends = [losses("none")[0], losses("none")[-1], losses(plane["method"])[-1]]
    networks = zip(("a", "b", "permuted"), plane["networks"], ends, strict=True)
    row = {name: plane[name] for name in ("seeds", "method", "repaired")}
    row |= {"label": METHODS[plane["method"]].label} | {name: [*place, loss] for name, place, loss in networks}
    rows = zip(plane["y"], plane["train_loss"], strict=True)
    return [row | {"x": plane["x"], "y": y, "train_loss": losses} for y, losses in rows]


def _groups(rows: Sequence[Mapping], by: Sequence[str]) -> list[tuple[tuple, list[Mapping]]]:
    """The rows that agree in `by`, in the order in which they first appear."""
    places: dict[tuple, int] = {}

    def key(row: Mapping) -> tuple:
        return tuple(row.get(name) for name in by)

    for row in rows:
        places.setdefault(key(row), len(places))
    ordered = sorted(rows, key=lambda row: places[key(row)])
    return [(group, list(own)) for group, own in groupby(ordered, key)]


def _listed(rows: Sequence[Mapping], names: Sequence[str]) -> dict[str, list]:
    return {name: [row[name] for row in rows] for name in names}
