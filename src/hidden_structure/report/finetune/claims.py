"""The claims on networks of two tasks: cross-task linearity, and task vectors that are added up.

Features are judged against the same pair's ends, as LLFC is, and by the same bound.
"""

from collections.abc import Sequence

from hidden_structure.report.chapter import Tables
from hidden_structure.report.claim import Claim, Criterion, Kind, unless
from hidden_structure.report.connectivity.calibrated import ITO
from hidden_structure.report.connectivity.claims import LEARNT_AT_MOST
from hidden_structure.report.controls import unless_control
from hidden_structure.report.finetune.pairs import KINDS, REPAIRED, Rows, gains, of, repairs
from hidden_structure.report.linearity.claims import A_FIFTH, BENT_AT_MOST
from hidden_structure.report.linearity.laws import DIFFERENCE, LAWS, TOLD_FROM, neither
from hidden_structure.report.statistics import finite

IDEA = "finetune"
ZHOU = "Zhou, Chen, Chen, Zhang, Yan 2024"
ILHARCO = "Ilharco et al. 2023"
PRETRAINED, FINETUNED, SAME, INDEPENDENT = "pretrained", *KINDS

HALVES = 0.5
APART_FROM = 0.01
GAINED_FROM = 0.01
KEPT_FROM = 0.75
UNBENT = 1e-6  # a ratio that nothing is divided by: networks that never moved have 0
BEND = "1 - cos of merged with interpolated features over 1 - cos of the ends' features, at the worst layer"
ADDED = f"{BEND} and coefficient other than 1/2, of task vectors added up, the ends having twice the one or the other"


def claims(tables: Tables) -> list[Claim]:
    """Lines are judged as merged, sums of task vectors with BatchNorm reset where there is any."""
    networks, crossed, sums = tables("finetuned"), tables("crossed"), tables("sums")
    own, added = of(crossed, FINETUNED), of(sums, FINETUNED)
    conditions = [
        _pretrained(added, len(tables("classes"))),
        _learnt("learnt", "The finetuned networks have learnt their tasks.", networks, pretrained=True),
        _learnt("scratch", "The networks that are not pretrained have learnt theirs.", networks, pretrained=False),
        _condition(
            "apart",
            "Finetuning on two tasks takes two networks apart.",
            Criterion("1 - cos of their logits", at_least=APART_FROM, origin="ours"),
            [row["layers"]["ends"][-1] for row in own],
            [row["seed"] for row in own],
        ),
    ]
    unmet = next(filter(None, map(unless, conditions)), "")
    return [*conditions, *_linear(crossed, unmet), _addition(sums, unmet), *_kept(crossed, sums, unmet)]


def _pretrained(added: Rows, classes: int) -> Claim:
    criterion = Criterion(
        "test accuracy among all classes (fraction)", at_least=2 / classes, origin="ours: twice chance"
    )
    accuracies = [row["accuracy"]["both"]["all"][0] for row in added]
    statement = "The pretrained networks know more than nothing of both tasks."
    return _condition("pretrained", statement, criterion, accuracies, [row["seed"] for row in added])


def _learnt(name: str, statement: str, networks: Rows, pretrained: bool) -> Claim:
    own = [row for row in networks if (row["begins"] == PRETRAINED) == pretrained]
    quantity = "test error of a network within its task, over that of a guess"
    errors = [(1 - row["accuracy"][row["task"]]["within"]) / (1 - 1 / row["classes"]) for row in own]
    criterion = Criterion(quantity, at_most=LEARNT_AT_MOST, origin="ours: half of a guess")
    return _condition(name, statement, criterion, errors, [f"{row['seed']}-{row['task']}" for row in own])


def _condition(
    name: str, statement: str, criterion: Criterion, values: Sequence[float], seeds: Sequence, unmet: str = ""
) -> Claim:
    named = tuple(map(str, seeds))
    return Claim(f"{IDEA}.{name}", IDEA, "precondition", statement, criterion, tuple(values), named, unmet=unmet)


