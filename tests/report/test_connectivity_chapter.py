"""The chapter on mode connectivity: what a claim rests on, and that no control or untrained network passes one."""

import itertools

import numpy as np
import pytest
import synthetic_connectivity as made

from hidden_structure.frame.errors import InputError
from hidden_structure.report.chapter import Chapter
from hidden_structure.report.connectivity import claims, lines, series
from hidden_structure.report.connectivity.chapter import chapter
from hidden_structure.report.plotted import data_of

HEIGHTS = ("barrier", "instability", "midpoint", "ends")


@pytest.fixture(scope="module")
def plan():
    return made.study(spawned=4)


@pytest.fixture(scope="module")
def found(plan):
    return made.tabulated(plan, made.results(plan))


def changed(found, change, name="lines"):
    """The tables with every row of one of them passed through `change`."""
    return (found | {name: [change(dict(row)) for row in found[name]]}).__getitem__


def verdicts(plan, tables):
    return {claim.id.removeprefix("connectivity."): claim for claim in claims.claims(plan, tables)}


def flat(row, height):
    """The row of a line whose heights are all so high."""
    values = dict.fromkeys(row["barrier"], height)
    return row | {"barrier": values, "instability": values}


def ideal(row):
    """As the sources have it: no barrier after matching or where networks part, a high one elsewhere."""
    if row["k"] is not None:
        return flat(row, 0.001)
    return flat(row, 0.5 if row["method"] == "none" else 0.002)


def test_what_the_sources_say_is_supported_where_it_is_so(plan, found):
    supported = {name for name, claim in verdicts(plan, changed(found, ideal)).items() if claim.verdict == "supported"}
    assert supported >= {"learnt", "apart", "parted.k0", "parted.k5", "zero", "matched.weights", "matched.ste"}


def test_independent_networks_pass_no_claim_in_place_of_those_that_parted(plan, found):
    def bare(row):
        return flat(row, 0.5) if row["k"] is not None else ideal(row)

    kept = verdicts(plan, changed(found, bare))
    assert {claim.verdict for name, claim in kept.items() if name.startswith("parted")} == {"contradicted"}


def test_unaligned_networks_pass_no_claim_in_place_of_matched_ones(plan, found):
    def bare(row):
        return flat(row, 0.5) if row["k"] is None else row

    kept = verdicts(plan, changed(found, bare))
    matched = [claim.verdict for name, claim in kept.items() if name.startswith(("matched", "zero"))]
    assert set(matched) == {"contradicted"}
    assert kept["repair"].verdict == "contradicted"


def test_networks_that_have_learnt_nothing_pass_no_claim(plan, found):
    def untrained(row):
        return row | {"test_accuracy": [row["guess"] for _ in row["test_accuracy"]]}

    level = found | {"lines": [flat(dict(row), 0.0) for row in found["lines"]]}
    kept = verdicts(plan, changed(level, untrained, "networks"))
    assert kept.pop("learnt").verdict == "contradicted"
    assert {claim.verdict for claim in kept.values()} == {"not assessable"}


def test_no_barrier_is_left_to_claim_where_there_was_none_before(plan, found):
    kept = verdicts(plan, changed(found, lambda row: flat(row, 0.001)))
    assert kept["apart"].verdict == "contradicted"
    assert kept["zero"].verdict == kept["repair"].verdict == "not assessable"
    assert kept["matched.weights"].verdict == "contradicted"


def test_a_pair_without_a_barrier_says_nothing_of_repair_and_hides_no_other(plan, found):
    def repaired(row, first):
        return flat(row, first if row["seeds"] == [0, 1] else 0.42 if row["repaired"] else 0.4)

    kept = verdicts(plan, changed(found, lambda row: repaired(row, 0.001) if row["k"] is None else row))
    assert kept["repair.more"].seeds == ("2-3",)
    assert kept["repair"].seeds == kept["repair.control"].seeds == ("2-3",)
    assert kept["repair"].values == pytest.approx([-0.05])


