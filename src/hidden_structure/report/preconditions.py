"""What must be so before anything can be said: networks that are properly trained.

A precondition is about the very networks that a claim speaks of, and not about other seeds: it is met if each of them
meets it. So it can be met by one network, of which no interval is known.
"""

from collections.abc import Sequence

from hidden_structure.report.claim import Claim, Criterion, Published

TRAINED_SHARE = 0.9  # of the way from chance to the reference: ours, as no paper says when a network counts as trained
UNKNOWN_SHARE = 0.5  # of the way from chance to 1, where nobody says what can be reached: ours

# (source of the data, number of classes) -> test accuracy of what was trained to the end
REFERENCES = {
    ("digits", 10): Published(0.97, "support vector machine; scikit-learn's example of hand-written digits"),
    ("cifar10", 10): Published(0.9125, "ResNet-20 of width 16, 160 epochs; He, Zhang, Ren, Sun 2016, table 6"),
    ("cifar100", 100): Published(0.6906, "ResNet-20 of width 16, 240 epochs; Tian, Krishnan, Isola 2020, table 1"),
    ("cifar100", 2): Published(0.7287, "ResNet-56 taught by ResNet-92, labels modulo 2; Loo, Iliopoulos, Hu, Vee 2024"),
    ("mnist", 10): Published(0.991, "fully connected network; Jordan et al. 2023"),
    ("fashion-mnist", 10): Published(0.871, "fully connected network; Xiao, Rasul, Vollgraf 2017"),
}
OWN_CLASSES = {"digits": 10, "cifar10": 10, "cifar100": 100, "mnist": 10, "fashion-mnist": 10}

IMAGES_FROM = 3  # that a difference in accuracy must be of: ours; one or two are what a single odd image makes


def too_few(images: int, difference: float) -> str:
    """Why nothing can be said of such a difference in accuracy on so many test images: "" where it is of several."""
    found = difference * images
    return "" if found >= IMAGES_FROM else f"{difference:g} of {images} test images are {found:.2g}, too few to tell"


def trained_from(source: str, classes: int) -> tuple[float, str]:
    """The test accuracy from which a network on so many classes counts as trained, and where that comes from.

    Where labels are merged and nobody says what can be reached, the reference is that of the original classes: whoever
    knows these knows the merged ones at least as often. One network has one floor, whichever chapter asks.

    source: of the data, as the parameters spell it; classes: of the network's own labels, 2 or more.
    """
    chance, own = 1 / classes, REFERENCES.get((source, OWN_CLASSES.get(source, classes)))
    reference = REFERENCES.get((source, classes), own)
    if reference is None or reference.value <= chance:
        return chance + UNKNOWN_SHARE * (1 - chance), f"ours: {UNKNOWN_SHARE:g} of the way from chance to 1"
    floor = chance + TRAINED_SHARE * (reference.value - chance)
    return floor, f"ours: {TRAINED_SHARE:g} of the way from chance to {reference.value:g} ({reference.setting})"


def trained(
    id: str, networks: str, accuracies: Sequence[float], seeds: Sequence[str], source: str, classes: int
) -> Claim:
    """That these networks are properly trained.

    Args:
        id: of the claim; what stands before its first dot is the chapter.
        networks: with their verb, "the teacher is", "the coarse networks are".
        accuracies: on the test set, fractions, one a network; seeds: the networks' names.
        source: of the data, as the parameters spell it; classes: of the networks' own labels.
    """
    floor, origin = trained_from(source, classes)
    quantity = f"test accuracy on {classes} classes (fraction)"
    return Claim(
        id=id,
        idea=id.partition(".")[0],
        kind="precondition",
        statement=f"{networks[0].upper()}{networks[1:]} properly trained.",
        criterion=Criterion(quantity, at_least=round(floor, 4), origin=origin),
        values=tuple(accuracies),
        seeds=tuple(seeds),
    )
