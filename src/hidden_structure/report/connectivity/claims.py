"""The claims on mode connectivity. Barriers and instabilities are of the test error, in fractions of 1."""

from collections.abc import Mapping, Sequence

from hidden_structure.frame import paths
from hidden_structure.frame.params import Study
from hidden_structure.permutation.methods import METHODS
from hidden_structure.report.chapter import Tables
from hidden_structure.report.claim import Claim, Criterion, Published, unless
from hidden_structure.report.connectivity import calibrated, lines, planted, repairing, widths
from hidden_structure.report.connectivity.lines import REPAIRED, UNALIGNED, Rows
from hidden_structure.report.preconditions import too_few
from hidden_structure.report.statistics import differences, finite

FRANKLE = "Frankle, Dziugaite, Roy, Carbin 2020"
AINSWORTH = "Ainsworth, Hayase, Srinivasa 2023"
IDEA = "connectivity"

STABLE_AT_MOST = lines.NOTICED_FROM
FRANKLES_LINE = "Frankle et al.'s line between stable and not"
# From here on their ResNet-20 is stable: iteration 2000, which is epoch 5 of CIFAR-10 and 3 % of their training. Epochs
# leave out the incomplete batch here: five are 1,950 steps.
STABLE_FROM_STEPS, STABLE_FROM_SHARE = 1950, 0.03
EASY = ("digits", "mnist", "fashion-mnist")  # an MLP is stable from its initialisation on, as their LeNet on MNIST was
LEARNT_AT_MOST = 0.5  # of the error of a guess: networks that have learnt nothing have no barrier between them either
ZERO_AT_MOST = 0.005  # what cannot be told from none by eye in the authors' figures
ZERO_FROM_CHANNELS = 512  # of a ResNet-20: 32 times 16


def claims(study: Study, tables: Tables) -> list[Claim]:
    """Every claim of the chapter, on pairs of the study's own width unless it says otherwise."""
    every, forks = tables("lines"), tables("forks")
    rows, repaired = lines.plain(study, every), lines.repairs(study)
    tested = sum(row["test"] for row in tables("classes"))
    trained, known = has_learnt(study, tables), tables("planted")
    found = [trained, *planted.claims(IDEA, known, trained), apart(rows, False, trained)]
    if repaired:
        found.append(apart(rows, True, trained))
    found += [claim for fork in lines.of_recipe(forks) if (claim := parted(study, rows, fork, trained))]
    for on in dict.fromkeys((repaired, True)):  # the gain of a matching must not be what REPAIR gives without one
        aligned = [method for method in lines.methods(lines.of_repair(rows, on)) if method != UNALIGNED]
        found += [matched(rows, method, on, on != repaired, trained, known) for method in aligned]
    found += [*_zero(study, every, trained, known, tested), *repairing.claims(IDEA, study, rows, trained)]
    unlearnt = _unlearnt(study, tables("networks"))
    found += widths.claims(IDEA, study, every, trained, known, unless(trained), unlearnt)
    return found + calibrated.claims(IDEA, study, every, trained, unlearnt)


def has_learnt(study: Study, tables: Tables, recipe: str = "") -> Claim:
    networks = tables("networks")
    return _learnt(lines.of_recipe(networks, recipe) if recipe else lines.plain(study, networks), recipe)


def _unlearnt(study: Study, networks: Rows) -> dict[float, str]:
    """Width -> that its networks by the study's own recipe have not learnt the task; none of those that have."""
    own = [row for row in lines.of_recipe(networks) if row["weight_decay"] == study.spawn.train.weight_decay]
    return {
        width: f"networks of {width:g} times the width have not learnt the task"
        for width in dict.fromkeys(row["width"] for row in own)
        if unless(_learnt([row for row in own if row["width"] == width]))
    }


def _learnt(networks: Rows, recipe: str = "") -> Claim:
    trunks = [row for row in networks if row["k"] is None]
    ratios = [
        (1 - finite(accuracy, "a test accuracy")) / (1 - row["guess"])
        for row in trunks
        for accuracy in row["test_accuracy"]
    ]
    return learnt(IDEA, ratios, [str(seed) for row in trunks for seed in row["seed"]], recipe)


def learnt(idea: str, ratios: Sequence[float], seeds: Sequence[str], recipe: str = "") -> Claim:
    """ratios: of each network its test error over that of naming the commonest class; recipe: if another than the
    study's."""
    quantity = "test error of a network, over that of naming the commonest class"
    return Claim(
        id=f"{idea}.learnt" + (f".{paths.slug(recipe)}" if recipe else ""),
        idea=idea,
        kind="precondition",
        statement=f"The networks{f' by the recipe of {recipe}' if recipe else ''} have learnt the task"
        + (": those that have not have no barrier between them either." if idea == IDEA else "."),
        criterion=Criterion(quantity, at_most=LEARNT_AT_MOST, origin="ours: half of a guess"),
        values=tuple(ratios),
        seeds=tuple(seeds),
    )


def apart(rows: Rows, repaired: bool, trained: Claim) -> Claim:
    own, how = lines.independent(lines.of_repair(rows, repaired), UNALIGNED), REPAIRED[repaired]
    return Claim(
        id=f"{IDEA}.apart.repaired" if repaired else f"{IDEA}.apart",
        idea=IDEA,
        kind="control",
        statement=f"Independent networks that are not aligned lie apart, {how}.",
        criterion=Criterion(
            f"barrier in test error, {REPAIRED[repaired]}", at_least=STABLE_AT_MOST, origin=FRANKLES_LINE
        ),
        values=lines.heights(own),
        seeds=lines.names(own),
        source=FRANKLE,
        unmet=unless(trained),
    )