@pytest.mark.parametrize(
    ("alone", "shown", "more"), [(0.4, "supported", "supported"), (0.1, "not assessable", "contradicted")]
)
def test_what_repair_closes_without_a_matching_as_well_shows_nothing_of_matched_networks(
    plan, found, alone, shown, more
):
    def repaired(row):
        if row["k"] is not None:
            return row
        height = 0.5 if not row["repaired"] else alone if row["method"] == "none" else 0.1
        return flat(row, height)

    kept = verdicts(plan, changed(found, repaired))
    assert (kept["repair"].verdict, kept["repair.more"].verdict) == (shown, more)


def test_pairs_that_share_a_network_count_once(plan, found):
    """Three pairs of three networks are one replication, whatever their order."""
    ring = [[0, 1], [1, 2], [2, 0]]
    rows = [
        row | {"seeds": seeds, "pair": str(seeds)}
        for seeds in ring
        for row in found["lines"]
        if row["k"] is None and row["seeds"] == [0, 1]
    ]
    spawned = [row for row in found["lines"] if row["k"] is not None]
    kept = verdicts(plan, (found | {"lines": spawned + rows}).__getitem__)
    independent = [claim for name, claim in kept.items() if name.startswith(("matched", "apart", "repair.control"))]
    assert {len(claim.values) for claim in independent} == {1}
    assert {claim.seeds for claim in independent} == {("0-1",)}
    assert all(claim.verdict in ("undecided", "not assessable") for claim in independent)


@pytest.mark.parametrize(
    ("seeds", "kept"),
    [
        ([[0, 1], [1, 2], [2, 0]], [[0, 1]]),
        ([[0, 1], [1, 2], [2, 3], [3, 0]], [[0, 1], [2, 3]]),
        ([[0, 0], [1, 1], [2, 2]], [[0, 0], [1, 1], [2, 2]]),
    ],
)
def test_disjoint_pairs_are_taken_in_order(seeds, kept):
    rows = [{"width": 1, "weight_decay": 0, "repaired": False, "seeds": pair} for pair in seeds]
    assert [row["seeds"] for row in lines.disjoint(rows)] == kept
    both = [row | {"repaired": repaired} for row in rows for repaired in (False, True)]
    assert len(lines.disjoint(both)) == 2 * len(kept), "a line with REPAIR is not another pair's"


def test_what_repair_does_without_a_matching_is_not_the_matchings(plan, found):
    def own(row):
        if row["repaired"]:
            return flat(row, 0.02)
        return flat(row, 0.5 if row["method"] == "none" else 0.1)

    kept = verdicts(plan, changed(found, own))
    assert kept["matched.weights"].verdict == "supported"
    assert kept["matched.weights.repaired"].verdict == "contradicted"


def test_differences_are_of_the_same_pair_under_the_same_repair(plan, found):
    def own(row):
        return flat(row, 0.1 * row["seeds"][0] + (0.5 if row["method"] == "none" else 0.1) + row["repaired"])

    kept = verdicts(plan, changed(found, own))
    assert kept["matched.weights"].values == pytest.approx((-0.4, -0.4))
    assert kept["matched.weights"].seeds == ("0-1", "2-3")


@pytest.mark.parametrize(
    ("source", "network", "stable"),
    [
        ("digits", {"name": "mlp"}, {0: True, 1: True, 5: True}),
        ("cifar10", {"name": "mlp"}, {0: False}),
        ("cifar10", made.RESNET, {0: False}),
    ],
)
def test_a_k_is_judged_only_where_the_source_speaks_of_it(source, network, stable):
    """The forks of 1,437 images are of a hundred steps, far fewer than after which the source's networks are stable."""
    plan = made.study(source, network)
    kept = verdicts(plan, made.tabulated(plan, made.results(plan)).__getitem__)
    parted = {name: claim for name, claim in kept.items() if name.startswith("parted")}
    assert {
        int(name.removeprefix("parted.k")): claim.criterion.at_most is not None for name, claim in parted.items()
    } == stable


def test_late_forks_are_to_be_stable():
    plan = made.study("cifar10", made.RESNET)
    found = made.tabulated(plan, made.results(plan))

    def late(row):
        return row | {"steps": 391 * row["k"], "share": row["k"] / 160}

    kept = verdicts(plan, changed(found, late, "forks"))
    assert {name for name in kept if name.startswith("parted")} == {"parted.k0", "parted.k5"}
    assert kept["parted.k5"].criterion.at_most == 0.02
    assert "1955 steps, 3.1 % of training" in kept["parted.k5"].statement


