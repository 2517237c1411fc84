"""The chapter on mode connectivity: what lies on the straight line between two networks."""

from collections.abc import Sequence

from hidden_structure.frame.params import Study
from hidden_structure.report import statistics
from hidden_structure.report.chapter import Chapter, Numbers, Tables
from hidden_structure.report.connectivity import (
    calibrated,
    calibrated_figures,
    claims,
    given,
    lines,
    onset,
    planted,
    repairing,
)
from hidden_structure.report.connectivity.figures import pictures
from hidden_structure.report.connectivity.lines import REPAIRED, UNALIGNED, Rows

QUESTION = (
    "Do two networks lie in one basin of the loss: is the error on the straight line between their weights no higher "
    "than at its ends? Asked of networks that part after some training in common, and of independent networks "
    "before and after their units are matched by permutations. The barrier is how far the error on the line rises "
    "above the straight line between its ends, the instability how far above the mean of the ends."
)


def chapter(study: Study, tables: Tables) -> Chapter | None:
    """From the tables of tables/connectivity.py; None where the study leaves connectivity out."""
    if study.spawn is None:
        return None
    if study.spawn.checkpoints:
        return given.chapter(study, tables)
    every = lines.dated(tables("lines"), tables("forks"))
    return Chapter(
        idea=claims.IDEA,
        title="Mode connectivity",
        question=QUESTION,
        findings=[*_findings(study, tables), *onset.findings(study, tables)],
        claims=[*claims.claims(study, tables), *onset.claims(study, tables)],
        pictures=[
            *pictures(study, every, tables("forks"), tables("plane"), onset.unlearnt(study, tables)),
            *calibrated_figures.pictures(study, every),
        ],
        numbers=[
            _networks(lines.dated(tables("networks"), tables("forks"))),
            _heights(every),
            *onset.numbers(study, tables),
            _gains(tables("matching")),
            *planted.numbers(tables("planted")),
        ],
        headline=_headline(study, tables),
    )


def percent(values: Sequence[float]) -> str:
    """The mean in percent with its standard error and the number of replications: "5.2 ± 0.7 % (n = 3)"."""
    error = statistics.standard_error(values)
    spread = "" if error is None else f" ± {100 * error:.2g}"
    return f"{100 * statistics.mean(values):.3g}{spread} % (n = {len(values)})"


def _findings(study: Study, tables: Tables) -> list[str]:
    """What did not come together first, then what did."""
    rows, repaired = lines.plain(study, tables("lines")), lines.repairs(study)
    apart: list[str] = []
    joined: list[str] = []
    for method, label in lines.methods(rows).items():
        found = {on: lines.heights(lines.independent(lines.of_repair(rows, on), method)) for on in REPAIRED}
        who = label if method == UNALIGNED else f"aligned by {label}"
        sentence = (
            f"Between independent networks, {who}, test error rises above the straight line between its ends by "
            f"{percent(found[False])} as merged and by {percent(found[True])} with REPAIR."
        )
        (joined if statistics.mean(found[repaired]) <= claims.STABLE_AT_MOST else apart).append(sentence)
    for fork in lines.moments(tables("forks")):
        found = {
            on: lines.heights(lines.spawned(lines.of_repair(rows, on), fork["k"]), "instability") for on in REPAIRED
        }
        sentence = (
            f"On the line between networks that part after {claims.moment(fork)} the test error exceeds the mean of "
            f"its ends by {percent(found[False])} as merged, {percent(found[True])} with REPAIR."
        )
        (joined if statistics.mean(found[False]) <= claims.STABLE_AT_MOST else apart).append(sentence)
    known = planted.finding(lines.plain(study, tables("planted")))
    return (
        apart + joined + _of_widths(study, tables("lines")) + known + _midpoint(study, rows) + calibrated.finding(rows)
    )


def _of_widths(study: Study, every: Rows) -> list[str]:
    """What is left of the barrier at every width, and how often the ends err; none where there is one width."""
    decay = study.spawn.train.weight_decay
    own = [row for row in every if row["weight_decay"] == decay and row["k"] is None]
    widths = sorted({row["width"] for row in own})
    if len(widths) < 2:
        return []
    who = f"independent networks of {', '.join(f'{width:g}' for width in widths)} times the width"
    bare = lines.independent(lines.of_repair(own, False), UNALIGNED)
    said = []
    for repaired, how in REPAIRED.items():
        rows = lines.of_repair(own, repaired)
        found = [
            f"{label} {', '.join(_at(lines.independent(rows, method), width) for width in widths)}"
            for method, label in lines.methods(rows).items()
        ]
        said.append(f"Between {who} the test error rises, {how}, by: {'; '.join(found)}.")
    errors = [[1 - accuracy for row in bare if row["width"] == width for accuracy in row["ends"]] for width in widths]
    erring = ", ".join(percent(values) for values in errors if values)
    return [*said, f"The ends of these lines err on {erring} of the test images."]


