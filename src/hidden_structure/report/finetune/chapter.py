"""The chapter on networks finetuned on two tasks: cross-task linearity, and the arithmetic of task vectors."""

from collections.abc import Iterator, Sequence
from functools import partial

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Chapter, Numbers, Picture, Tables
from hidden_structure.report.claim import Claim
from hidden_structure.report.collapse.chapter import with_error
from hidden_structure.report.connectivity.series import BANDS
from hidden_structure.report.findings import in_order
from hidden_structure.report.finetune import figures
from hidden_structure.report.finetune.claims import IDEA, claims
from hidden_structure.report.finetune.pairs import HALF, KINDS, REPAIRED, Rows, of, repairs
from hidden_structure.report.linearity.figures import BELOW
from hidden_structure.report.statistics import mean, rounded

QUESTION = (
    "One pretrained network is finetuned on each of two parts of the classes. Halfway between the two, are the "
    "features of every layer the mean of both networks' own (cross-task linearity), so that averaging weights, or "
    "adding what finetuning changed, averages and adds features? Is it pretraining that makes it so?"
)


def chapter(study: Study, tables: Tables) -> Chapter | None:
    """None where the study has no such networks."""
    if study.finetune is None or not (crossed := tables("crossed")):
        return None
    sums, found = tables("sums"), claims(tables)
    bends = {kind: [row["bend"] for row in of(crossed, kind)] for kind in KINDS}
    return Chapter(
        idea=IDEA,
        title="Cross-task linearity",
        question=QUESTION,
        findings=in_order(_sentences(crossed, sums, found)),
        claims=found,
        pictures=_pictures(study, tables),
        numbers=[_lines(crossed), _added(sums)],
        headline={
            "ctl_ratio_finetuned": rounded(mean(bends["finetuned"])),
            "ctl_ratio_same_initialisation": rounded(mean(bends["same"])),
            "ctl_ratio_independent": rounded(mean(bends["independent"])),
        },
    )


def _sentences(crossed: Rows, sums: Rows, found: Sequence[Claim]) -> Iterator[tuple[Claim, str]]:
    posed = {claim.id.removeprefix(f"{IDEA}."): claim for claim in found}
    said = {kind: with_error([row["bend"] for row in of(crossed, kind)]) for kind in KINDS}
    yield (
        posed["linear"],
        f"At the worst layer merged features lie {said['finetuned']} times as far from the interpolated ones as those "
        f"of the two finetuned networks from each other, as merged; {said['independent']} times between independent "
        "networks of the same two tasks",
    )
    yield (
        posed["pretraining"],
        "Between networks that share their initialisation alone merged features lie, at the worst layer, "
        f"{said['same']} times as far from interpolated ones as those of the two networks from each other, between "
        f"finetuned ones {with_error(posed['pretraining'].values)} of that; these are nearer to one another as well: "
        f"1 - cos of their logits is {_apart(crossed, 'finetuned')} against {_apart(crossed, 'same')}",
    )
    if (addition := posed["addition"]).values:
        yield (
            addition,
            "Where both task vectors are added with other coefficients than 1/2, features lie up to "
            f"{with_error(addition.values)} times as far from the mean of what twice the one and twice the other make "
            f"of them as these two from each other, {REPAIRED[repairs(sums)]}",
        )
    if (kept := posed["kept"]).values:
        yield (
            kept,
            f"Within its task a network gains {with_error(posed['gained'].values)} of test accuracy by finetuning; the "
            f"mean of both networks has {with_error(kept.values)} of that on both tasks, as merged",
        )
    if law := posed.get("law"):
        yield (
            law,
            "Between finetuned networks features lie off LLFC by "
            f"{with_error([row['laws']['linear'] for row in of(crossed, 'finetuned')])} and off LEWC by "
            f"{with_error([row['laws']['exponential'] for row in of(crossed, 'finetuned')])}, relative to the ends",
        )


def _apart(crossed: Rows, kind: str) -> str:
    return with_error([row["layers"]["ends"][-1] for row in of(crossed, kind)])