def test_the_sources_accuracy_halfway_is_asked_of_its_network_only():
    for source, network, asked in (("cifar10", made.RESNET, True), ("cifar10", made.RESNET | {"width": 8}, False)):
        plan = made.study(source, network)
        found = made.tabulated(plan, made.results(plan))
        kept = verdicts(plan, changed(found, lambda row: flat(row, 0.3 if row["repaired"] else 0.8)))
        assert ("midpoint" in kept) == asked == (kept["repair"].published is not None)
        assert "zero" not in kept, "no source finds no barrier between narrow networks"
        assert kept["repair"].values == pytest.approx([0.625] * 2)
        assert kept["repair.control"].verdict == "contradicted", "REPAIR alone closes as much"


def test_a_wide_resnet_is_to_have_no_barrier():
    plan = made.study("cifar10", made.RESNET, widths=[32.0], weight_decays=[])
    kept = verdicts(plan, changed(made.tabulated(plan, made.results(plan)), ideal))
    assert "32 times the width" in kept["zero"].statement
    assert kept["zero"].verdict == "supported"


def test_every_claim_stands_once(plan, found):
    posed = claims.claims(plan, found.__getitem__)
    for column in ("id", "statement"):
        texts = [getattr(claim, column) for claim in posed]
        assert len(set(texts)) == len(texts)
    assert all(claim.id.startswith("connectivity.") for claim in posed)


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_missing_barrier_is_one_line(plan, found, value):
    def broken(row):
        return row | {"barrier": row["barrier"] | {"test_error": value}}

    with pytest.raises(InputError, match=r"barrier of the test_error of width-1.*damaged") as error:
        claims.claims(plan, changed(found, broken))
    assert "\n" not in str(error.value)


def test_the_chapter_is_made_of_what_the_tables_hold(tmp_path, plan):
    tables = made.read(tmp_path, plan, made.results(plan))
    own = chapter(plan, tables)
    assert isinstance(own, Chapter)
    assert len(own.headline) <= 4
    for numbers in own.numbers:
        assert numbers.rows
        assert {len(row) for row in numbers.rows} == {len(numbers.columns)}
    drawn = {picture.name: picture.draw() for picture in own.pictures}
    fitted = {"loss-barriers", "temperature"}
    assert set(drawn) == fitted | {"spawning", "lines", "plane", "widths", "lines-all", "widths-all"}
    for figure in drawn.values():
        figure.canvas.draw()


def test_bands_on_a_logarithmic_axis_reach_as_far_to_either_side_and_never_to_zero(plan, found):
    """Pairs so unlike that the mean less the standard deviation would be below 0."""

    def unlike(row):
        factor = 1000.0 ** (row["seeds"][0] % 2)
        scaled = {"test_loss", "test_calibrated_loss", "temperature"} & {*row}
        return row | {name: [factor * value for value in row[name]] for name in scaled}

    drawn = {picture.name: picture.draw() for picture in chapter(plan, changed(found, unlike)).pictures}
    for name, panels in (("lines", 2), ("temperature", 4)):
        logarithmic = [axes for axes in drawn[name].axes if axes.get_yscale() == "log"]
        assert len(logarithmic) == panels
        rows = [row for row in data_of(drawn[name]) if row.get("low") not in (None, row.get("high"))]
        assert all(row["low"] > 0 for row in rows)
        wide = [row for row in rows if row["high"] > 10 * row["low"]]
        assert wide
        assert all(row["low"] * row["high"] == pytest.approx(row["y"] ** 2) for row in wide)


def test_k_can_be_told_apart_beside_networks_that_rise_far_more(plan, found):
    def sinking(row):
        depth = 0.8 if row["k"] is None else 0.02 / (1 + row["k"])
        alphas = row.get("alphas", [])  # which lines of other widths have not
        return row | {"test_accuracy": [0.95 - depth * 4 * at * (1 - at) for at in alphas]}

    own = chapter(plan, changed(found, sinking))
    drawn = next(picture for picture in own.pictures if picture.name == "lines-all").draw()
    for axes in (axes for axes in drawn.axes if axes.get_yscale() == "linear"):
        low, high = axes.get_ylim()
        parted = [min(line.get_ydata()) for line in axes.lines if line.get_linestyle() == "--"]
        lowest = sorted((value - low) / (high - low) for value in parted)
        assert all(other - one > 0.04 for one, other in itertools.pairwise(lowest))
    names = [text.get_text() for text in drawn.legends[0].texts]
    assert len(names) == len(set(names)) > len(parted)