def _at(rows: Rows, width: float) -> str:
    own = [row for row in rows if row["width"] == width]
    return percent(lines.heights(own)) if own else "not measured"


def _midpoint(study: Study, rows: Rows) -> list[str]:
    """What the source found halfway between matched networks like the study's, and what was found here."""
    own = {on: lines.independent(lines.of_repair(rows, on), "correlations") for on in REPAIRED}
    known = repairing.published(study)
    if not known or not own[False]:
        return []
    here = [percent([row["midpoint"] for row in own[on]]) for on in REPAIRED]
    ends = percent([accuracy for row in own[False] for accuracy in row["ends"]])
    then = [f"{100 * share:.3g} %" for share in known[:3]]
    return [
        f"Halfway between networks matched by correlations the test accuracy is {here[0]} as merged and {here[1]} with "
        f"REPAIR, that of the ends {ends}; the source found {then[1]}, {then[2]} and {then[0]} with {known[3]}."
    ]


def _headline(study: Study, tables: Tables) -> dict[str, float | None]:
    rows, repaired = lines.plain(study, tables("lines")), lines.repairs(study)
    merged = lines.of_repair(rows, False)
    found, forks = {}, lines.moments(tables("forks"))
    for name, fork in (("instability_first_k", forks[0]), ("instability_last_k", forks[-1])):
        found[name] = statistics.mean(lines.heights(lines.spawned(merged, fork["k"]), "instability"))
    barriers = {
        method: statistics.mean(lines.heights(lines.independent(lines.of_repair(rows, repaired), method)))
        for method in lines.methods(rows)
    }
    found["barrier_unaligned"] = barriers.pop(UNALIGNED)
    return found | ({"barrier_aligned_least": min(barriers.values())} if barriers else {})


def _networks(rows: Rows) -> Numbers:
    return Numbers(
        name="connectivity-networks",
        title="Networks of the connectivity study",
        meaning="The ends of the lines, trained on the original labels; means over seeds. Where one child "
        "of a k is listed, the trunk is the other of the two that parted.",
        columns=(
            *("width", "weight decay", "recipe", "which", "networks"),
            *("training accuracy", "test accuracy", "test loss"),
        ),
        rows=[
            [row["width"], row["weight_decay"], row.get("recipe") or "the study's own"]
            + ["trunk" if row["k"] is None else lines.parted(row), len(row["seed"])]
            + [statistics.mean(row[name]) for name in ("train_accuracy", "test_accuracy", "test_loss")]
            for row in rows
        ],
    )


def _heights(rows: Rows) -> Numbers:
    """A row for every way of making a pair, every cell."""
    found, fitted = [], lines.calibrated(rows)
    for key, own in lines.grouped(rows).items():
        line: list = [*key]
        for repaired in REPAIRED:
            chosen = lines.disjoint(lines.of_repair(own, repaired))
            line += [statistics.mean(lines.heights(chosen)), statistics.mean(lines.heights(chosen, of="test_loss"))]
            line += [statistics.mean(calibrated.heights(chosen))] if fitted else []
            line += [statistics.mean([row["midpoint"] for row in chosen])]
        found.append([*line[:3], len(chosen), *line[3:]])
    measured = (
        "error barrier",
        "loss barrier",
        *(["loss barrier at fitted temperatures"] if fitted else []),
        "midpoint",
    )
    names = [f"{what}, {how}" for how in REPAIRED.values() for what in measured]
    where = " Temperatures are fitted on training images, at every point and at the ends." if fitted else ""
    return Numbers(
        name="barriers",
        title="Barriers of every kind of pair",
        meaning="Barrier in test error (fraction) and in test loss (nats), and test accuracy halfway; means over pairs "
        f"that share no network.{where}",
        columns=("width", "weight decay", "networks", "pairs", *names),
        rows=found,
    )


def _gains(rows: Rows) -> Numbers:
    values = ("before", "after", "weights_before", "weights_after")
    return Numbers(
        name="matching",
        title="What the permutations gained",
        meaning="What each method maximises, and the sum of inner products of weights that weight matching maximises, "
        "without and with the permutation; means over pairs.",
        columns=("width", "weight decay", "method", "maximises", *(name.replace("_", " ") for name in values)),
        rows=[
            [row["width"], row["weight_decay"], row["label"], row["objective"]]
            + [statistics.mean(row[name]) for name in values]
            for row in rows
        ],
    )
