"""The lines of the tables that a claim or a figure speaks of.

The unit of replication is a pair of networks that shares none with another pair: a mean over pairs takes disjoint ones.
"""

from collections.abc import Mapping, Sequence

from hidden_structure.frame.params import Study
from hidden_structure.report.statistics import finite

Rows = Sequence[Mapping]
REPAIRED = {False: "as merged", True: "with REPAIR"}
UNALIGNED = "none"


def plain(study: Study, rows: Rows) -> list[Mapping]:
    """Those of the study's own width and weight decay."""
    decay = study.spawn.train.weight_decay
    return [row for row in rows if row["width"] == 1 and row["weight_decay"] == decay]


def spawned(rows: Rows, k: int) -> list[Mapping]:
    """Of pairs that parted after k epochs, which share no network with one another."""
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


def repairs(study: Study) -> bool:
    """Whether matched networks are judged with REPAIR: averaging ruins the statistics that BatchNorm keeps."""
    return study.spawn.network.norm == "batch"