def test_values_without_a_logarithm_leave_a_gap_and_those_below_the_floor_count_as_it():
    rows = [{"at": [1.0, 0.0, 1e-9, 1e-9]}, {"at": [4.0, 2.0, 1e-9, 1e-2]}]
    middle, low, high = series.over_pairs(rows, lambda row: row["at"], 0.0)
    assert [middle[0], np.isnan(middle[1]), middle[2]] == [pytest.approx(2), True, pytest.approx(1e-9)]
    assert low[0] * high[0] == pytest.approx(4)
    middle, *_ = series.over_pairs(rows, lambda row: row["at"], 1e-6)
    assert np.isnan(middle[2])
    assert middle[3] == pytest.approx(1e-4)
    middle, low, high = series.over_pairs(rows, lambda row: row["at"])
    assert (middle[1], low[1], high[1]) == pytest.approx((1, 1 - 2**0.5, 1 + 2**0.5)), "as it is on other axes"


def test_an_axis_of_barriers_goes_down_to_none_however_high_they_are(plan, found):
    high = chapter(plan, changed(found, lambda row: flat(row, 0.3 + 0.1 * (row["seeds"][0] % 2))))
    for picture in high.pictures:
        if picture.name.startswith("widths"):
            assert {axes.get_ylim()[0] for axes in picture.draw().axes} == {0}


def without_temperature(found):
    """The tables as they were before temperatures were fitted."""

    def earlier(row):
        kept = {name: row[name] for name in row if name not in ("temperature", "test_calibrated_loss")}
        return kept | {"barrier": {name: row["barrier"][name] for name in row["barrier"] if "calibrated" not in name}}

    return changed(found, earlier)


def test_tables_without_temperatures_have_the_chapter_that_they_had(plan, found):
    own, earlier = chapter(plan, found.__getitem__), chapter(plan, without_temperature(found))
    assert [claim for claim in own.claims if "calibrated" not in claim.id] == earlier.claims
    assert {picture.name for picture in own.pictures} - {picture.name for picture in earlier.pictures} == {
        "loss-barriers",
        "temperature",
    }
    assert own.findings[:-2] == earlier.findings
    columns = next(numbers.columns for numbers in earlier.numbers if numbers.name == "barriers")
    assert not [name for name in columns if "temperature" in name]
    assert own.headline == earlier.headline


def test_widths_that_have_learnt_nothing_say_nothing_of_width(plan, found):
    def bare(row):
        return calibrated(row, 0.001 if row["width"] == 4 else 0.3)

    def guessing(row):
        return row | {"test_accuracy": [row["guess"]] * len(row["seed"])} if row["width"] == 4 else row

    tables = {name: changed(found, change, name)(name) for name, change in (("lines", bare), ("networks", guessing))}
    assert verdicts(plan, changed(found, bare))["calibrated.width"].verdict == "supported"
    kept = verdicts(plan, (found | tables).__getitem__)
    trends = {name: claim.verdict for name, claim in kept.items() if "width" in name or name == "calibrated.wide"}
    assert len(trends) == 2 + 2 * len(plan.permute.methods)
    assert set(trends.values()) == {"not assessable"}


def test_narrow_networks_that_have_learnt_nothing_are_no_reason_not_to_judge_wide_ones(plan, found):
    narrowest, widest = (of(row["width"] for row in found["lines"]) for of in (min, max))

    def guessing(row):
        return row | {"test_accuracy": [row["guess"]] * len(row["seed"])} if row["width"] == narrowest else row

    def bare(row):
        return calibrated(row, 0.001 if row["width"] == widest else 0.3)

    tables = {name: changed(found, change, name)(name) for name, change in (("lines", bare), ("networks", guessing))}
    kept = verdicts(plan, (found | tables).__getitem__)
    assert kept["calibrated.wide"].verdict == "supported"
    widths = sorted({row["width"] for row in found["lines"]})
    assert kept["calibrated.width"].verdict == ("supported" if len(widths) > 2 else "not assessable")


