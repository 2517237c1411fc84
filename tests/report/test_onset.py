"""From which k on networks are stable: bracketed between two k, a claim that can fail; every k told twice."""

import re
from itertools import pairwise

import pytest
import synthetic_connectivity as made

from hidden_structure.report.connectivity import claims, lines, onset, parting
from hidden_structure.report.connectivity.chapter import chapter
from hidden_structure.report.linearity import chapter as linearity
from hidden_structure.report.linearity import claims as linearity_claims
from hidden_structure.report.trained import trained

STEPS = [0, 5, 10, 22, 44, 88, 200]  # of 440: 20 epochs of 1,437 images in batches of 64
FORKS = [{"k": f"{step}-steps" if step else 0, "steps": step, "share": step / 440} for step in STEPS]
RECIPES = [{"lr": 0.002}, {"batch_size": 32}, {"crop": 2, "flip": True}]


@pytest.fixture(scope="module")
def plan():
    own = {"epochs": [5], "steps": STEPS, "recipes": RECIPES, "spawned": 3, "widths": [], "weight_decays": []}
    return made.study("cifar10", made.RESNET, **own)


@pytest.fixture(scope="module")
def found(plan):
    return made.tabulated(plan, made.results(plan))


def high_before(found, seed_to_step):
    """The tables with pairs of a trunk apart before its step, and in one basin from there on."""
    dates = lines.dated(found["lines"], found["forks"])
    rows = [
        row | {"instability": {"test_error": 0.4 if row["steps"] < seed_to_step(row) else 0.001}}
        if row["k"] is not None
        else row
        for row in dates
    ]
    return found | {"lines": rows}


def onsets(plan, tables):
    posed = {claim.id: claim for claim in onset.claims(plan, tables.__getitem__)}
    return {name: claim for name, claim in posed.items() if name.startswith("connectivity.onset")}


def heights(values, seed=0):
    rows = []
    for fork, height in zip(FORKS, values, strict=True):
        row = {"k": fork["k"], "seeds": [seed, seed], "repaired": False, "pair": "", "method": "none"}
        rows.append(row | {"instability": {"test_error": height}})
    return rows


@pytest.mark.parametrize(
    ("values", "before", "by"),
    [
        ([0.5, 0.4, 0.3, 0.2, 0.01, 0.01, 0.0], 22, 44),
        ([0.5, 0.01, 0.3, 0.2, 0.01, 0.01, 0.0], 22, 44),  # stable once, and not for good
        ([0.5, 0.4, 0.3, 0.2, 0.01, 0.01, 0.02], 200, None),  # at the line is not below it
        ([0.5, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01], 0, 5),
        ([0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01], None, 0),
    ],
)
def test_the_onset_lies_between_the_last_k_that_is_apart_and_the_next(values, before, by):
    for order in (1, -1):  # of the tables
        (bracket,) = onset.brackets(heights(values), FORKS[::order])
        assert (bracket.before and bracket.before["steps"], bracket.by and bracket.by["steps"]) == (before, by)
        assert bracket.share == (1.0 if by is None else by / 440)


def test_a_bound_between_the_two_k_is_not_told():
    (bracket,) = onset.brackets(heights([0.5, 0.4, 0.3, 0.2, 0.01, 0.01, 0.0]), FORKS)
    assert [bracket.holds(step / 440) for step in (10, 22, 30, 44, 88)] == [False, False, True, False, False]
    (stable,) = onset.brackets(heights([0.01] * 7)[1:], FORKS[1:])
    assert stable.holds(0.0), "nothing was measured before the first k"
    (alone,) = onset.brackets(heights([0.5] * 7)[:1], FORKS[:1])
    assert str(alone) == "at no k, of which 0 alone was measured"


