"""The claims on networks of which some classes have few images. All are on the end of training."""

from collections.abc import Callable, Mapping, Sequence

from hidden_structure.report.claim import Claim, Criterion, unless
from hidden_structure.report.collapse.claims import FITTED_FROM
from hidden_structure.report.controls import unless_control
from hidden_structure.report.preconditions import trained as properly_trained
from hidden_structure.report.statistics import mean

IDEA = "imbalance"
FANG = "Fang, He, Long, Su 2021"
CLOSER_FROM = 2.0  # times 1/C of the way to one direction, which rows drawn at random have gone from a simplex
NEARLY = 0.05  # of a cosine
ONE_FROM = 0.99  # cosine of rows that are one, or nearly
FORMS = {  # column -> what the model is given
    "bounds": "both norms",
    "decay": "the ratio of norms and the last layer's decay",
}


def claims(rows: Sequence[Mapping], source: str, classes: int) -> list[Claim]:
    """rows: of the table `minorities`. source: of the data; classes: how many the networks tell apart."""
    balanced = at(rows, 1)
    trained = properly_trained(
        f"{IDEA}.trained",
        "the networks on balanced classes are",
        [row["test_accuracy"] for row in balanced],
        seeds(balanced),
        source,
        classes,
    )
    converged = _terminal(rows)
    failed = unless(trained)
    models = [_model(rows, form, classes, failed or unless(converged)) for form in FORMS]
    return [trained, converged, _closer(rows, classes, failed), *models]


def at(rows: Sequence[Mapping], ratio: int, trained: bool = True) -> list[Mapping]:
    """The networks of one ratio, in the order of the seeds."""
    own = (row for row in rows if row["ratio"] == ratio and row["trained"] == trained)
    return sorted(own, key=lambda row: row["seed"])


def seeds(rows: Sequence[Mapping]) -> tuple[str, ...]:
    return tuple(str(row["seed"]) for row in rows)


def _terminal(rows: Sequence[Mapping]) -> Claim:
    """The model is of an optimum, where every training sample is classified rightly whose class's row differs from the
    others: of classes whose rows are one that is none's."""
    balanced = at(rows, 1)

    def lowest(seed: int) -> float:
        networks = [row for row in rows if row["trained"] and row["seed"] == seed]
        groups = [(row, group) for row in networks for group in ("majority", "minority")]
        return min(row[group]["train_accuracy"] for row, group in groups if group == "majority" or _apart(row))

    return Claim(
        id=f"{IDEA}.terminal",
        idea=IDEA,
        kind="precondition",
        statement="The networks reached the terminal phase of training, at every ratio.",
        criterion=Criterion(
            "accuracy at the end on the training images of either group of classes, of the minority where the model "
            "keeps its rows apart, the lowest over ratios (fraction)",
            at_least=FITTED_FROM,
            origin="ours: zero training error, rounded down",
        ),
        values=tuple(lowest(row["seed"]) for row in balanced),
        seeds=seeds(balanced),
    )


def _apart(row: Mapping) -> bool:
    return any(told(row, form) and row["model"][form] < ONE_FROM for form in FORMS)


def _closer(rows: Sequence[Mapping], classes: int, unmet: str) -> Claim:
    largest = max(row["ratio"] for row in rows)
    balanced, end, start = at(rows, 1), at(rows, largest), at(rows, largest, trained=False)

    def way(group: str, networks: Sequence[Mapping]) -> tuple[float, ...]:
        pairs = [[row[group]["cosine_rows"] for row in pair] for pair in zip(balanced, networks, strict=True)]
        return tuple((there - here) / (1 - here) for here, there in pairs)

    criterion = Criterion(
        f"mean cosine of two rows of minority classes at a ratio of {largest:g}, from that of the network on balanced "
        "classes (0) to one direction (1)",
        at_least=CLOSER_FROM / classes,
        origin="ours: twice what rows drawn at random have gone from a simplex",
    )
    controls = {"the network before training": way("minority", start), "majority classes": way("majority", end)}
    return Claim(
        id=f"{IDEA}.closer",
        idea=IDEA,
        kind="published",
        statement="In trained networks, too, the last layer's rows of minority classes come closer to one another as "
        "imbalance grows.",
        criterion=criterion,
        values=way("minority", end),
        seeds=seeds(end),
        source=FANG,
        unmet=unmet or unless_control(criterion, way("minority", end), controls),
    )


def _model(rows: Sequence[Mapping], form: str, classes: int, unmet: str) -> Claim:
    """Of all seeds or none: those of which the form says nothing at some ratio may be those that it would be wrong of.

    What rises is compared, not the cosine: rows before training have one of about 0, which a model may foretell, too.
    """
    ratios = sorted({row["ratio"] for row in rows})
    networks = {ratio: at(rows, ratio) for ratio in ratios}
    without = [row for own in networks.values() for row in own if not told(row, form)]
    if without:
        first = f"ratio {without[0]['ratio']:g}, seed {without[0]['seed']}"
        unmet = unmet or f"the model has no cosine of the minority's rows for {len(without)} of them: {first} first"
    places = range(0 if without else len(networks[1]))

    def off(measured: Callable[[Mapping], float], model: Callable[[Mapping], float]) -> tuple[float, ...]:
        def rise(value: Callable[[Mapping], float], ratio: int, place: int) -> float:
            return value(networks[ratio][place]) - value(networks[1][place])

        return tuple(
            mean([abs(rise(measured, ratio, place) - rise(model, ratio, place)) for ratio in ratios[1:]])
            for place in places
        )

    def measured(row: Mapping) -> float:
        return row["minority"]["cosine_rows"]

    def model(row: Mapping) -> float:
        return row["model"][form]

    values = off(measured, model)
    criterion = Criterion(
        "rise of the mean cosine of two minority classes' rows above that of the network on balanced classes, less the "
        "rise in the model, without its sign, mean over ratios above 1",
        at_most=NEARLY,
        origin="ours",
    )
    controls = {
        "a simplex at every ratio": off(measured, lambda row: -1 / (classes - 1)),
        "rows that stay as they are": off(lambda row: 0.0, model),
    }
    return Claim(
        id=f"{IDEA}.{form}",
        idea=IDEA,
        kind="ours",
        statement="How much nearer rows of minority classes come is what the unconstrained features model says of as "
        f"many samples a class, given {FORMS[form]} of the network.",
        criterion=criterion,
        values=values,
        seeds=tuple(str(networks[1][place]["seed"]) for place in places),
        unmet=unmet or unless_control(criterion, values, controls),
    )


def told(row: Mapping, form: str) -> bool:
    """Whether that form of the model says something of that network."""
    return row.get("model", {}).get(form) is not None
