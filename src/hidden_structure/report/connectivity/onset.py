"""From which k on two networks that part end in one basin: bracketed between two k that were measured, a trunk each."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from hidden_structure.frame import paths
from hidden_structure.frame.params import Study
from hidden_structure.report import statistics
from hidden_structure.report.chapter import Numbers, Tables
from hidden_structure.report.claim import Claim, Criterion, Published, unless
from hidden_structure.report.connectivity import lines
from hidden_structure.report.connectivity.claims import (
    FRANKLE,
    IDEA,
    STABLE_AT_MOST,
    STABLE_FROM_STEPS,
    has_learnt,
    has_onset,
    is_easy,
    moment,
)
from hidden_structure.report.connectivity.lines import REPAIRED, Rows

EARLY_AT_MOST = 0.035  # the source's ResNet-20 is stable from iteration 2000 on, 3 % of its training


@dataclass(frozen=True)
class Bracket:
    """The onset of one trunk lies after `before`, the last k at which its children end apart (None: they never do), and
    not after `by`, from which on they do not (None: they always do, so by the end of training alone)."""

    seed: int
    before: Mapping | None  # forks of the tables
    by: Mapping | None

    @property
    def share(self) -> float:
        """Of training, after which the trunk is stable at the latest: at the end there is but one network."""
        return self.by["share"] if self.by else 1.0

    def holds(self, share: float) -> bool:
        """Whether the onset may lie on either side."""
        return share < self.share and (self.before is None or self.before["share"] < share)

    def __str__(self) -> str:
        if self.before is None:
            return f"at every k, from {moment(self.by)} on"
        before = moment(self.before)
        if self.by:
            return f"from some k between {before} and {moment(self.by)} on"
        return f"at no k up to {before}" if self.before["k"] else "at no k, of which 0 alone was measured"


def brackets(rows: Rows, forks: Rows, recipe: str = "", repaired: bool = False) -> list[Bracket]:
    """One a trunk; rows: lines of all networks. Raises InputError if an instability is missing or not finite."""
    own = [row for row in lines.of_repair(lines.of_recipe(rows, recipe), repaired) if row["k"] is not None]
    moments, heights = lines.moments(forks, recipe), lines.heights(own, "instability")
    measured = {(row["seeds"][0], row["k"]): height for row, height in zip(own, heights, strict=True)}
    found = []
    for seed in dict.fromkeys(row["seeds"][0] for row in own):
        apart = [place for place, fork in enumerate(moments) if measured[seed, fork["k"]] >= STABLE_AT_MOST]
        last = apart[-1] if apart else -1
        before, by = (moments[at] if 0 <= at < len(moments) else None for at in (last, last + 1))
        found.append(Bracket(seed, before, by))
    return found


def claims(study: Study, tables: Tables) -> list[Claim]:
    """Of every recipe, where the study asks for it; that its networks have learnt is told of the others here. With
    BatchNorm asked with REPAIR as well: what sets networks apart may be stale statistics alone."""
    if not has_onset(study):
        return []
    rows, forks = tables("lines"), tables("forks")
    found = []
    for recipe in lines.recipes(forks):
        learnt = has_learnt(study, tables, recipe)
        found += [learnt] if recipe else []
        for on in _ways(study):
            found.append(_early(study, brackets(rows, forks, recipe, on), _steps(forks), recipe, on, learnt))
    return found


def unlearnt(study: Study, tables: Tables) -> set[str]:
    """The recipes of trunks whose networks have not learnt the task, so that nothing follows from their stability."""
    return {recipe for recipe in lines.recipes(tables("forks")) if unless(has_learnt(study, tables, recipe))}


def _ways(study: Study) -> list[bool]:
    """Whether lines are walked with REPAIR: not, and where there is BatchNorm so as well."""
    return [False, True] if lines.repairs(study) else [False]


def _steps(forks: Rows) -> float:
    """Of the whole training by the study's own recipe; 0 where no k tells."""
    return next((fork["steps"] / fork["share"] for fork in lines.of_recipe(forks) if fork["share"]), 0.0)


