"""The lines of the tables that a claim or a figure speaks of.

The unit of replication is a pair of networks that shares none with another pair: a mean over pairs takes disjoint ones.
"""

from collections.abc import Mapping, Sequence

from hidden_structure.frame.params import Study
from hidden_structure.report.statistics import finite

Rows = Sequence[Mapping]
REPAIRED = {False: "as merged", True: "with REPAIR"}
UNALIGNED = "none"
NOTICED_FROM = 0.02  # of the test error: Frankle et al.'s line between stable and not
CALIBRATED = "test_calibrated_loss"  # a column that lines of studies made earlier lack


def plain(study: Study, rows: Rows) -> list[Mapping]:
    """Those of the study's own width and recipe."""
    decay = study.spawn.train.weight_decay
    return [row for row in of_recipe(rows) if row["width"] == 1 and row["weight_decay"] == decay]


def of_recipe(rows: Rows, recipe: str = "") -> list[Mapping]:
    """Those of networks by one of spawn.recipes; without a name, of the others."""
    return [row for row in rows if (row.get("recipe") or "") == recipe]


def recipes(forks: Rows) -> list[str]:
    """The names of all recipes whose networks parted, the study's own, "", first."""
    return list(dict.fromkeys(fork.get("recipe") or "" for fork in forks))


def moments(forks: Rows, recipe: str = "") -> list[Mapping]:
    """Every k of a recipe, the earliest first, with its steps and its share of training."""
    return sorted(of_recipe(forks, recipe), key=lambda fork: fork["steps"])


def dated(rows: Rows, forks: Rows) -> list[Mapping]:
    """The rows, those of spawned pairs with the steps and the share of training after which their networks parted."""
    known = {(fork.get("recipe"), fork["k"]): {name: fork[name] for name in ("steps", "share")} for fork in forks}
    return [row | known.get((row.get("recipe"), row["k"]), {}) for row in rows]


def after(k: int | str) -> str:
    """After how much training, of a k in epochs or "50-steps": "5 epochs", "50 steps", "no training"."""
    if isinstance(k, str):
        return k.replace("-", " ")
    return f"{k} epoch{'' if k == 1 else 's'}" if k else "no training"


def parted(row: Mapping) -> str:
    """What a legend or a table calls the pairs of a dated row: "parted after 50 steps (3.1 %)"."""
    if not row["k"]:
        return "parted after no training"
    steps = "" if isinstance(row["k"], str) else f"{row['steps']:,} steps, "
    return f"parted after {after(row['k'])} ({steps}{100 * row['share']:.2g} %)"


def named(row: Mapping) -> str:
    """What a table calls the pairs of a dated row."""
    words = row["label"] if row["k"] is None else parted(row)
    return f"{row['recipe']}: {words}" if row.get("recipe") else words


def grouped(rows: Rows) -> dict[tuple, list[Mapping]]:
    """Dated rows by width, weight decay and what a table calls them, in the order in which these first appear; of pairs
    that parted the earliest first, for some k may be epochs and others steps."""
    blocks: dict[tuple, list[Mapping]] = {}
    for row in rows:
        blocks.setdefault((row["width"], row["weight_decay"], row.get("recipe"), row["k"] is None), []).append(row)
    found: dict[tuple, list[Mapping]] = {}
    for block in blocks.values():
        for row in sorted(block, key=lambda row: row.get("steps", 0)):
            found.setdefault((row["width"], row["weight_decay"], named(row)), []).append(row)
    return found


def each_k(rows: Rows) -> list[Mapping]:
    """A dated row of each k at which pairs parted, the earliest first."""
    return sorted({row["k"]: row for row in rows if row["k"] is not None}.values(), key=lambda row: row["steps"])


def spawned(rows: Rows, k: int | str) -> list[Mapping]:
    """Of pairs that parted after k, which share no network with one another."""
    return [row for row in rows if row["k"] == k]


def independent(rows: Rows, method: str) -> list[Mapping]:
    """Of independent pairs, aligned by that method, no two of one width and weight decay sharing a network.

    The same pairs for every method, in the order of the rows, so that their differences are paired.
    """
    return disjoint([row for row in rows if row["k"] is None and row["method"] == method])


def disjoint(rows: Rows) -> list[Mapping]:
    """Greedy, in order: those that share no network of their width and weight decay with one before."""
    taken: set[tuple] = set()
    found = []
    for row in rows:
        ends = {(row["width"], row["weight_decay"], row.get("repaired"), seed) for seed in row["seeds"]}
        if not ends & taken:
            taken |= ends
            found.append(row)
    return found


def of_repair(rows: Rows, repaired: bool) -> list[Mapping]:
    return [row for row in rows if row["repaired"] == repaired]


def methods(rows: Rows) -> dict[str, str]:
    """Name -> label of the ways of aligning independent pairs, the unaligned first, in the order of the rows."""
    return {row["method"]: row["label"] for row in rows if row["k"] is None}


def names(rows: Rows) -> tuple[str, ...]:
    """One a pair: the trunk's seed of a spawned pair, or both."""
    return tuple(str(row["seeds"][0]) if row["k"] is not None else "-".join(map(str, row["seeds"])) for row in rows)


def heights(rows: Rows, height: str = "barrier", of: str = "test_error") -> tuple[float, ...]:
    """One a line. Raises InputError if one is missing or not finite."""
    return tuple(finite(row.get(height, {}).get(of), f"{height} of the {of} of {row['pair']}") for row in rows)


def calibrated(rows: Rows) -> bool:
    """Whether the temperature was fitted on these lines; those of studies made earlier have none."""
    return bool(rows) and all(CALIBRATED in row["barrier"] for row in rows)


def repairs(study: Study) -> bool:
    """Whether matched networks are judged with REPAIR: averaging ruins the statistics that BatchNorm keeps."""
    return study.spawn.network.norm == "batch"
