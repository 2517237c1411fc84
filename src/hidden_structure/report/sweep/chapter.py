"""The grid of recipes: whether what is recovered depends on how the coarse network was trained."""

from collections.abc import Iterator, Mapping, Sequence

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Chapter, Numbers, Picture, Tables
from hidden_structure.report.claim import Claim
from hidden_structure.report.collapse.chapter import with_error
from hidden_structure.report.findings import in_order
from hidden_structure.report.recovery.claims import accuracies, guess
from hidden_structure.report.recovery.controls import assessable
from hidden_structure.report.statistics import rounded
from hidden_structure.report.sweep import figures
from hidden_structure.report.sweep.claims import IDEA, claims, held_from, trained

COLUMNS = {
    "train_accuracy": "training accuracy",
    "test_accuracy": "test accuracy",
    "nc1": "NC1",
    "accuracy": "recovered",
    "ceiling": "true labels",
    "agreement": "agreement",
}


def chapter(study: Study, tables: Tables) -> Chapter | None:
    """None where the study sweeps no grid."""
    if study.sweep is None or not (sweep := tables("sweep")):
        return None
    classes = tables("classes")
    coarse = len({row["superclass"] for row in classes})
    accuracy = accuracies(study, tables("training"), tables("recovery"))
    floor = held_from(guess(classes), accuracy["fine"])
    beside = assessable(accuracy, tables("memorised"))
    controls = {f"clusters of {words}": accuracy[name] for name, words in beside.items()}
    found = claims(study, sweep, coarse, floor, controls)
    return Chapter(
        idea=IDEA,
        title="Recovery over a grid of recipes",
        question="Learning rate and weight decay decide how far features collapse. Is there a recipe under which the "
        "classes that were merged can no longer be recovered?",
        findings=in_order(_sentences(study, sweep, found, coarse, floor)),
        claims=found,
        pictures=[_picture(sweep), *_model(sweep)],
        numbers=[_numbers(sweep)],
        headline={
            claim.id.partition(".")[2]: None if claim.measured is None else rounded(claim.measured) for claim in found
        },
    )


def recipes(sweep: Sequence[Mapping]) -> dict[tuple[float, float], list[Mapping]]:
    """(learning rate, weight decay) -> its networks."""
    found: dict[tuple[float, float], list[Mapping]] = {}
    for row in sweep:
        found.setdefault((row["lr"], row["weight_decay"]), []).append(row)
    return found


def _sentences(
    study: Study, sweep: Sequence[Mapping], found: Sequence[Claim], coarse: int, floor: float
) -> Iterator[tuple[Claim, str]]:
    precondition, everywhere = found
    failed = [row for row in sweep if row["accuracy"] is None]
    good = [row for row in sweep if trained(study, row, coarse)]
    said = f"{len(good)} of {len(sweep)} networks ({len(recipes(sweep))} recipes) are properly trained"
    if failed:
        said += f"; of {len(failed)} training or clustering failed, which counts neither way"
    yield precondition, said
    if good:
        lost = sorted((row for row in good if row["accuracy"] < floor), key=lambda row: row["accuracy"])
        cases = "; ".join(
            f"{row['accuracy']:.3f} at a learning rate of {row['lr']:g} with a weight decay of {row['weight_decay']:g} "
            f"(NC1 {row['nc1']:.3g})"
            for row in lost[:3]
        )
        span = [row["accuracy"] for row in good if row["accuracy"] >= floor]
        held = f" of {min(span):.3f} to {max(span):.3f}" if span else ""
        yield (
            everywhere,
            f"{len(good) - len(lost)} of the {len(good)} keep the original classes: recovered labels give an accuracy"
            f"{held}, where {floor:.3f} is the bound" + (f". Lost are {cases}" if lost else ""),
        )


def _numbers(sweep: Sequence[Mapping]) -> Numbers:
    rows = []
    for (lr, decay), own in recipes(sweep).items():
        measured = {name: [row[name] for row in own if row[name] is not None] for name in COLUMNS}
        numbers = [with_error(values) if values else None for values in measured.values()]
        rows.append((lr, decay, len(measured["accuracy"]), len(own), *numbers))
    return Numbers(
        "sweep",
        "Recipe by recipe",
        "Accuracies on coarse labels, NC1 of the training features within coarse classes, and on the original classes "
        "the test accuracy of linear layers on recovered and on true labels; agreement of recovered with original "
        "labels in the training set. Means over the networks that could be measured, with their standard errors.",
        ("learning rate", "weight decay", "measured", "networks", *COLUMNS.values()),
        rows,
    )


def _model(sweep: Sequence[Mapping]) -> Iterator[Picture]:
    if not any(row.get("wrong") for row in sweep):
        return
    yield Picture(
        "sweep-model",
        "The unconstrained features model over weight decay",
        "One mark a network, brighter the more it decays, its shape the learning rate; on the dashed line it does as "
        "the model says. Left by how much the right class's logit exceeds a wrong one's, right the probability of a "
        "wrong class.",
        "The networks of the grid at the end of training, on the training set in evaluation mode. The model tells the "
        "first from the norms of last layer and features, and the second from these and the weight decay.",
        lambda: figures.model(sweep),
    )


def _picture(sweep: Sequence[Mapping]) -> Picture:
    return Picture(
        "sweep",
        "Fine structure over learning rate and weight decay",
        "Each square is one recipe. Where NC1 is low (dark), the features of a coarse class lie close to one point. "
        "Where recovered accuracy and agreement are low too, collapse has destroyed the fine structure; where they are "
        "high (bright), it has not. In a hatched square the network diverged, or its features died.",
        "The study's network, trained on coarse labels only. NC1 is of the training features within coarse classes. "
        "Recovered accuracy: a linear layer, trained on the labels that clustering recovers (the first reducer), "
        "tested on the original ones; agreement: of recovered with original labels in the training set. Small numbers "
        "are standard errors over seeds.",
        lambda: figures.heat_maps(sweep),
    )