def _early(study: Study, found: list[Bracket], steps: float, recipe: str, repaired: bool, learnt: Claim) -> Claim:
    """steps: of the whole training. In one so short that the bound comes before the source's iteration 2000, the source
    says nothing of it."""
    network, easy = study.spawn.network, is_easy(study)
    most, when = (0.0, "from their initialisation on") if easy else (EARLY_AT_MOST, "from early in training on")
    alike = (study.data.source, network.name, network.depth) == ("cifar10", "resnet", 20)
    sourced = not (recipe or repaired) and (easy or (alike and most * steps >= STABLE_FROM_STEPS))
    setting = "LeNet, MNIST" if easy else "ResNet-20, CIFAR-10, 160 epochs, iteration 2000"
    origin = f"the source's {setting}" if easy else f"what rounds to the source's 3 %, {setting}"
    on_both = sum(bracket.holds(most) for bracket in found)
    unknown = f"the onset of {on_both} of {len(found)} trunks may lie on either side of it: measure other k"
    return Claim(
        id=f"{IDEA}.onset" + (f".{paths.slug(recipe)}" if recipe else "") + (".repaired" if repaired else ""),
        idea=IDEA,
        kind="published" if sourced else "ours",
        statement=f"Networks{f' by the recipe of {recipe}' if recipe else ''} are stable {when}: two that part then or "
        f"later stay in one basin{', with REPAIR' if repaired else ''}.",
        criterion=Criterion(
            "least k that was measured, as a share of training, from which on the instability in test error, "
            f"{REPAIRED[repaired]}, stays below {STABLE_AT_MOST:g}",
            at_most=most,
            origin=origin,
        ),
        values=tuple(bracket.share for bracket in found),
        seeds=tuple(str(bracket.seed) for bracket in found),
        source=FRANKLE,
        published=Published(0.0 if easy else 0.03, setting) if sourced else None,
        unmet=unless(learnt) or (unknown if on_both else ""),
    )


def findings(study: Study, tables: Tables) -> list[str]:
    if not has_onset(study):
        return []
    rows, forks = tables("lines"), tables("forks")
    said = []
    for recipe, on in product(lines.recipes(forks), _ways(study)):
        found = brackets(rows, forks, recipe, on)
        places = [str(bracket) for bracket in found]
        where = "; ".join(f"{place} ({places.count(place)} of {len(places)} trunks)" for place in dict.fromkeys(places))
        where += "; of two k the claim counts the later" if any(one.before and one.by for one in found) else ""
        by = f"By the recipe of {recipe}, the" if recipe else "The"
        said.append(
            f"{by} instability of networks that part, {REPAIRED[on]}, is below {100 * STABLE_AT_MOST:g} % for good "
            f"{where}."
        )
    return said


def numbers(study: Study, tables: Tables) -> list[Numbers]:
    """The onset, a row a trunk; instability and barrier against k, a row a k and recipe."""
    if not has_onset(study):
        return []
    rows, forks = tables("lines"), tables("forks")
    onsets, curves = [], []
    for recipe, on in product(lines.recipes(forks), _ways(study)):
        for bracket in brackets(rows, forks, recipe, on):
            ends = [fork and fork[name] for fork in (bracket.before, bracket.by) for name in ("steps", "share")]
            onsets.append([recipe or "the study's own", REPAIRED[on], bracket.seed, *ends])
        own = lines.of_repair(lines.of_recipe(rows, recipe), on)
        for fork in lines.moments(forks, recipe):
            pairs = lines.spawned(own, fork["k"])
            line = [recipe or "the study's own", REPAIRED[on], fork["steps"], fork["share"], len(pairs)]
            for height, of in (("instability", "test_error"), ("barrier", "test_loss")):
                values = lines.heights(pairs, height, of)
                line += [statistics.mean(values), *(statistics.interval(values) or (None, None))]
            curves.append(line)
    ends = [f"{what}, {name}" for what in ("apart at", "stable from") for name in ("steps", "share of training")]
    measured = [f"{what}{end}" for what in ("instability", "loss barrier") for end in ("", ", from", ", to")]
    return [
        Numbers(
            name="onset",
            title="From which k on networks that part stay in one basin",
            meaning=f"The last k at which the instability in test error is {STABLE_AT_MOST:g} or more, and the next, "
            "from which on it is less. The onset lies between the two, where nothing was measured; a gap on "
            "the left: stable at every k; on the right: at none.",
            columns=("recipe", "line", "seed of the trunk", *ends),
            rows=onsets,
        ),
        Numbers(
            name="parting",
            title="Instability and barrier against k",
            meaning="Of the test error (fraction) and of the test loss (nats): means over trunks, and from "
            "where to where their 95 % intervals reach; one trunk has none.",
            columns=("recipe", "line", "steps", "share of training", "pairs", *measured),
            rows=curves,
        ),
    ]