def test_wide_networks_without_a_barrier_say_nothing_of_what_the_temperature_closes(plan, found):
    widest = max(row["width"] for row in found["lines"])
    kept = verdicts(
        plan, changed(found, lambda row: calibrated(row, *([0.001] * 2 if row["width"] == widest else [0.5] * 2)))
    )
    assert kept["calibrated.wide"].verdict == "not assessable"
    assert kept["calibrated.width"].verdict == "supported"


def test_networks_with_batchnorm_are_asked_for_a_trend_as_merged_and_with_repair():
    plan = made.study(network=made.RESNET)
    found = made.tabulated(plan, made.results(plan))
    narrowest = min(row["width"] for row in found["lines"])

    def rising(row):
        return calibrated(row, (0.3 if row["width"] == narrowest else 0.6) if not row["repaired"] else 0.3)

    kept = verdicts(plan, changed(found, lambda row: rising(row) if row["k"] is None else row))
    assert kept["calibrated.width.merged"].values[0] == pytest.approx(0.3)
    assert kept["calibrated.width"].values[0] == pytest.approx(0)
    assert {"calibrated.wide", "calibrated.wide.merged"} <= kept.keys()


def test_widths_without_a_pair_of_the_same_seeds_are_not_compared(plan, found):
    narrowest = min(row["width"] for row in found["lines"])

    def others(row):
        own = row["k"] is None and row["width"] == narrowest
        return row | {"seeds": [seed + 10 for seed in row["seeds"]]} if own else row

    kept = verdicts(plan, changed(found, others))
    assert not [name for name in kept if name.startswith("width") or name == "calibrated.width"]
    assert "calibrated.wide" in kept


def test_what_fitting_does_to_the_ends_themselves_is_told(plan, found):
    def said(temperature, factor):
        def ends(row):
            if "temperature" not in row:
                return row
            fitted = [factor * loss for loss in row["test_loss"]]
            return row | {"temperature": [temperature] * len(fitted), "test_calibrated_loss": fitted}

        own = chapter(plan, changed(found, ends)).findings
        return next(sentence for sentence in own if "loss of the ends" in sentence)

    assert "from 0.1 ± 0 to 0.12 ± 0: fitted to images that" in said(2.0, 1.2)
    assert said(2.0, 0.5).endswith("to 0.05 ± 0.")
    assert said(0.5, 1.2).endswith("to 0.12 ± 0.")


def calibrated(row, height, plain=0.8):
    return row | {"barrier": row["barrier"] | {"test_calibrated_loss": height, "test_loss": plain}}


def test_what_wide_networks_do_without_a_permutation_is_asked_at_fitted_temperatures(plan, found):
    """As the source has it: with width and temperature, and without permutation, no barrier is left."""
    narrowest = min(row["width"] for row in found["lines"])

    def source(row):
        bare = row["k"] is None and row["method"] == "none"
        return calibrated(row, 0.3 if row["width"] == narrowest else 0.01 if bare else 0.02)

    kept = verdicts(plan, changed(found, source))
    supported = {"calibrated.share", "calibrated.share.repaired", "calibrated.width", "calibrated.wide"}
    assert {kept[name].verdict for name in supported} == {"supported"}
    matched = [kept[name] for name in kept if name.startswith("calibrated.matched")]
    assert len(matched) == len(plan.permute.methods)
    assert {claim.verdict for claim in matched} == {"contradicted"}, "then permutations bring nothing"


def test_permutations_are_judged_against_the_same_pairs_not_aligned_both_with_repair(plan, found):
    def own(row):
        bare = row["method"] == "none"
        return calibrated(row, (0.6 if bare else 0.2) + 0.01 * row["seeds"][0] if row["repaired"] else 0.0)

    kept = verdicts(plan, changed(found, own))
    claim = kept["calibrated.matched.weights"]
    assert claim.values == pytest.approx((-0.4, -0.4))
    assert (claim.verdict, claim.seeds) == ("supported", ("0-1", "2-3"))
    assert kept["calibrated.width"].verdict == "contradicted", "all widths are alike"