def _linear(crossed: Rows, unmet: str) -> list[Claim]:
    own = of(crossed, FINETUNED)
    bends = {kind: _bends(of(crossed, kind)) for kind in KINDS}
    linear = Criterion(f"{BEND} and alpha", at_most=BENT_AT_MOST, origin=A_FIFTH)
    halved = Criterion("that ratio, over that of networks from one initialisation", at_most=HALVES, origin="ours: half")
    fails = Criterion(linear.quantity, at_least=BENT_AT_MOST, origin=A_FIFTH)
    controls = {f"independent networks, {how}": _bends(of(crossed, INDEPENDENT, on)) for on, how in REPAIRED.items()}
    controls["networks from one initialisation, not pretrained"] = bends[SAME]
    shares = tuple(one / max(other, UNBENT) for one, other in zip(bends[FINETUNED], bends[SAME], strict=True))
    found = [
        _claim(
            "linear",
            "published",
            "Between networks that are finetuned on two tasks from one pretrained network features are nearly those "
            "interpolated of both, as merged.",
            linear,
            bends[FINETUNED],
            own,
            ZHOU,
            unmet or unless_control(linear, bends[FINETUNED], controls),
        ),
        _claim(
            "pretraining",
            "published",
            "Features are more linear between networks that share their pretraining than between networks that share "
            "their initialisation alone.",
            halved,
            shares,
            own,
            ZHOU,
            unmet,
        ),
        _claim(
            "control",
            "control",
            "Between networks of two tasks from initialisations of their own features are not linear, as merged.",
            fails,
            bends[INDEPENDENT],
            of(crossed, INDEPENDENT),
            "",
            unmet,
        ),
    ]
    if all("laws" in row for row in own):
        law = Criterion(DIFFERENCE, at_most=-TOLD_FROM, origin="ours: a hundredth of how far the ends are apart")
        values = tuple(row["laws"]["linear"] - row["laws"]["exponential"] for row in own)
        statement = "LLFC describes the features between networks finetuned on two tasks better than LEWC does."
        failed = unmet or neither(*([row["laws"][name] for row in own] for name in LAWS))
        found.append(_claim("law", "ours", statement, law, values, own, ITO, failed))
    return found


def _addition(sums: Rows, unmet: str) -> Claim:
    on = repairs(sums)
    values = {kind: _worst(of(sums, kind, on)) for kind in KINDS}
    criterion = Criterion(ADDED, at_most=BENT_AT_MOST, origin=A_FIFTH)
    controls = {
        "task vectors of independent networks": values[INDEPENDENT],
        "task vectors from one initialisation, not pretrained": values[SAME],
    }
    return _claim(
        "addition",
        "published",
        "With both task vectors added to the pretrained network features are nearly the mean of those with twice the "
        f"one and with twice the other, {REPAIRED[on]}.",
        criterion,
        values[FINETUNED],
        of(sums, FINETUNED, on) if values[FINETUNED] else [],
        ZHOU,
        unmet or unless_control(criterion, values[FINETUNED], controls),
    )


def _kept(crossed: Rows, sums: Rows, unmet: str) -> list[Claim]:
    """Of the mean of both networks, which is coefficient 1/2: what it keeps of what each gained by finetuning."""
    own = of(crossed, FINETUNED)
    criterion = Criterion("gain in test accuracy within a task, the smaller", at_least=GAINED_FROM, origin="ours")
    gained = [min(gain for gain, _ in tasks) for tasks in _gains(crossed, sums, FINETUNED)]
    statement = "Finetuning makes networks better at their task."
    gain = _condition("gained", statement, criterion, gained, [row["seed"] for row in own], unmet)
    quantity = "gain of the mean of both networks over the task's own, in test accuracy within it, the smaller share"
    share = Criterion(quantity, at_least=KEPT_FROM, origin="ours: three quarters")
    reason = unless(gain)
    values = () if reason else _shares(crossed, sums, FINETUNED)
    controls = {f"independent networks, {how}": _shares(crossed, sums, INDEPENDENT, on) for on, how in REPAIRED.items()}
    kept = _claim(
        "kept",
        "ours",  # the source measures accuracy, of which most is there before finetuning
        "The mean of two finetuned networks, half of both task vectors, keeps most of what each gained on its task, as "
        "merged.",
        share,
        values,
        own if values else [],
        ILHARCO,
        reason or unless_control(share, values, controls),
    )
    return [gain, kept]


def _gains(crossed: Rows, sums: Rows, kind: str, repaired: bool = False) -> list[list[tuple[float, float]]]:
    both = zip(of(crossed, kind, repaired), of(sums, kind, repaired), strict=True)
    return [gains(*pair) for pair in both]


def _shares(crossed: Rows, sums: Rows, kind: str, repaired: bool = False) -> tuple[float, ...]:
    """The smaller of both tasks': networks that gained nothing keep nothing."""
    both = _gains(crossed, sums, kind, repaired)
    return tuple(min(had / gained if gained > 0 else 0.0 for gained, had in tasks) for tasks in both)


def _bends(rows: Rows) -> tuple[float, ...]:
    return tuple(finite(row["bend"], f"bend of seed {row['seed']}") for row in rows)


def _worst(rows: Rows) -> tuple[float, ...]:
    """At the worst coefficient; none where no other than 1/2 was asked for."""
    return tuple(finite(max(row["bend"]), f"bend of seed {row['seed']}") for row in rows if row.get("bend"))


def _claim(
    name: str,
    kind: Kind,
    statement: str,
    criterion: Criterion,
    values: tuple[float, ...],
    rows: Rows,
    source: str,
    unmet: str,
) -> Claim:
    seeds = tuple(str(row["seed"]) for row in rows)
    return Claim(f"{IDEA}.{name}", IDEA, kind, statement, criterion, values, seeds, source, unmet=unmet)