def _pictures(study: Study, tables: Tables) -> list[Picture]:
    settings, networks = study.finetune, tables("finetuned")
    crossed, sums, named = tables("crossed"), tables("sums"), tables("finetuned_layers")
    counts = [len([row for row in tables("tasks") if row["task"] == task]) for task in ("first", "second")]
    epochs = study.train.epochs
    when = f"as they are after {settings.epoch or epochs} of {epochs} epochs on all classes"
    making = (
        f"Tasks of {counts[0]} and {counts[1]} classes; {len(settings.seeds)} networks, {when}, "
        f"are finetuned on each for {settings.train.epochs} epochs; the others learn it from scratch. Test images of "
        f"both tasks. {BANDS}"
    )
    return [
        Picture(
            "cross-task",
            "Features between networks of two tasks, layer by layer",
            "How far the features of the network halfway between two others point away from the mean of the two "
            "networks' own features (0: the same direction); thin lines are how far the two networks' features point "
            "away from each other. Features are linear across tasks where a line runs far below its thin one.",
            f"{making} Layers stand in order of execution, numbers are of blocks. {BELOW}",
            partial(figures.layers, crossed, named),
        ),
        Picture(
            "task-vectors",
            "Task vectors, added up",
            "Test accuracy of what the networks began as, with both task vectors added, each times the coefficient: at "
            "0 nothing is added, 1/2 is the mean of both networks, where they have one beginning. Left a network "
            "decides among all classes, right among those of the image's task.",
            f"{making} A task vector is a network less its own beginning, added to the beginning of the first network"
            + ("; BatchNorm's statistics are reset." if repairs(sums) else "."),
            partial(figures.accuracies, sums, networks),
        ),
    ]


def _lines(crossed: Rows) -> Numbers:
    found = []
    for kind, label in KINDS.items():
        for repaired, how in REPAIRED.items():
            rows = of(crossed, kind, repaired)
            if rows:
                laws = [[row["laws"][law] for row in rows if "laws" in row] for law in ("linear", "exponential")]
                told = [
                    [row["layers"]["ends"][-1] for row in rows],
                    *([row[c] for row in rows] for c in ("output", "bend")),
                ]
                halves = [
                    [row["accuracy"]["both"][decided][row["alphas"].index(HALF)] for row in rows]
                    for decided in figures.DECIDED
                ]
                ends = [
                    [max(row["accuracy"]["both"][decided][end] for end in (0, -1)) for row in rows]
                    for decided in figures.DECIDED
                ]
                cells = [with_error(values) if values else None for values in (*told, *laws, *halves, *ends)]
                found.append((label, how, len(rows), *cells))
    return Numbers(
        "crossed",
        "Between networks of two tasks",
        "1 - cos of the two networks' logits; 1 - cos of merged with interpolated features over that of the two "
        "networks', of the logits and at the worst layer and alpha; the same of LLFC and LEWC where they differ; test "
        "accuracies on both tasks of the mean of both networks and of the better of the two, among all classes and "
        "within the image's task. Means over pairs with their standard errors.",
        (
            *("networks", "merged", "pairs", "logits apart", "ratio, logits", "ratio, worst layer", "LLFC", "LEWC"),
            *("mean, all", "mean, within", "better end, all", "better end, within"),
        ),
        found,
    )


def _added(sums: Rows) -> Numbers:
    found = []
    for kind, label in KINDS.items():
        for repaired, how in REPAIRED.items():
            rows = of(sums, kind, repaired)
            for place, coefficient in enumerate(rows[0]["coefficients"] if rows else ()):
                bent = [dict(zip(row.get("bent_at") or (), row.get("bend") or (), strict=True)) for row in rows]
                bends = [own[coefficient] for own in bent if coefficient in own]
                accuracies = [
                    with_error([row["accuracy"][task][decided][place] for row in rows])
                    for decided in figures.DECIDED
                    for task in figures.PLACES
                ]
                ratio = with_error(bends) if bends else None
                found.append((label, how, len(rows), f"{coefficient:g}", ratio, *accuracies))
    columns = (f"{task}, {decided}" for decided in figures.DECIDED for task in figures.PLACES)
    return Numbers(
        "sums",
        "Task vectors, added up",
        "1 - cos of features with both task vectors added and of the mean of those with twice the one and with twice "
        "the other, over 1 - cos of these two, at the worst layer; test accuracies on the first task, the second and "
        "both, among all classes and within the image's task. Means over pairs with their standard errors.",
        ("networks", "merged", "pairs", "coefficient", "ratio, worst layer", *columns),
        found,
    )
