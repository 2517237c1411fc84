"""What is said of lines on which the temperature is fitted at every point: whether permutations are needed at all.

Ito et al. find that wide networks connect without one once the temperature is calibrated. So every matched pair stands
beside the same pair not aligned, under the same REPAIR, and both at temperatures fitted on training samples.
"""

from collections.abc import Mapping, Sequence

from hidden_structure.frame.params import Study
from hidden_structure.report.claim import Claim, Criterion, unless
from hidden_structure.report.connectivity import lines, widths
from hidden_structure.report.connectivity.lines import CALIBRATED, REPAIRED, UNALIGNED, Rows
from hidden_structure.report.statistics import differences, mean, standard_error

ITO = "Ito, Yamada, Chijiwa, Kumagai 2025"
NOTICED_FROM = 0.02  # nats
CONNECTED_AT_MOST = 0.05  # nats
MOST = 0.5
BARRIER = "barrier in test loss at fitted temperatures"


def claims(
    idea: str, study: Study, every: Rows, trained: Claim, unlearnt: Mapping[float, str] | None = None
) -> list[Claim]:
    """None where temperatures were not fitted. every: lines of all widths and weight decays; unlearnt: width -> why
    nothing can be said of it, of those whose networks have not learnt the task."""
    if not lines.calibrated(every):
        return []
    plain = lines.plain(study, every)
    own = lines.of_repair(plain, True)
    after = heights(lines.independent(own, UNALIGNED))
    found = [_share(idea, plain, repaired, trained) for repaired in REPAIRED]
    for method, label in lines.methods(own).items():
        if method != UNALIGNED:
            aligned = lines.independent(own, method)
            found.append(
                Claim(
                    id=f"{idea}.calibrated.matched.{method}",
                    idea=idea,
                    kind="ours",
                    statement=f"{label.capitalize()} brings independent networks closer together in loss even where "
                    "REPAIR and the temperature are fitted to both.",
                    criterion=Criterion(
                        f"{BARRIER} less that of the same pair not aligned, both with REPAIR (nats)",
                        at_most=-NOTICED_FROM,
                        origin="ours: 2 % of the images at a nat each",
                    ),
                    values=tuple(differences(heights(aligned), after)),
                    seeds=lines.names(aligned),
                    source=ITO,
                    unmet=unless(trained),
                )
            )
    return found + _wide(idea, study, every, unless(trained), unlearnt or {})


def _share(idea: str, plain: Rows, repaired: bool, trained: Claim) -> Claim:
    """That want of confidence is most of the barrier between networks that are not aligned."""
    bare = lines.independent(lines.of_repair(plain, repaired), UNALIGNED)
    before, after = lines.heights(bare, of="test_loss"), heights(bare)
    return Claim(
        id=f"{idea}.calibrated.share" + (".repaired" if repaired else ""),
        idea=idea,
        kind="ours",
        statement="Between independent networks that are not aligned, the temperature closes most of the barrier in "
        f"test loss, {REPAIRED[repaired]}.",
        criterion=Criterion("share of the barrier in test loss", at_least=MOST, origin="ours: more than half"),
        values=tuple(1 - low / high for low, high in zip(after, before, strict=True) if high),
        seeds=lines.names(bare),
        source=ITO,
        unmet=unless(trained) or ("" if min(before) > NOTICED_FROM else "there is no barrier to be closed"),
    )


def _wide(idea: str, study: Study, every: Rows, unmet: str, unlearnt: Mapping[float, str]) -> list[Claim]:
    """That networks which are not aligned connect as they widen; where there are several widths, of which the narrowest
    that have learnt the task are compared. The source's networks are wider: what ours do is a question of our own."""
    found = []
    for repaired in dict.fromkeys((lines.repairs(study), False)):
        compared = widths.ends(study, lines.of_repair(every, repaired), unlearnt)
        if not compared:
            return []
        how = f"{REPAIRED[repaired]} (nats)"
        beside = ".merged" if repaired != lines.repairs(study) else ""
        if pairs := compared.pairs(UNALIGNED):
            narrow, wide, *_ = zip(*pairs, strict=True)
            found.append(
                Claim(
                    id=f"{idea}.calibrated.width{beside}",
                    idea=idea,
                    kind="ours",
                    statement="The wider independent networks that are not aligned are, the lower is their barrier in "
                    f"loss once the temperature is fitted, {REPAIRED[repaired]}.",
                    criterion=Criterion(
                        f"{BARRIER} {compared.apart}, {how}",
                        at_most=-NOTICED_FROM,
                        origin="ours: 2 % of the images at a nat each",
                    ),
                    values=tuple(differences(heights(wide), heights(narrow))),
                    seeds=lines.names(wide),
                    source=ITO,
                    unmet=unmet or compared.unmet or _flat([*narrow, *wide]),
                )
            )
        widest = [*compared.lines[1][UNALIGNED].values()]
        found.append(
            Claim(
                id=f"{idea}.calibrated.wide{beside}",
                idea=idea,
                kind="ours",
                statement="The widest independent networks of the study connect without a permutation once the "
                f"temperature is fitted, {REPAIRED[repaired]}.",
                criterion=Criterion(
                    f"{BARRIER}, {how}", at_most=CONNECTED_AT_MOST, origin="ours: 5 % of the images at a nat each"
                ),
                values=heights(widest),
                seeds=lines.names(widest),
                source=ITO,
                unmet=unmet or unlearnt.get(compared.widths[1], "") or _flat(widest),
            )
        )
    return found


def _flat(rows: Rows) -> str:
    highest = max(lines.heights(rows, of="test_loss"))
    return "there is no barrier in loss to be closed" if highest <= CONNECTED_AT_MOST else ""


def heights(rows: Rows) -> tuple[float, ...]:
    """The barrier in test loss at fitted temperatures, one a line."""
    return lines.heights(rows, of=CALIBRATED)


def finding(rows: Rows) -> list[str]:
    """Two sentences where temperatures were fitted; rows: of the plain networks."""
    if not lines.calibrated(rows):
        return []
    said = []
    for method, label in lines.methods(rows).items():
        who = "not aligned" if method == UNALIGNED else f"aligned by {label}"
        pairs = {how: lines.independent(lines.of_repair(rows, on), method) for on, how in REPAIRED.items()}
        changes = [
            f"{_nats(lines.heights(p, of='test_loss'))} to {_nats(heights(p))} {how}" for how, p in pairs.items()
        ]
        said.append(f"{' and '.join(changes)} ({who})")
    return [
        "Fitted on training images at every point of the line, the temperature brings the barrier in test loss between "
        f"independent networks from {'; '.join(said)}, in nats.",
        _of_the_ends(lines.independent(lines.of_repair(rows, False), UNALIGNED)),
    ]


def _of_the_ends(rows: Rows) -> str:
    """What it does to the loss that barriers are reckoned from; rows: of pairs that share no network."""
    before, after = ([row[name][place] for row in rows for place in (0, -1)] for name in ("test_loss", CALIBRATED))
    why = (
        ": fitted to images that networks separate, with targets short of certainty, it leaves them less sure of "
        "others than they should be"
        if mean(after) > mean(before) and mean([row["temperature"][place] for row in rows for place in (0, -1)]) > 1
        else ""
    )
    return (
        f"It brings the test loss of the ends, above which barriers rise, from {_nats(before)} to {_nats(after)}{why}."
    )


def _nats(values: Sequence[float]) -> str:
    error = standard_error(values)
    return f"{mean(values):.3g}" + ("" if error is None else f" ± {error:.2g}")
