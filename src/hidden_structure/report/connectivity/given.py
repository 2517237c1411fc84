"""The chapter on mode connectivity of networks that are given.

How they were made is not known, so no paper's claim is posed of them. Every two are told of, though pairs share one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from hidden_structure.frame.params import Study
from hidden_structure.report import statistics
from hidden_structure.report.chapter import Chapter, Numbers, Tables
from hidden_structure.report.connectivity import claims, lines, planted
from hidden_structure.report.connectivity.figures import pictures
from hidden_structure.report.connectivity.lines import REPAIRED, UNALIGNED, Rows

QUESTION = (
    "Do the given networks lie in one basin of the loss: is the error on the straight line between the weights of two "
    "of them no higher than at its ends, as they are, or after their units are matched by permutations? The barrier is "
    "how far the error on the line rises above the straight line between its ends."
)


def chapter(study: Study, tables: Tables) -> Chapter:
    """From the tables of tables/connectivity.py."""
    every, networks = tables("lines"), tables("given")
    labels = lines.methods(every)
    bare = [lines.heights(lines.of_repair(_by(every, UNALIGNED), on)) for on in REPAIRED]
    aligned = [height for method in labels if method != UNALIGNED for height in lines.heights(_by(every, method))]
    trained = claims.has_learnt(study, tables)
    return Chapter(
        idea=claims.IDEA,
        title="Mode connectivity of the given networks",
        question=QUESTION,
        findings=[
            *warnings(networks),
            *(_finding(every, *method) for method in labels.items()),
            *planted.finding(tables("planted")),
        ],
        claims=[trained, *planted.claims(claims.IDEA, tables("planted"), trained)],
        pictures=pictures(study, every, [], tables("plane")),
        numbers=[listed("given", networks), _pairs(every, files(networks)), *planted.numbers(tables("planted"))],
        headline={
            "barrier_unaligned": statistics.mean(bare[0]),
            "barrier_unaligned_repaired": statistics.mean(bare[1]),
            "barrier_aligned_least": min(aligned, default=None),
        },
    )


def warnings(networks: Rows, by_table: bool = False) -> Iterator[str]:
    """Of networks that cannot be meant to do so badly, with what is likely wrong. by_table: a table tells the classes
    that they know, not folders."""
    mend = (
        "put the classes of the table given to --fine (merge.groups) into the network's order."
        if by_table
        else "rename the folders of the classes so that their alphabetical order is the network's."
    )
    for row in networks:
        accuracy, reordered = row["test_accuracy"], row["reordered"]
        does = f"Check this first: {row['file']} classifies {_percent(accuracy)} of the test images correctly"
        if 1 - reordered < (1 - accuracy) / 2:
            yield (f"{does}, but {_percent(reordered)} if its outputs stand for the classes in another order: {mend}")
        elif accuracy <= row["chance"]:
            yield (
                f"{does}, no more than a guess ({_percent(row['guess'])}): its images are likely normalised otherwise "
                "(data.normalise; --normalise, --mean and --std), or are not what it was trained on."
            )


def files(networks: Rows) -> dict[int, str]:
    return {row["network"]: row["file"] for row in networks}


def over_pairs(
    values: Sequence[float], said: Callable[[float], str] = lambda value: f"{100 * value:.3g}", unit: str = " %"
) -> str:
    """One number, or from the least to the largest: pairs may share networks, so that their mean has no error."""
    if len(values) == 1:
        return f"{said(values[0])}{unit}"
    return f"{said(min(values))} to {said(max(values))}{unit} ({len(values)} pairs)"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _by(rows: Rows, method: str) -> list[Mapping]:
    return [row for row in rows if row["method"] == method]


def _finding(every: Rows, method: str, label: str) -> str:
    found = {on: lines.heights(lines.of_repair(_by(every, method), on)) for on in REPAIRED}
    pairs = len(found[False])
    joined = [
        f"{how} {sum(height <= claims.STABLE_AT_MOST for height in found[on])} of {pairs}"
        for on, how in REPAIRED.items()
    ]
    who = label if method == UNALIGNED else f"aligned by {label}"
    return (
        f"On the line between two of the networks, {who}, test error rises above the straight line between its ends by "
        f"{over_pairs(found[False])} as merged and by {over_pairs(found[True])} with REPAIR: "
        f"{' and '.join(joined)} {'pair lies' if pairs == 1 else 'pairs lie'} in one basin (at most "
        f"{100 * claims.STABLE_AT_MOST:g} %)."
    )


def listed(name: str, rows: Rows) -> Numbers:
    """The networks themselves; name: of the table that the rows are of."""
    return Numbers(
        name=f"{name}-networks",
        title="The given networks",
        meaning="Accuracy on the images of the study, of which some may be what a network was trained on; and what was "
        "done to read the checkpoint.",
        columns=("network", "file", "training accuracy", "test accuracy", "test loss", "read so"),
        rows=[
            [row[name] for name in ("network", "file", "train_accuracy", "test_accuracy", "test_loss", "notes")]
            for row in rows
        ],
    )


def _pairs(every: Rows, named: Mapping[int, str]) -> Numbers:
    found = []
    for merged in lines.of_repair(every, False):
        same = ("pair", "method")
        repaired = next(r for r in lines.of_repair(every, True) if all(r[name] == merged[name] for name in same))
        line: list = [*(named[place] for place in merged["seeds"]), merged["label"]]
        for row in (merged, repaired):
            line += [row["barrier"]["test_error"], row["barrier"]["test_loss"], row["midpoint"]]
        found.append(line)
    names = [f"{what}, {how}" for how in REPAIRED.values() for what in ("error barrier", "loss barrier", "midpoint")]
    return Numbers(
        name="given-barriers",
        title="The lines between them",
        meaning="Barrier in test error (fraction) and in test loss (nats), and test accuracy halfway, of every pair.",
        columns=("A", "B", "units", *names),
        rows=found,
    )
