"""The table of README.md: a few claims, and what the committed studies say of each."""

import re
from collections.abc import Mapping, Sequence

from hidden_structure.frame import git, paths, tables
from hidden_structure.frame.errors import InputError

STUDIES = {  # -> head of its column
    "digits": "digits",
    "cifar10": "CIFAR-10",
    "cifar10-recovery": "CIFAR-10, wide network",
    "cifar10-mlp": "CIFAR-10, perceptrons",
}
CLAIMS = (
    *("collapse.fine.nc1", "collapse.fine.simplex", "collapse.fine.nc3"),
    *("recovery.gain", "recovery.gap", "recovery.outlasting-agreement", "recovery.outlasting-labels"),
    *("merges.unrelated", "merges.worth-5", "distillation.lelp", "connectivity.parted.k0", "connectivity.parted.k5"),
    *("connectivity.matched.weights", "connectivity.matched.weights.repaired", "connectivity.repair"),
    *("linearity.parted", "linearity.matched.weights"),
)
BEGIN, END = "<!-- headlines -->\n", "<!-- end of headlines -->"


def table(claims: Mapping[str, Sequence[Mapping]]) -> str:
    """In Markdown, a claim a line: statement, criterion, what is published, and a cell a study.

    What is claimed of one study need not be claimed of another, as that networks part, or not by the same criterion, as
    with REPAIR and without: then each has its line.

    claims: study -> rows of its claims.csv. A claim that no study has is left out.
    """
    lines = [["claim", "asked for", "published", *(STUDIES[study] for study in claims)]]
    lines.append(["---"] * len(lines[0]))
    for name in CLAIMS:
        posed = {study: row for study, rows in claims.items() for row in rows if row["id"] == name}
        for asked in dict.fromkeys(_asked(row) for row in posed.values()):
            alike = {study: row for study, row in posed.items() if _asked(row) == asked}
            (first, *_) = alike.values()
            cells = [_cell(alike[study]) if study in alike else "" for study in claims]
            lines.append([*asked, first["published"] or "", *cells])
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)


def _asked(row: Mapping) -> tuple[str, str]:
    return row["claim"], _bound(row["criterion"])


def _bound(criterion: str) -> str:
    """Without where the bound comes from, which the reports tell."""
    return re.sub(r"(: (?:at least|at most|from) [-\d.e]+(?: to [-\d.e]+)?)(?: \(.*\))?$", r"\1", criterion)


def _cell(row: Mapping | None) -> str:
    if row is None:
        return ""
    if row["measured"] is None:
        return f"**{row['verdict']}**"
    error = row["standard_error"]
    measured = 0 if error and abs(row["measured"]) < error / 1000 else row["measured"]  # what rounding leaves of 0
    spread = "" if error is None else f" ± {error:.2g}"
    return f"**{row['verdict']}**: {measured:.3g}{spread} (n = {row['n']})"


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
