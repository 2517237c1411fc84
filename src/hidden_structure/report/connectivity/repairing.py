"""What REPAIR does for networks whose units are matched, beside what it does for the same networks not aligned."""

from hidden_structure.frame.params import Study
from hidden_structure.report.claim import Claim, Criterion, Published, unless
from hidden_structure.report.connectivity import lines
from hidden_structure.report.connectivity.lines import NOTICED_FROM, UNALIGNED, Rows
from hidden_structure.report.controls import unless_control
from hidden_structure.report.statistics import finite

JORDAN = "Jordan, Sedghi, Saukh, Entezari, Neyshabur 2023"
MOST = 0.5
MORE = 0.05
NEAR = 0.1

# Test accuracy of the ends, and halfway between networks whose correlations were matched, without and with REPAIR:
# (dataset, name, depth, width, norm) -> three fractions and the network; None stands for any.
TABLE = {
    ("cifar10", "resnet", 20, 16, "batch"): (0.936, 0.127, 0.676, "ResNet-20 x1, BatchNorm, CIFAR-10, 250 epochs"),
    ("cifar10", "resnet", 20, 64, "batch"): (0.961, 0.348, 0.921, "ResNet-20 x4, BatchNorm, CIFAR-10, 250 epochs"),
    ("cifar10", "vgg", 11, 64, "batch"): (0.922, 0.613, 0.882, "VGG-11, CIFAR-10"),
    ("mnist", "mlp", None, None, "none"): (0.991, 0.824, 0.980, "MLP, MNIST"),
}


def claims(idea: str, study: Study, rows: Rows, trained: Claim) -> list[Claim]:
    """What REPAIR does for networks whose correlations were matched, and for the same pairs not aligned.

    rows: the lines of the study's own width and recipe; trained: that its networks have learnt the task.

    Raises InputError if a barrier is missing or not finite.
    """
    merged, mended = (lines.independent(lines.of_repair(rows, on), "correlations") for on in (False, True))
    if not merged:
        return []
    bare = [lines.independent(lines.of_repair(rows, on), UNALIGNED) for on in (False, True)]
    known = published(study)
    quantity = f"share of a barrier in test error of {NOTICED_FROM:g} or more that REPAIR closes"
    most = Criterion(quantity, at_least=MOST, origin="ours: more than half")
    matched, alone = _closed(merged, mended), _closed(*bare)
    both = [name for name in matched if name in alone]
    repaired, without = tuple(matched.values()), tuple(alone.values())
    found = [
        Claim(
            id=f"{idea}.repair",
            idea=idea,
            kind="published",
            statement="REPAIR closes most of the barrier between networks whose units are matched by correlations.",
            criterion=most,
            values=repaired,
            seeds=tuple(matched),
            source=JORDAN,
            published=Published(1 - (known[0] - known[2]) / (known[0] - known[1]), known[3]) if known else None,
            unmet=unless(trained)
            or ("" if repaired else "matched pairs have no barrier to be closed")
            or unless_control(most, repaired, {"the same pairs not aligned": [alone[name] for name in both]}),
        ),
        Claim(
            id=f"{idea}.repair.more",
            idea=idea,
            kind="ours",
            statement="REPAIR closes more of the barrier between networks whose units are matched by correlations than "
            "of that between the same networks not aligned.",
            criterion=Criterion(
                f"{quantity}, of matched pairs less that of the same pairs not aligned",
                at_least=MORE,
                origin="ours: a twentieth",
            ),
            values=tuple(matched[name] - alone[name] for name in both),
            seeds=tuple(both),
            source=JORDAN,
            unmet=unless(trained)
            or (
                "" if both else f"pairs {'not aligned' if matched else 'that are matched'} have no barrier to be closed"
            ),
        ),
        Claim(
            id=f"{idea}.repair.control",
            idea=idea,
            kind="control",
            statement="REPAIR alone does not close most of the barrier between the same networks, not aligned.",
            criterion=Criterion(quantity, at_most=MOST, origin="ours: less than half"),
            values=without,
            seeds=tuple(alone),
            source=JORDAN,
            unmet=unless(trained) or ("" if without else "there is no barrier to be closed"),
        ),
    ]
    if known:
        ends, before, after, setting = known
        found.append(
            Claim(
                id=f"{idea}.midpoint",
                idea=idea,
                kind="published",
                statement="Halfway between networks whose units are matched by correlations, REPAIR restores as much "
                "of the accuracy as the source found.",
                criterion=Criterion(
                    "test accuracy at the midpoint, with REPAIR",
                    at_least=after - NEAR,
                    at_most=min(1.0, after + NEAR),
                    origin="within ten points of the published one",
                ),
                values=tuple(finite(row["midpoint"], f"midpoint of {row['pair']}") for row in mended),
                seeds=lines.names(mended),
                source=JORDAN,
                published=Published(after, f"{setting}; ends {ends}, without REPAIR {before}"),
                unmet=unless(trained),
            )
        )
    return found


def published(study: Study) -> tuple[float, float, float, str] | None:
    """The source's accuracies (ends, midpoint, midpoint with REPAIR) for the study's data and network."""
    network = study.spawn.network
    key = (study.data.source, network.name, network.depth, network.width, network.norm)
    return next((TABLE[known] for known in TABLE if all(a in (b, None) for a, b in zip(known, key, strict=True))), None)


def _closed(merged: Rows, mended: Rows) -> dict[str, float]:
    """Name -> share, of the pairs that have a barrier: of others a share says nothing."""
    pairs = zip(lines.names(merged), lines.heights(merged), lines.heights(mended), strict=True)
    return {name: 1 - after / before for name, before, after in pairs if before >= NOTICED_FROM}