def test_a_barrier_that_width_does_not_lower_or_a_temperature_does_not_close_is_said(plan, found):
    kept = verdicts(plan, changed(found, lambda row: calibrated(row, 0.8)))
    names = ["share", "share.repaired", "width", "wide", "matched.weights"]
    assert {kept[f"calibrated.{name}"].verdict for name in names} == {"contradicted"}


def test_nothing_is_claimed_of_what_a_temperature_closes_where_no_loss_rises(plan, found):
    kept = verdicts(plan, changed(found, lambda row: calibrated(row, 0.0, plain=0.001)))
    for name in ("share", "share.repaired", "wide"):
        assert kept[f"calibrated.{name}"].verdict == "not assessable"
    assert "supported" not in {claim.verdict for name, claim in kept.items() if name.startswith("calibrated")}


def of_width(narrow, wide, bare=0.5, narrow_bare=0.5):
    """A change of lines: barriers of matched pairs of the narrowest and other widths, and of the same not aligned."""

    def change(row):
        if row["k"] is not None:
            return row
        narrowest = row["width"] == min(made.study().spawn.widths)
        if row["method"] == "none":
            return flat(row, narrow_bare if narrowest else bare)
        return flat(row, narrow if narrowest else wide)

    return change


@pytest.mark.parametrize(
    ("heights", "falls", "smaller_share"),
    [
        ((0.3, 0.1, 0.5, 0.5), "supported", "supported"),
        ((0.1, 0.3, 0.5, 0.5), "contradicted", "contradicted"),
        ((0.3, 0.15, 0.25, 0.5), "not assessable", "contradicted"),  # so does the same pairs' that are not aligned
        ((0.3, 0.1, 0.0, 0.5), "not assessable", "not assessable"),
        ((0.3, 0.1, 0.5, 0.01), "not assessable", "not assessable"),
        ((0.03, 0.001, 0.5, 0.5), "not assessable", "not assessable"),  # matching leaves nothing worth falling
        ((0.03, 0.3, 0.5, 0.5), "contradicted", "contradicted"),
    ],
)
def test_a_matched_barrier_that_falls_with_width_is_told_from_one_that_falls_without_matching(
    plan, found, heights, falls, smaller_share
):
    kept = verdicts(plan, changed(found, of_width(*heights)))
    for method in plan.permute.methods:
        assert kept[f"width.{method}"].verdict == falls
        assert kept[f"width.{method}.share"].verdict == smaller_share


def test_pairs_that_one_width_lacks_are_left_out_of_the_trend(plan, found):
    change, narrowest = of_width(0.3, 0.1), min(made.study().spawn.widths)
    rows = [change(dict(row)) for row in found["lines"]]
    first = next(row["seeds"] for row in rows if row["k"] is None)

    def without(method, seeds=None):
        def there(row):
            own = row["k"] is None and row["width"] == narrowest and row["method"] == method
            return not (own and seeds in (None, row["seeds"]))

        return (found | {"lines": list(filter(there, rows))}).__getitem__

    whole = verdicts(plan, without("none of them"))
    kept = verdicts(plan, without("weights"))
    assert kept.keys() == whole.keys() - {"width.weights", "width.weights.share"}
    assert "not measured" in " ".join(chapter(plan, without("weights")).findings)
    fewer = verdicts(plan, without("weights", first))
    assert set(whole["width.weights"].seeds) - set(fewer["width.weights"].seeds) == {"-".join(map(str, first))}
    assert fewer["width.weights.share"].values == whole["width.weights.share"].values[1:]


def test_a_method_that_misses_a_known_permutation_says_nothing_of_width(plan, found):
    lost = found | {"lines": [of_width(0.3, 0.1)(dict(row)) for row in found["lines"]]}
    kept = verdicts(plan, planted(lost, found=0.5))
    assert {kept[f"width.weights{of}"].verdict for of in ("", ".share")} == {"not assessable"}