def test_a_finding_tells_both_ends_of_the_bracket_and_which_the_claim_counts(plan, found):
    said = onset.findings(plan, high_before(found, lambda row: 44).__getitem__)
    assert all(re.search(r"between 22 steps .* and 44 steps .*claim counts the later\.$", one) for one in said), said
    assert all("measured" in claim.criterion.quantity for claim in onsets(plan, found).values())
    said = onset.findings(plan, high_before(found, lambda row: 0).__getitem__)
    assert not any("the later" in one for one in said), "stable from the first k on there is but one"


@pytest.mark.parametrize(
    ("step", "verdict"),
    [(5, "supported"), (10, "supported"), (44, "contradicted"), (500, "contradicted"), (22, "not assessable")],
)
def test_the_claim_is_judged_where_the_k_tell(plan, found, step, verdict):
    """The source's bound is 3.5 % of training: 15.4 of 440 steps."""
    posed = onsets(plan, high_before(found, lambda row: step))
    assert posed["connectivity.onset"].verdict == posed["connectivity.onset.lr-0.002"].verdict == verdict
    assert {claim.kind for claim in posed.values()} == {"ours"}, "the training is shorter than what the source needs"
    assert (posed["connectivity.onset"].seeds, len(posed)) == (("0", "1", "2"), 4 * 2)


def test_with_repair_it_is_a_claim_of_its_own(plan, found):
    """Networks may lie apart by the statistics of their BatchNorm alone."""
    tables = high_before(found, lambda row: 5 if row["repaired"] else 44)
    posed = onsets(plan, tables)
    for recipe in ("", ".lr-0.002"):
        merged, repaired = (posed[f"connectivity.onset{recipe}{on}"] for on in ("", ".repaired"))
        assert (merged.verdict, repaired.verdict) == ("contradicted", "supported")
        assert ("with REPAIR" in merged.criterion.quantity, "with REPAIR" in repaired.criterion.quantity) == (
            False,
            True,
        )
    said = onset.findings(plan, tables.__getitem__)
    assert "as merged, is below 2 % for good from some k between 22 steps" in said[0]
    assert "with REPAIR, is below 2 % for good from some k between no training" in said[1]
    rows = next(one for one in onset.numbers(plan, tables.__getitem__) if one.name == "onset").rows
    assert {(row[1], row[5]) for row in rows} == {("as merged", 44), ("with REPAIR", 5)}


@pytest.mark.parametrize(("steps", "kind"), [(62_400, "published"), (6_240, "ours")])
def test_the_source_speaks_of_trainings_whose_bound_is_not_before_its_own_step(plan, found, steps, kind):
    forks = [fork | {"steps": fork["share"] * steps} for fork in found["forks"]]
    posed = onsets(plan, found | {"forks": forks})
    assert (posed["connectivity.onset"].kind, posed["connectivity.onset"].published is None) == (kind, kind == "ours")
    assert posed["connectivity.onset.lr-0.002"].kind == "ours"


def test_trunks_on_both_sides_of_the_bound_leave_it_undecided_as_one_trunk_does(plan, found):
    mixed = onsets(plan, high_before(found, lambda row: 200 if row["seeds"][0] else 5))
    assert mixed["connectivity.onset"].verdict == "undecided"
    rows = [row for row in high_before(found, lambda row: 5)["lines"] if row["k"] is None or row["seeds"][0] == 0]
    assert onsets(plan, found | {"lines": rows})["connectivity.onset"].verdict == "undecided"


def test_independent_and_untrained_networks_pass_no_claim(plan, found):
    apart = onsets(plan, high_before(found, lambda row: 1000))
    assert {claim.verdict for claim in apart.values()} == {"contradicted"}
    level = high_before(found, lambda row: 0)
    untrained = [row | {"test_accuracy": [row["guess"]] * len(row["test_accuracy"])} for row in found["networks"]]
    kept = onsets(plan, level | {"networks": untrained})
    assert {claim.verdict for claim in kept.values()} == {"not assessable"}


