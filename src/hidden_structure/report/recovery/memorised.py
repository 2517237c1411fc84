"""What the chapter says of networks that memorised shuffled labels: rows of the table `memorised` in, words out."""

from collections.abc import Iterator, Mapping, Sequence

from hidden_structure.report.chapter import Numbers
from hidden_structure.report.claim import Claim
from hidden_structure.report.collapse.chapter import with_error
from hidden_structure.report.findings import interval_of, signed
from hidden_structure.report.statistics import rounded

COLUMNS = {
    "fitted": "shuffled labels",
    "coarse": "true coarse labels",
    "recovered": "recovered",
    "labels": "true labels",
}


def sentences(
    claim: Mapping[str, Claim], labels: str, memorised: Sequence[Mapping], coarse: int
) -> Iterator[tuple[Claim, str]]:
    """Of networks that did not memorise the first alone.

    Args:
        claim: the chapter's, by what follows the idea in their id.
        labels: test accuracy of a linear layer with true labels on the coarse network's features, in words.
        coarse: how many coarse classes there are.
    """
    if not memorised:
        return
    met, own = claim["memorised"], claim["control-memorised-labels"]
    named = {name: with_error([row[name] for row in memorised]) for name in COLUMNS}
    yield (
        met,
        f"Networks on coarse labels that were shuffled over the training images have an accuracy of {named['fitted']} "
        f"on these, and of {named['coarse']} on the true ones of the test set, where 1 in {coarse} is chance",
    )
    if met.verdict == "supported":
        yield (
            own,
            f"With true labels a linear layer on the coarse network's features classifies {labels} of the test set "
            f"into the original classes, on features that memorised shuffled labels {named['labels']}, a difference of "
            f"{signed(100 * own.measured, 1)} percentage points{interval_of(own, 100, 1)}",
        )


def numbers(memorised: Sequence[Mapping]) -> Iterator[Numbers]:
    """A line a network; nothing where there is none."""
    if memorised:
        yield Numbers(
            "memorised",
            "Networks that memorised shuffled labels",
            "A control of the whole test, each beginning as the coarse network of its seed: accuracy on the shuffled "
            "labels of the training set, and on the true coarse labels of the test set; test accuracies on the "
            "original classes of linear layers on the network's own features, with the labels that clusters of these "
            "give, and with the true ones.",
            ("seed", *COLUMNS.values()),
            [(row["seed"], *(rounded(row[name]) for name in COLUMNS)) for row in memorised],
        )
