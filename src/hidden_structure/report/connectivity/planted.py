"""What is said of a network that was matched with itself, its units in another order: whether methods find the known.

Nothing that is said of a method between other networks can be read without it: one that does not find an order that is
known leaves barriers of its own.
"""

from hidden_structure.report.chapter import Numbers
from hidden_structure.report.claim import Claim, Criterion, unless
from hidden_structure.report.connectivity.lines import UNALIGNED, Rows
from hidden_structure.report.statistics import finite

FOUND_AT_LEAST = 0.99  # of the units that were moved


def claims(idea: str, rows: Rows, trained: Claim) -> list[Claim]:
    """One a method; rows: of the table `planted`, which studies made earlier lack. Of networks that have learnt nothing
    nothing is said: theirs may be units that all do the same."""
    labels = {row["method"]: row["label"] for row in rows if row["method"] != UNALIGNED}
    return [
        Claim(
            id=f"{idea}.planted.{method}",
            idea=idea,
            kind="precondition",
            statement=f"{label.capitalize()} finds a permutation that is known, of a network to itself.",
            criterion=Criterion(
                "share of the moved units that are put back",
                at_least=FOUND_AT_LEAST,
                origin="ours: but one in a hundred",
            ),
            values=tuple(finite(row["found"], f"share that {method} finds") for row in rows if row["method"] == method),
            seeds=tuple(row["network"] for row in rows if row["method"] == method),
            unmet=unless(trained),
        )
        for method, label in labels.items()
    ]


def unfound(idea: str, rows: Rows, trained: Claim, method: str, width: float, weight_decay: float) -> str:
    """Why nothing can be said of networks of this width and decay that the method matched: "" if it finds the known."""
    own = [row for row in rows if (row["width"], row["weight_decay"]) == (width, weight_decay)]
    return next((unless(claim) for claim in claims(idea, own, trained) if claim.id.endswith(f".{method}")), "")


def finding(rows: Rows) -> list[str]:
    """A sentence, where there is such a network; rows: of the plain networks."""
    found = [f"{row['label']} {100 * row['found']:.4g} %" for row in rows if row["method"] != UNALIGNED]
    if not found:
        return []
    (bare,) = (row for row in rows if row["method"] == UNALIGNED)
    left = max(row["barrier"] for row in rows if row["method"] != UNALIGNED)
    return [
        f"A network with its units in another order lies a barrier of {bare['barrier']:.3g} nats from itself, halfway, "
        f"though both compute the same. Of the units that were moved, these are put back: {', '.join(found)}; "
        f"at most {left:.3g} nats are left."
    ]


def numbers(rows: Rows) -> list[Numbers]:
    """None where there is no such network."""
    if not rows:
        return []
    measured = ("found", "before", "after", "known", "barrier")
    return [
        Numbers(
            name="planted",
            title="Networks matched with themselves",
            meaning="A network's units are put in another order, drawn at random, and matched with the network as it "
            "was. Units: those that then stand where none stood that computes the same. Put back: the share of them "
            "in whose places such units stand again; of twins, or units that never fire, any will do. Before, reached, "
            "known: what the method maximises, without a permutation, with its own, and with the one that is right. "
            "Barrier: in test loss, halfway, as merged (nats). The straight-through estimator starts where weight "
            "matching ends, and is left out.",
            columns=(
                "width",
                "weight decay",
                "seed",
                "units",
                "method",
                "put back",
                "before",
                "reached",
                "known",
                "barrier",
            ),
            rows=[
                [row["width"], row["weight_decay"], row["seed"], row["units"], row["label"]]
                + [row.get(name) for name in measured]
                for row in rows
            ],
        )
    ]
