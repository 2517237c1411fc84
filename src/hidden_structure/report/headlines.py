"""The table of README.md: a few claims, and what the committed studies say of each."""

import re
from collections.abc import Mapping, Sequence

from hidden_structure.frame import git, paths, tables
from hidden_structure.frame.errors import InputError

STUDIES = (
    *("digits", "cifar10", "cifar10-collapse", "cifar10-imbalance", "cifar10-recovery", "cifar10-spawning"),
    *("cifar10-width", "cifar10-vgg", "cifar10-mlp", "cifar10-binary", "cifar100", "cifar100-tasks"),
)
CLAIMS = (
    *("collapse.fine.nc1", "collapse.fine.simplex", "collapse.fine.nc3", "collapse.fine.model-gap"),
    *("imbalance.closer", "imbalance.bounds"),
    *("recovery.gain", "recovery.gap"),
    *("recovery.outlasting-agreement.collapsing", "recovery.outlasting-labels.collapsing"),
    *("merges.unrelated", "merges.worth-5", "distillation.lelp"),
    *("connectivity.onset", "connectivity.onset.repaired"),
    *("connectivity.onset.crop-0-flip-false", "connectivity.onset.crop-0-flip-false.repaired"),
    *("connectivity.matched.weights", "connectivity.matched.weights.repaired"),
    *(f"connectivity.width.{method}.share" for method in ("weights", "activations", "correlations", "ste")),
    *("linearity.onset", "linearity.onset.hidden", "linearity.parted"),
    *("linearity.matched.weights", "linearity.matched.weights.hidden"),
    *("finetune.linear", "finetune.addition", "finetune.kept"),
)
NOTHING = "not assessable"
UNDECIDED = "Asked as well, and decided by no study."
DECIDED = frozenset({"supported", "contradicted"})
BEGIN, END = "<!-- headlines -->\n", "<!-- end of headlines -->"


def table(claims: Mapping[str, Sequence[Mapping]]) -> str:
    """In Markdown, a claim a line: what is claimed and asked for, what is published, and what the studies found.

    What is claimed of one study need not be claimed of another, as that networks part, or not by the same criterion, as
    with REPAIR and without: then each has its line. What no study decides comes together in the last one. A star is on
    what does not stand where all claims of the report are counted (Holm), a dagger on what no test can be asked of.

    claims: study -> rows of its claims.csv.
    """
    lines: list[list[str]] = [["claim", "found"], ["---"] * 2]
    undecided: dict[str, list[str]] = {}
    for name in CLAIMS:
        posed = {study: row for study, rows in claims.items() for row in rows if row["id"] == name}
        for asked in dict.fromkeys(_asked(row) for row in posed.values()):
            alike = {study: row for study, row in posed.items() if _asked(row) == asked}
            if DECIDED.isdisjoint(row["verdict"] for row in alike.values()):
                found = [f"{study}, {_measured(row)}" for study, row in alike.items() if row["verdict"] != NOTHING]
                undecided.setdefault(asked[0], []).extend(found)
                continue
            said = next((row["published"] for row in alike.values() if row["published"]), None)
            published = f"; published: {said}" if said else ""
            lines.append([f"{asked[0]}<br><sub>{asked[1]}{published}</sub>", "<br>".join(_found(alike))])
    if told := [f"{statement} <sub>{'; '.join(found)}</sub>" for statement, found in undecided.items() if found]:
        lines.append([UNDECIDED, "<br>".join(told)])
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)


def _asked(row: Mapping) -> tuple[str, str]:
    return row["claim"], _bound(row["criterion"])


def _bound(criterion: str) -> str:
    """Of bounds that are our own without the reason, which the reports tell."""
    return re.sub(r" \(ours: .*\)$", " (ours)", criterion)


def _found(rows: Mapping[str, Mapping]) -> list[str]:
    """A line a study, and one of those that can say nothing."""
    lines = [f"{study}: {_verdict(row)}" for study, row in rows.items() if row["verdict"] != NOTHING]
    without = [study for study, row in rows.items() if row["verdict"] == NOTHING]
    return [*lines, f"{NOTHING}: {'; '.join(without)}"] if without else lines


def _verdict(row: Mapping) -> str:
    mark = {"no": r"\*", "yes": ""}.get(row.get("holm"), "†") if row["verdict"] in DECIDED else ""
    return f"**{row['verdict']}**{mark}, {_measured(row)}"


def _measured(row: Mapping) -> str:
    error = row["standard_error"]
    measured = 0 if error and abs(row["measured"]) < error / 1000 else row["measured"]  # what rounding leaves of 0
    spread = "" if error is None else f" ± {error:.2g}"
    return f"{measured:.3g}{spread} (n = {row['n']})"


def insert(document: str, claims: Mapping[str, Sequence[Mapping]]) -> str:
    """The document with the table between its two marks.

    Raises InputError if they are not there.
    """
    head, found, rest = document.partition(BEGIN)
    _, closed, tail = rest.partition(END)
    if not (found and closed):
        raise InputError(f"the document lacks the lines {BEGIN.strip()} and {END}: add them where the table belongs")
    return f"{head}{BEGIN}\n{table(claims)}\n{END}{tail}"


def committed() -> dict[str, list[dict]]:
    """Study -> rows of its claims as git has them, so that a study that was made again changes nothing here.

    Without git as they are.
    """
    files = {study: paths.report(study) / "claims.csv" for study in STUDIES}
    kept = {study: git.lines("show", f"HEAD:{file}") for study, file in files.items()}
    rows = {}
    for study, file in files.items():
        if kept[study] is not None:
            rows[study] = tables.parse("".join(f"{line}\n" for line in kept[study]))
        elif file.is_file():
            rows[study] = tables.read(file)
    return rows