def parted(study: Study, rows: Rows, fork: Mapping, trained: Claim) -> Claim | None:
    """On pairs that parted after k; None for a k of which the source says nothing, or the onset says it."""
    network, k, easy = study.spawn.network, fork["k"], is_easy(study)
    if has_onset(study) and (k != 0 or easy):
        return None
    late = fork["steps"] >= STABLE_FROM_STEPS and fork["share"] >= STABLE_FROM_SHARE
    if not (k == 0 or easy or late):
        return None
    stable = easy or late
    own = lines.spawned(lines.of_repair(rows, False), k)
    setting = "ResNet-20, CIFAR-10, 160 epochs: less from iteration 2000 (3 % of training) on, more at 0"
    setting = "LeNet, MNIST: less from the initialisation on" if easy else setting
    bound = {"at_most": STABLE_AT_MOST} if stable else {"at_least": STABLE_AT_MOST}
    sourced = easy or (study.data.source, network.name, network.depth) == ("cifar10", "resnet", 20)
    sourced = sourced and (easy or as_early(fork))
    return Claim(
        id=f"{IDEA}.parted.k{k}",
        idea=IDEA,
        kind="published" if sourced else "ours",
        statement=f"Two networks that part after {moment(fork)} {'stay in one basin' if stable else 'end apart'}.",
        criterion=Criterion("instability in test error, as merged", **bound, origin=FRANKLES_LINE),
        values=lines.heights(own, "instability"),
        seeds=lines.names(own),
        source=FRANKLE,
        published=Published(STABLE_AT_MOST, setting) if sourced else None,
        unmet=unless(trained),
    )


def matched(rows: Rows, method: str, repaired: bool, beside: bool, trained: Claim, known: Rows) -> Claim:
    """That a method brings independent networks closer together than REPAIR, or nothing, does.

    beside: whether that is asked with REPAIR beside what is judged as merged.
    """
    own, bare = (lines.independent(lines.of_repair(rows, repaired), name) for name in (method, UNALIGNED))
    label, how = own[0]["label"], REPAIRED[repaired]
    quantity = f"barrier in test error less that of the same pair not aligned, both {how}"
    return Claim(
        id=f"{IDEA}.matched.{method}" + (".repaired" if beside else ""),
        idea=IDEA,
        kind="published" if METHODS[method].published and not beside else "ours",
        statement=f"{label.capitalize()} brings independent networks closer together"
        + (" than REPAIR alone does." if beside else "."),
        criterion=Criterion(quantity, at_most=-STABLE_AT_MOST, origin="ours: a change beyond Frankle et al.'s noise"),
        values=tuple(differences(lines.heights(own), lines.heights(bare))),
        seeds=lines.names(own),
        source=own[0]["source"],
        unmet=unless(trained) or planted.unfound(IDEA, known, trained, method, own[0]["width"], own[0]["weight_decay"]),
    )


def _zero(study: Study, every: Rows, trained: Claim, known: Rows, tested: int) -> list[Claim]:
    """That no barrier is left after weight matching, for the networks of which the source says so; tested: images."""
    network = study.spawn.network
    widest = max(row["width"] for row in every)
    if network.name == "mlp" and study.data.source in EASY:
        width, setting = 1, "MLP of 3 x 512 units, MNIST"
    elif network.name == "resnet" and (network.width or 0) * widest >= ZERO_FROM_CHANNELS:
        width, setting = widest, "ResNet-20 x32, LayerNorm, CIFAR-10, 250 epochs"
    else:
        return []
    decay, repaired = study.spawn.train.weight_decay, lines.repairs(study)
    rows = [row for row in every if (row["width"], row["weight_decay"]) == (width, decay)]
    own = lines.independent(lines.of_repair(rows, repaired), "weights")
    if not own:
        return []
    images = min(tested, study.interpolate.test_samples or tested)
    return [
        Claim(
            id=f"{IDEA}.zero",
            idea=IDEA,
            kind="published",
            statement="Weight matching leaves no barrier between independent networks"
            + (f" of {width:g} times the width." if width != 1 else "."),
            criterion=Criterion(f"barrier in test error, {REPAIRED[repaired]}", at_most=ZERO_AT_MOST, origin="ours"),
            values=lines.heights(own),
            seeds=lines.names(own),
            source=AINSWORTH,
            published=Published(0, setting),
            unmet=unless(trained)
            or planted.unfound(IDEA, known, trained, "weights", width, decay)
            or unless(apart(rows, repaired, trained))
            or too_few(images, ZERO_AT_MOST),
        )
    ]


def as_early(fork: Mapping) -> bool:
    """Whether networks part at about the sources' share of training: to share more of it is another experiment."""
    return fork["share"] <= 2 * STABLE_FROM_SHARE


def is_easy(study: Study) -> bool:
    """Whether the source's networks were stable from their initialisation on."""
    return study.data.source in EASY and study.spawn.network.name == "mlp"


def has_onset(study: Study) -> bool:
    """Whether the study asks from which k on networks are stable, not of each k by itself."""
    return bool(study.spawn.steps or study.spawn.recipes)


def moment(fork: Mapping) -> str:
    """When two networks parted: "5 epochs (1955 steps, 42 % of training)"."""
    steps = "" if isinstance(fork["k"], str) else f"{fork['steps']} steps, "
    share = f" ({steps}{100 * fork['share']:.2g} % of training)" if fork["k"] else ""
    return lines.after(fork["k"]) + share
