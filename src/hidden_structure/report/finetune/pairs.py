"""The pairs of networks of two tasks, and what the tables hold of each."""

from collections.abc import Mapping, Sequence

Rows = Sequence[Mapping]
KINDS = {"finetuned": "finetuned", "same": "same initialisation", "independent": "independent"}
REPAIRED = {False: "as merged", True: "with BatchNorm reset"}
TASKS = ("first", "second")
HALF = 0.5


def of(rows: Rows, kind: str, repaired: bool = False) -> list[Mapping]:
    """The pairs of one kind, in the order of the seeds; none with BatchNorm reset where there is none."""
    own = (row for row in rows if (row["kind"], row["repaired"]) == (kind, repaired))
    return sorted(own, key=lambda row: row["seed"])


def repairs(rows: Rows) -> bool:
    """Whether the networks have BatchNorm."""
    return any(row["repaired"] for row in rows)


def gains(crossed: Mapping, added: Mapping) -> list[tuple[float, float]]:
    """A pair a task: test accuracy within it less that of what the networks began as, of the network of that task, and
    of the one halfway between both."""
    halfway, found = crossed["alphas"].index(HALF), []
    for task, end in zip(TASKS, (0, -1), strict=True):
        before, own = added["accuracy"][task]["within"][0], crossed["accuracy"][task]["within"]
        found.append((own[end] - before, own[halfway] - before))
    return found
