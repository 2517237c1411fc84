"""The claims on classes split at random. All are on the last snapshot, when the split must have been memorised."""

from collections.abc import Mapping, Sequence

from hidden_structure.report.claim import Claim, Criterion, unless
from hidden_structure.report.collapse.claims import of, seeds
from hidden_structure.report.controls import unless_control

IDEA = "split"
YANG = "Yang, Steinhardt, Hu 2023"
MEMORISED_FROM = 0.5  # of the way from a guess at the part to 1
GROUPED_FROM = 0.9
NEARLY = 0.03  # in accuracy


def claims(split: Sequence[Mapping], training: Sequence[Mapping], trained: str) -> list[Claim]:
    """split, training: rows of the tables of these names. trained: what `unmet` is of claims that rest on the network
    trained on the classes themselves."""
    memorised = Claim(
        id=f"{IDEA}.memorised",
        idea=IDEA,
        kind="precondition",
        statement="At the end the networks have memorised which part each sample was put into.",
        criterion=Criterion(
            "training accuracy on the split labels, from a guess at the part (0) to all (1)",
            at_least=MEMORISED_FROM,
            origin="ours: halfway",
        ),
        values=tuple(
            (row["train_accuracy"][-1] - row["guess_accuracy"]) / (1 - row["guess_accuracy"]) for row in split
        ),
        seeds=seeds(split),
    )
    return [memorised, _grouping(split, unless(memorised)), _probe(split, training, trained or unless(memorised))]


def _grouping(split: Sequence[Mapping], unmet: str) -> Claim:
    criterion = Criterion(
        "share of training samples that clusters, as many as classes, give their true class",
        at_least=GROUPED_FROM,
        origin="ours",
    )
    start, end = (tuple(row["agreement"][when] for row in split) for when in (0, -1))
    return Claim(
        id=f"{IDEA}.grouping",
        idea=IDEA,
        kind="published",
        statement="Trained on classes that are split at random, a network that has memorised the split still groups "
        "its features by the true class.",
        criterion=criterion,
        values=end,
        seeds=seeds(split),
        source=YANG,
        unmet=unmet or unless_control(criterion, end, {"the network before training": start}),
    )


def _probe(split: Sequence[Mapping], training: Sequence[Mapping], unmet: str) -> Claim:
    """Of the seeds that both networks have."""
    whole = {row["seed"]: row["test"]["accuracy"][-1] for row in of(training, "fine")}
    shared = [row for row in split if row["seed"] in whole]
    criterion = Criterion(
        "test accuracy of the network trained on the classes less a linear layer's on these features (fraction)",
        at_most=NEARLY,
        origin="ours",
    )
    start, end = (tuple(whole[row["seed"]] - row["probe_accuracy"][when] for row in shared) for when in (0, -1))
    return Claim(
        id=f"{IDEA}.probe",
        idea=IDEA,
        kind="ours",
        statement="Features of a network that has memorised the split are to a linear layer on the true classes nearly "
        "what they would be had it been trained on these.",
        criterion=criterion,
        values=end,
        seeds=seeds(shared),
        unmet=unmet or unless_control(criterion, end, {"the network before training": start}),
    )
