"""The claim on the grid of recipes: that recovery holds in all of them, whichever could be trained.

A recipe under which training failed, or whose network is not properly trained, says nothing of recovery: it is counted
neither for nor against.
"""

from collections.abc import Mapping, Sequence

from hidden_structure.frame.params import Study
from hidden_structure.report.claim import Claim, Criterion, Published, unless
from hidden_structure.report.controls import unless_control
from hidden_structure.report.preconditions import trained_from
from hidden_structure.report.statistics import mean

IDEA = "sweep"
YANG = "Yang, Steinhardt, Hu 2023"
HELD_FROM = 0.5  # of the way from a guess inside the super-class to the network trained on the original labels
TRAINED_FROM = 0.5  # of the recipes
FEWEST = 3  # recipes that train a network: of fewer "every recipe" says nothing
SETTING = "all of nine recipes, learning rates 1e-1 to 1e-3 and weight decays 5e-3 to 5e-5; CIFAR-10"


def claims(
    study: Study, sweep: Sequence[Mapping], classes: int, floor: float, controls: Mapping[str, Sequence[float]]
) -> list[Claim]:
    """The precondition and the claim.

    Args:
        sweep: rows of the table of that name; classes: how many coarse ones there are.
        floor: what `held_from` gives.
        controls: in words -> test accuracies on the original classes of linear layers on labels from a control.
    """
    seeds = sorted({row["seed"] for row in sweep})
    by_seed = {seed: [row for row in sweep if row["seed"] == seed] for seed in seeds}
    good = {seed: [row for row in rows if trained(study, row, classes)] for seed, rows in by_seed.items()}
    enough, origin = trained_from(study.data.source, classes)
    precondition = Claim(
        id=f"{IDEA}.trained",
        idea=IDEA,
        kind="precondition",
        statement="Under most recipes the network is properly trained.",
        criterion=Criterion(
            f"share of recipes whose network reaches a test accuracy of {enough:.3f} on {classes} classes ({origin})",
            at_least=TRAINED_FROM,
            origin="ours: half of them",
        ),
        values=tuple(len(good[seed]) / len(by_seed[seed]) for seed in seeds),
        seeds=tuple(map(str, seeds)),
    )
    measured = [seed for seed in seeds if len(good[seed]) >= FEWEST]
    criterion = Criterion(
        f"share of properly trained recipes whose recovered labels give a linear layer a test accuracy of {floor:.3f}, "
        "halfway from a guess inside the super-class to the network trained on the original labels",
        at_least=1.0,
        origin="the source: it holds in all of them",
    )
    values = tuple(mean([float(row["accuracy"] >= floor) for row in good[seed]]) for seed in measured)
    passing = {words: [float(mean(own) >= floor)] for words, own in controls.items() if own}
    few = "" if measured else f"fewer than {FEWEST} recipes trained a network properly"
    everywhere = Claim(
        id=f"{IDEA}.everywhere",
        idea=IDEA,
        kind="published",
        statement="The coarse network keeps the original classes apart under every recipe that trains it.",
        criterion=criterion,
        values=values,
        seeds=tuple(map(str, measured)),
        source=YANG,
        published=Published(1.0, SETTING),
        every=True,
        unmet=unless(precondition) or few or unless_control(criterion, values, passing),
    )
    return [precondition, everywhere]


def held_from(guess: float, fine: Sequence[float]) -> float:
    """Test accuracy from which recovery holds; fine: of the networks trained on the original labels."""
    return guess + HELD_FROM * (mean(fine) - guess)


def trained(study: Study, row: Mapping, classes: int) -> bool:
    """Whether a recipe was measured and its network is properly trained."""
    if row["accuracy"] is None:
        return False
    return row["test_accuracy"] >= trained_from(study.data.source, classes)[0]