def test_networks_of_one_width_are_asked_for_no_trend():
    plan = made.study(widths=[], weight_decays=[])
    kept = verdicts(plan, made.tabulated(plan, made.results(plan)).__getitem__)
    assert "calibrated.share" in kept
    assert not {"calibrated.width", "calibrated.wide"} & kept.keys()
    assert not [name for name in kept if name.startswith("width")]


def planted(tables, **changed):
    """The tables, what weight matching found of a network and itself changed."""
    rows = [dict(row) | (changed if row["method"] == "weights" else {}) for row in tables["planted"]]
    return (tables | {"planted": rows}).__getitem__


def test_a_method_that_does_not_find_what_is_known_says_nothing(plan, found):
    assert verdicts(plan, planted(found))["planted.weights"].verdict == "supported"
    kept = verdicts(plan, planted(found, found=0.5))
    assert kept["planted.weights"].verdict == "contradicted"
    assert kept["planted.activations"].verdict == "supported"
    for name in ("matched.weights", "zero"):
        assert kept[name].verdict == "not assessable"
        assert "planted.weights" in kept[name].unmet
    assert kept["matched.activations"].verdict != "not assessable"


def test_only_the_network_of_its_own_width_speaks_against_a_method(plan, found):
    tables = planted(found)
    narrow = [
        row | ({"found": 0.5} if row["width"] != 1 and row["method"] == "weights" else {}) for row in tables("planted")
    ]
    kept = verdicts(plan, (found | {"planted": narrow}).__getitem__)
    assert kept["planted.weights"].verdict == "contradicted"
    assert kept["matched.weights"].verdict != "not assessable"


def test_the_page_says_what_is_found_of_what_is_known(plan, found):
    own = chapter(plan, planted(found, found=0.75, barrier=0.5))
    (said,) = (sentence for sentence in own.findings if "another order" in sentence)
    assert "1.5 nats" in said
    assert "weight matching 75 %" in said
    assert "at most 0.5 nats" in said
    (table,) = (numbers for numbers in own.numbers if numbers.name == "planted")
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert len(table.rows) == len(found["planted"]) > 0


def test_a_study_made_before_has_no_known_permutation(plan, found):
    own = chapter(plan, (found | {"planted": []}).__getitem__)
    assert "planted" not in {numbers.name for numbers in own.numbers}
    assert not [claim for claim in own.claims if "planted" in claim.id]
    assert next(claim for claim in own.claims if claim.id == "connectivity.matched.weights").verdict != "not assessable"


def test_of_given_networks_pairs_in_one_basin_are_counted_as_merged_and_with_repair_each(plan, found):
    study, tables = made.of_given(plan, found)
    first = tables["lines"][0]["pair"]
    joined = [flat(row, 0.5 if row["repaired"] or row["pair"] == first else 0.01) for row in tables["lines"]]
    pairs = len({row["pair"] for row in joined if row["method"] == "none"})
    said = chapter(study, (tables | {"lines": joined}).__getitem__).findings[0]
    counted = f"as merged {pairs - 1} of {pairs} and with REPAIR 0 of {pairs} pairs lie in one basin"
    assert said.endswith(f"{counted} (at most 2 %).")


def test_findings_say_first_what_did_not_come_together(plan, found):
    def mixed(row):
        return flat(row, 0.3) if row["method"] == "activations" else ideal(row)

    said = [text for text in chapter(plan, changed(found, mixed)).findings if "times the width" not in text]
    high = [index for index, sentence in enumerate(said) if "30 ± 0 %" in sentence or "50 ± 0 %" in sentence]
    assert high == [0, 1]
    assert "n = 2" in said[0]


def test_a_study_without_matching_or_further_widths_has_a_chapter(tmp_path):
    plan = made.study(widths=[], weight_decays=[], spawned=1)
    plan = plan.model_copy(update={"permute": plan.permute.model_copy(update={"methods": []})})
    results = made.results(plan) | {"plane": None, "permute": [], "planted": []}
    own = chapter(plan, made.read(tmp_path, plan, results))
    assert {claim.verdict for claim in own.claims if "parted" in claim.id} == {"undecided"}
    assert [picture.draw() for picture in own.pictures]


def test_a_study_without_connectivity_has_no_chapter(plan):
    assert chapter(plan.model_copy(update={"spawn": None}), lambda name: []) is None