def test_a_recipe_that_has_learnt_nothing_is_judged_by_itself(plan, found):
    networks = [
        row | {"test_accuracy": [row["guess"]] * 3} if row.get("recipe") == "lr 0.002" else row
        for row in found["networks"]
    ]
    posed = onsets(plan, high_before(found, lambda row: 5) | {"networks": networks})
    for name in ("connectivity.onset.lr-0.002", "connectivity.onset.lr-0.002.repaired"):
        assert posed.pop(name).verdict == "not assessable"
    assert {claim.verdict for claim in posed.values()} == {"supported"}
    own = chapter(plan, (found | {"networks": networks}).__getitem__)
    (picture,) = (picture for picture in own.pictures if picture.name == "onset")
    names = [text.get_text() for text in picture.draw().legends[0].get_texts()]
    assert [name for name in names if name.endswith("not learnt")] == ["lr 0.002: not learnt"]


def test_an_easy_task_is_to_be_stable_from_the_start():
    plan = made.study("mnist", {"name": "mlp"}, epochs=[], steps=STEPS, spawned=3, widths=[], weight_decays=[])
    found = made.tabulated(plan, made.results(plan))
    for step, verdict in ((0, "supported"), (5, "contradicted")):
        assert onsets(plan, high_before(found, lambda row, step=step: step))["connectivity.onset"].verdict == verdict
    assert not [claim for claim in claims.claims(plan, found.__getitem__) if ".parted." in claim.id]


def test_the_onset_takes_the_place_of_a_claim_a_k(plan, found):
    posed = [claim.id for claim in chapter(plan, found.__getitem__).claims]
    assert len(posed) == len(set(posed))
    assert [name for name in posed if ".parted." in name] == ["connectivity.parted.k0"]
    plain = made.study("cifar10", made.RESNET)
    assert onset.claims(plain, made.tabulated(plain, made.results(plain)).__getitem__) == []


def test_every_k_is_told_as_steps_and_as_a_share_by_every_recipe(found):
    for recipe in ("", "lr 0.002", "batch_size 32", "crop 2, flip true"):
        moments = lines.moments(found["forks"], recipe)
        batches = 44 if "batch" in recipe else 22
        assert [fork["steps"] for fork in moments] == sorted([*STEPS, 5 * batches])
        assert [fork["share"] for fork in moments] == pytest.approx(
            [fork["steps"] / (20 * batches) for fork in moments]
        )
    dated = lines.dated(found["lines"], found["forks"])
    assert all(("share" in row) == (row["k"] is not None) for row in dated)
    assert {lines.parted(row) for row in dated if row["k"] == "22-steps"} == {
        "parted after 22 steps (5 %)",
        "parted after 22 steps (2.5 %)",
    }
    assert lines.parted({"k": 5, "steps": 1955, "share": 0.03125}) == "parted after 5 epochs (1,955 steps, 3.1 %)"


def test_tables_list_pairs_from_the_earliest_k_on_be_they_epochs_or_steps(found):
    listed = list(lines.grouped(lines.dated(found["lines"], found["forks"])).values())
    for before, after in pairwise(listed):
        alike = all(before[0].get(name) == after[0].get(name) for name in ("width", "weight_decay", "recipe"))
        if alike and before[0]["k"] is not None and after[0]["k"] is not None:
            assert before[0]["steps"] < after[0]["steps"]
    assert sum(map(len, listed)) == len(found["lines"])


def test_networks_by_another_recipe_have_a_line_of_their_own_in_what_was_trained(plan, found):
    costs = [{"network": "spawn.network", "width": 1, "outputs": 10, "flop": 10.0}]
    classes = [{"superclass": "0", "train": 100}] * 10
    named = [
        row[0] for row in trained(plan, lambda name: (found | {"flops": costs, "classes": classes}).get(name, [])).rows
    ]
    assert len(named) == len(set(named))
    assert {f"trunks, by the recipe of {name}" for name in lines.recipes(found["forks"]) if name} <= set(named)


def test_recipes_stay_out_of_what_is_told_of_the_study(plan, found):
    without = {name: lines.of_recipe(rows) for name, rows in found.items()}
    alone, beside = (claims.claims(plan, tables.__getitem__) for tables in (without, found))
    assert [claim.row() for claim in alone] == [claim.row() for claim in beside]
    assert linearity.claims.claims(plan, without.__getitem__) == linearity.claims.claims(plan, found.__getitem__)
    alone, beside = (linearity.chapter(plan, tables.__getitem__).findings for tables in (without, found))
    assert alone == beside


def test_the_chapters_are_made_of_what_the_tables_hold(tmp_path, plan):
    tables = made.read(tmp_path, plan, made.results(plan))
    own = chapter(plan, tables)
    assert {"onset", "parting"} <= {numbers.name for numbers in own.numbers}
    assert sum("for good" in sentence for sentence in own.findings) == 4 * 2
    for made_of in (own, linearity.chapter(plan, tables)):
        for numbers in made_of.numbers:
            assert {len(row) for row in numbers.rows} == {len(numbers.columns)}
        for picture in made_of.pictures:
            picture.draw().canvas.draw()
    assert "onset" in {picture.name for picture in own.pictures}


def test_figures_have_steps_below_and_shares_above_with_a_line_where_networks_are_stable(plan, found):
    every = lines.dated(found["lines"], found["forks"])
    figure = parting.spawning(lines.plain(plan, every), lines.moments(found["forks"]))
    below, above = (
        [axes for axes in figure.axes if axes.get_xlabel() == text] for text in ("k, steps", "k, % of training")
    )
    assert len(below) == len(above) == 2
    for steps, shares in zip(below, above, strict=True):
        assert steps.get_xlim() == shares.get_xlim()
        assert list(steps.get_xticks()) == list(shares.get_xticks())
        written = [float(tick.get_text()) for tick in shares.get_xticklabels()]
        assert written == pytest.approx([100 * step / 440 for step in steps.get_xticks()], rel=0.06)
    (line,) = (line for line in below[0].lines if line.get_label() == "stable below 2")
    assert set(line.get_ydata()) == {2.0}
    panels = parting.by_recipe(lines.of_repair(every, False), found["forks"]).axes
    assert [axes.get_xlabel() for axes in panels] == ["k, steps", "k, % of training"]
    names = [text.get_text() for text in panels[0].figure.legends[0].get_texts()]
    assert names == ["stable below 2", "the study's own recipe", "lr 0.002", "batch size 32", "crop 2, flip true"]


@pytest.mark.parametrize(("bend", "verdict"), [(0.05, "supported"), (0.6, "contradicted")])
def test_linear_features_are_asked_for_at_the_first_k_of_one_basin(plan, found, bend, verdict):
    """A k at which lines have been straight for long says nothing of where they become so."""
    found = high_before(found, lambda row: 44)
    bent = [row | {"bend": bend if row["k"] == "44-steps" else 0.05} for row in found["features"]]
    posed = {claim.id: claim for claim in linearity_claims.claims(plan, (found | {"features": bent}).__getitem__)}
    assert posed["linearity.connected.onset"].verdict == "supported"
    assert posed["linearity.onset"].verdict == verdict
    assert "after 44 steps" in posed["linearity.onset"].statement
    assert posed["linearity.onset.hidden"].values == tuple(
        linearity_claims.hidden(row)
        for row in lines.spawned(lines.of_repair(lines.plain(plan, bent), False), "44-steps")
    )
    assert posed["linearity.parted"].verdict == "supported"


@pytest.mark.parametrize("step", [10_000, 200])
def test_where_no_k_but_the_last_is_of_one_basin_there_is_no_first_to_ask_of(plan, found, step):
    posed = linearity_claims.claims(plan, high_before(found, lambda row: step).__getitem__)
    assert "linearity.onset" not in {claim.id for claim in posed}
