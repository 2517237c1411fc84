"""The chapter on LLFC: what a claim rests on, and that no control or untrained network passes one."""

import numpy as np
import pytest
import synthetic_connectivity as made
import synthetic_results
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hidden_structure.frame.errors import InputError
from hidden_structure.report import plotting
from hidden_structure.report.connectivity import series
from hidden_structure.report.linearity import claims
from hidden_structure.report.linearity.chapter import chapter

FORMS = {marker for _, marker in series.LOOKS} | set(series.OF_K)


@pytest.fixture(scope="module")
def plan():
    return made.study(spawned=4)


@pytest.fixture(scope="module")
def found(plan):
    """As the source has it: what parted is one basin and linear, what is not aligned is neither."""
    tables = made.tabulated(plan, made.results(plan))
    tables["lines"] = [line(row) for row in tables["lines"]]
    tables["features"] = [row | linear(row) for row in tables["features"]]
    tables["stitching"] = [row | {"excess": 0.6 if is_bare(row) else 0.02} for row in tables["stitching"]]
    return tables


def is_bare(row):
    return row["k"] is None and row["method"] == "none"


def line(row):
    values = dict.fromkeys(row["barrier"], 0.5 if is_bare(row) else 0.001)
    return row | {"barrier": values, "instability": values}


def linear(row):
    bare = is_bare(row)
    found = {"bend": 5.0 if bare else 0.2, "commutation": 2.0 if bare else 0.05, "union": 0.3 if bare else -0.01}
    if "layers" in row:
        ends = row["layers"]["ends"]
        found["layers"] = row["layers"] | {"dissimilarity": [(5.0 if bare else 0.05) * end for end in ends]}
    return found | {"laws": {"linear": 5.0, "exponential": 0.1} if bare else {"linear": 0.05, "exponential": 0.2}}


def verdicts(plan, tables):
    return {claim.id.removeprefix("linearity."): claim for claim in claims.claims(plan, tables.__getitem__)}


def test_what_the_source_says_is_supported_where_it_is_so(plan, found):
    assert {claim.verdict for claim in verdicts(plan, found).values()} == {"supported"}


@pytest.mark.parametrize("kind", ["parted", "matched"])
def test_unaligned_networks_pass_no_claim(plan, found, kind):
    """Even were they connected, which they are not."""

    def bare(row):
        return row["k"] is not None if kind == "parted" else row["method"] != "none"

    features = [row | (linear(row | {"k": None, "method": "none"}) if bare(row) else {}) for row in found["features"]]
    cuts = [row | ({"excess": 0.6} if bare(row) else {}) for row in found["stitching"]]
    kept = verdicts(plan, found | {"features": features, "stitching": cuts})
    names = [name for name in kept if kind in name.split(".") and not name.startswith(("law", "connected"))]
    names += ["commutes", "union", "stitched"] if kind == "parted" else []
    assert {kept[name].verdict for name in names} == {"contradicted"}


@pytest.mark.parametrize("kind", ["parted", "matched"])
def test_unaligned_networks_are_not_described_by_llfc_in_place_of_others(plan, found, kind):
    def bare(row):
        own = row["k"] is not None if kind == "parted" else row["method"] != "none"
        return row | ({"laws": {"linear": 5.0, "exponential": 0.1}} if own else {})

    kept = verdicts(plan, found | {"features": [bare(row) for row in found["features"]]})
    assert {kept[name].verdict for name in kept if name.startswith(f"law.{kind}")} == {"contradicted"}


def test_where_neither_law_describes_features_none_is_better(plan, found):
    """The mean of two ends that have nothing in common is nearer to anything than one of them."""
    far = [row | {"laws": {"linear": 0.93, "exponential": 1.0}} for row in found["features"]]
    laws = {name: claim for name, claim in verdicts(plan, found | {"features": far}).items() if name.startswith("law")}
    assert {claim.verdict for claim in laws.values()} == {"not assessable"}
    assert all("off by 0.93" in claim.unmet for claim in laws.values())


def test_pairs_that_lie_near_one_another_commute_and_show_nothing_by_it(plan, found):
    """Of two networks that hardly differ, in whatever direction, the products of differences are small."""
    matched = [row["k"] is None and row["method"] != "none" for row in found["features"]]
    bent = [row | ({"bend": 0.9} if own else {}) for row, own in zip(found["features"], matched, strict=True)]
    assert verdicts(plan, found | {"features": bent})["commutes"].verdict == "not assessable"
    apart = [row | ({"commutation": 0.9} if own else {}) for row, own in zip(bent, matched, strict=True)]
    assert verdicts(plan, found | {"features": apart})["commutes"].verdict == "supported"


def test_laws_that_fit_alike_support_neither(plan, found):
    """As they do of two networks that are one."""
    alike = [row | {"laws": {"linear": 0.1, "exponential": 0.1}} for row in found["features"]]
    kept = verdicts(plan, found | {"features": alike})
    laws = {name: claim for name, claim in kept.items() if name.startswith("law")}
    assert {claim.verdict for claim in laws.values()} == {"contradicted"}
    assert len(laws) == 2 + len(plan.permute.methods)


def test_laws_are_compared_pair_by_pair_under_the_repair_that_others_are_judged_with():
    plan = made.study("cifar10", made.RESNET)
    tables = made.tabulated(plan, made.results(plan, synthetic_results.RESNET))

    def own(row):
        level = row["seeds"][0] + 10 * row["repaired"]
        return row | {"laws": {"linear": level, "exponential": 3 * level + 1}}

    kept = verdicts(plan, tables | {"features": [own(row) for row in tables["features"]]})
    assert kept["law.matched.weights"].values == (-21, -25)
    assert kept["law.parted"].values == (-1, -3)
    assert kept["law.unaligned"].values == (-21, -25)


def test_tables_without_lewc_have_the_chapter_that_they_had(plan, found):
    def earlier(row):
        kept = {name: row[name] for name in row if name != "laws"}
        if "layers" in kept:
            kept["layers"] = {n: v for n, v in row["layers"].items() if n not in ("linear", "exponential")}
        return kept

    layers = [{name: row[name] for name in row if name != "depth"} for row in found["layers"]]
    tables = found | {"features": [earlier(row) for row in found["features"]], "layers": layers}
    own, before = (chapter(plan, each.__getitem__) for each in (found, tables))
    assert [claim for claim in own.claims if ".law." not in claim.id] == before.claims
    assert own.findings[:-1] == before.findings
    assert [numbers.name for numbers in before.numbers] == [n.name for n in own.numbers if n.name != "laws"]
    assert {picture.name for picture in own.pictures} - {picture.name for picture in before.pictures} == {"laws"}


def test_nothing_is_claimed_of_lines_with_a_barrier(plan, found):
    def apart(row):
        return row | {"instability": dict.fromkeys(row["instability"], 0.4)}

    kept = verdicts(plan, found | {"lines": [apart(row) for row in found["lines"]]})
    conditional = ["matched.weights", "parted", "union.matched.weights", "stitched.matched.weights", "union"]
    assert {kept[name].verdict for name in conditional} == {"not assessable"}
    assert "linearity.connected.weights is contradicted" in kept["matched.weights"].unmet
    assert kept["control"].verdict == "supported", "controls need no connected line"


def test_networks_that_have_learnt_nothing_pass_no_claim(plan, found):
    guessing = [row | {"test_accuracy": [row["guess"]] * len(row["seed"])} for row in found["networks"]]
    assert {claim.verdict for claim in verdicts(plan, found | {"networks": guessing}).values()} == {"not assessable"}


def test_independent_pairs_share_no_network(plan, found):
    for name, claim in verdicts(plan, found).items():
        shared = name in ("connected.parted", "parted", "parted.hidden", "commutes", "union", "stitched", "law.parted")
        assert claim.seeds == (tuple("0123") if shared else ("0-1", "2-3")), name
        assert len(claim.values) == len(claim.seeds)


def test_networks_with_batch_norm_are_judged_with_repair_after_matching():
    plan = made.study("cifar10", made.RESNET)
    tables = made.tabulated(plan, made.results(plan, synthetic_results.RESNET))
    tables["features"] = [row | {"bend": 0.1 if row["repaired"] else 9.0} for row in tables["features"]]
    kept = verdicts(plan, tables)
    assert set(kept["matched.weights"].values) == {0.1}
    assert set(kept["parted"].values) == {9.0}, "the source does not recompute statistics"
    assert (set(kept["control"].values), set(kept["control.repaired"].values)) == ({9.0}, {0.1})
    assert kept["stitched"].published.value == pytest.approx(0.0466)


def test_ends_that_are_one_network_have_nothing_to_commute(plan, found):
    none = [row | {"commutation": None} for row in found["features"]]
    kept = verdicts(plan, found | {"features": none})
    assert kept["commutes"].verdict == "not assessable"
    assert kept["commutes"].values == kept["commutes"].seeds == ()


def test_every_claim_stands_once(plan, found):
    posed = claims.claims(plan, found.__getitem__)
    for column in ("id", "statement"):
        texts = [getattr(claim, column) for claim in posed]
        assert len(set(texts)) == len(texts)
    assert all(claim.id.startswith("linearity.") for claim in posed)


def test_a_damaged_value_is_one_line(plan, found):
    broken = [row | {"bend": float("nan")} for row in found["features"]]
    with pytest.raises(InputError, match=r"bend of width-1.*damaged"):
        verdicts(plan, found | {"features": broken})


@pytest.mark.parametrize(
    ("network", "layers"), [({"name": "mlp"}, synthetic_results.MLP), (made.RESNET, synthetic_results.RESNET)]
)
def test_the_chapter_is_made_of_what_the_tables_hold(tmp_path, network, layers):
    plan = made.study("cifar10", network, widths=[0.5], weight_decays=[])
    own = chapter(plan, made.read(tmp_path, plan, made.results(plan, layers)))
    assert len(own.headline) <= 4
    for numbers in own.numbers:
        assert numbers.rows
        assert {len(row) for row in numbers.rows} == {len(numbers.columns)}
    drawn = {picture.name: picture.draw() for picture in own.pictures}
    assert {"linearity", "conditions", "together", "stitching", "laws"} < set(drawn)
    for figure in drawn.values():
        figure.canvas.draw()
    for axes in drawn["stitching"].axes:
        low, high = axes.get_ylim()
        assert low == 0, "how much is lost is seen against all that there is"
        assert high <= 1
        assert max(float(np.max(line.get_ydata())) for line in axes.get_lines()) <= high
    labels = {label.get_text() for axes in drawn["linearity"].axes for label in axes.get_xticklabels()}
    assert all(label.isdigit() for label in labels), "blocks are numbered, not named"


def scaled(found, factor):
    """All that was measured layer by layer, times what the factor says of the row."""

    def row_of(row):
        if "layers" not in row:
            return row
        layers = {name: [factor(row) * value for value in values] for name, values in row["layers"].items()}
        return row | {"layers": layers}

    return (found | {"features": [row_of(row) for row in found["features"]]}).__getitem__


def test_no_band_on_a_logarithmic_axis_reaches_zero(plan, found):
    own = chapter(plan, scaled(found, lambda row: 1000.0 ** (row["seeds"][0] % 2)))
    bands = 0
    for picture in own.pictures:
        for axes in picture.draw().axes:
            if axes.get_yscale() == "log":
                corners = [path.vertices[:, 1] for band in axes.collections for path in band.get_paths()]
                assert all((ends > 0).all() for ends in corners), picture.name
                bands += len(corners)
    assert bands


def test_a_panel_says_that_all_it_would_show_is_below_the_floor(plan, found):
    last = found["forks"][-1]["k"]
    own = chapter(plan, scaled(found, lambda row: 1e-12 if row["k"] == last else 1.0))
    (picture,) = (picture for picture in own.pictures if picture.name == "commutativity-all")
    said = {axes.get_title(): [text.get_text() for text in axes.texts] for axes in picture.draw().axes}
    empty = [title for title, texts in said.items() if texts == ["below 1e-6 throughout"]]
    assert len(empty) == 1
    assert "k = " in empty[0]
    assert "1e-6" in next(picture for picture in own.pictures if picture.name == "conditions").making


def test_cuts_of_each_k_can_be_told_apart_beside_networks_that_err_far_more(plan, found):
    def erring(row):
        if "cuts" not in row:  # of another width
            return row
        error = 0.9 if row["k"] is None else 0.05 / (1 + row["k"])
        cuts = {order: [error] * len(row["cuts"]["layer"]) for order in ("a_below_b", "b_below_a")}
        return row | {"cuts": row["cuts"] | cuts, "ends": [0.0, 0.0]}

    own = chapter(plan, (found | {"stitching": [erring(row) for row in found["stitching"]]}).__getitem__)
    drawn = next(picture for picture in own.pictures if picture.name == "stitching-all").draw()
    parted = [axes for axes in drawn.axes if any(line.get_linestyle() == "--" for line in axes.lines)]
    (low, high), heights = parted[0].get_ylim(), [max(line.get_ydata()) for line in parted[0].lines]
    assert len(parted) == 1
    assert low == 0
    assert max(heights) > 0.8 * high


def faces(line):
    """How light the middle of the line's mark is, 0 to 255, were its edge black and it white inside."""
    figure = Figure(figsize=(0.3, 0.3), dpi=160)
    canvas = FigureCanvasAgg(figure)
    style = {"markersize": line.get_markersize(), "markeredgewidth": line.get_markeredgewidth()}
    figure.add_artist(Line2D([0.5], [0.5], marker=line.get_marker(), color="black", markerfacecolor="white", **style))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[22:26, 22:26, :3].max()


def test_hollow_marks_look_hollow_whatever_their_form(plan, found):
    """An edge may be as wide as the arm of a cross."""
    own = chapter(plan, found.__getitem__)
    with plotting.style(plan.report.style):
        laws, together = (
            next(picture for picture in own.pictures if picture.name == name).draw() for name in ("laws", "together")
        )
        marks = [line for axes in (*laws.axes[:2], *together.axes) for line in axes.lines if line.get_marker() in FORMS]
    hollow = [line for line in marks if line.get_markerfacecolor() in ("white", "none")]
    assert {line.get_marker() for line in hollow} == {line.get_marker() for line in marks} > {"P", "X"}
    assert len(hollow) == len(marks) / 2
    assert min(map(faces, hollow)) > 240


def test_a_study_without_matching_or_further_widths_has_a_chapter(tmp_path):
    plan = made.study(widths=[], weight_decays=[], spawned=1)
    plan = plan.model_copy(update={"permute": plan.permute.model_copy(update={"methods": []})})
    own = chapter(plan, made.read(tmp_path, plan, made.results(plan) | {"plane": None, "permute": []}))
    assert [picture.draw() for picture in own.pictures]
    assert not [claim for claim in own.claims if "matched" in claim.id]


def test_the_union_bound_is_shown_of_every_kind_of_pair_beside_the_sum_on_the_whole_line(plan, found):
    numbers = {numbers.name: numbers for numbers in chapter(plan, found.__getitem__).numbers}
    union, stitched = numbers["union"], numbers["stitched"]
    assert [row[:4] for row in union.rows] == [row[:4] for row in stitched.rows]
    place = union.columns.index("excess over the ends' sum, as merged")
    kinds = [row for row in union.rows if row[:2] == [1, plan.spawn.train.weight_decay]]
    assert len(kinds) == len(plan.spawn.epochs) + 1 + len(plan.permute.methods)
    for row in kinds:  # an error of 5 % at all ends; the height above it is 50 % of unaligned ones, else 0.1 %
        height = 0.5 if row[2] == "not aligned" else 0.001
        assert row[place] == pytest.approx(height - 0.05, abs=1e-9)


def test_networks_that_cannot_be_cut_have_a_chapter_without_stitching(plan, found):
    """As those without an activation."""
    made_without = found | {"stitching": []}
    kept = verdicts(plan, made_without)
    assert {kept[name].verdict for name in kept if name.startswith("stitched")} == {"not assessable"}
    written = chapter(plan, made_without.__getitem__)
    assert not [picture.name for picture in written.pictures if picture.name.startswith("stitching")]
    assert "stitched" not in [numbers.name for numbers in written.numbers]
    assert any(said.startswith("Nothing is stitched") for said in written.findings)


def test_of_given_networks_pairs_with_llfc_are_counted_as_merged_and_with_repair_each(plan, found):
    study, tables = made.of_given(plan, found)
    bent = [row | {"bend": 0.1 if row["repaired"] else 3.0} for row in tables["features"]]
    pairs = len({row["pair"] for row in bent if row["method"] == "none"})
    said = chapter(study, (tables | {"features": bent}).__getitem__).findings[0]
    assert f"at most 0.2, which 0 of {pairs} pairs reach as merged and {pairs} with REPAIR" in said


def test_findings_say_first_where_llfc_fails(plan, found):
    rows = [row | {"bend": 3.0} if row["method"] == "ste" else row for row in found["features"]]
    said = chapter(plan, (found | {"features": rows}).__getitem__).findings
    assert said[0].startswith("LLFC between independent networks, aligned by straight-through estimator: ")
    assert said[0].endswith("(contradicted).")
    assert sum("contradicted" in sentence for sentence in said) == 1
    assert any(sentence.startswith("LLFC between independent networks, not aligned: ") for sentence in said)


def test_a_finding_says_no_more_than_its_interval_does(plan, found):
    """The mean of two pairs may lie below the bound while their interval holds it."""
    rows = [
        row | {"bend": 0.1 if row["seeds"][0] % 2 else 0.25} if row["k"] is not None else row
        for row in found["features"]
    ]
    said = chapter(plan, (found | {"features": rows}).__getitem__).findings
    assert any("networks that part" in sentence and "(undecided: " in sentence for sentence in said)
    rows = [row | {"test_accuracy": [row["guess"] for _ in row["test_accuracy"]]} for row in found["networks"]]
    said = chapter(plan, (found | {"networks": rows}).__getitem__).findings
    verdicts = {claim.id: claim.verdict for claim in claims.claims(plan, (found | {"networks": rows}).__getitem__)}
    assert verdicts["linearity.parted"] == "not assessable"
    assert sum(sentence.startswith("LLFC between") and "(not assessable: " in sentence for sentence in said) >= 2


def test_a_study_without_connectivity_has_no_chapter(plan):
    assert chapter(plan.model_copy(update={"spawn": None}), lambda name: []) is None


def test_hidden_layers_are_judged_without_the_last_and_beside_networks_that_are_not_aligned(plan, found):
    def bent(row, hidden, last):
        if "layers" not in row:
            return row
        *ends, logits = row["layers"]["ends"]
        return row | {
            "bend": last,
            "layers": row["layers"] | {"dissimilarity": [hidden * e for e in ends] + [last * logits]},
        }

    tables = found | {"features": [bent(row, 3.0 if is_bare(row) else 0.1, 5.0) for row in found["features"]]}
    kept = verdicts(plan, tables)
    assert kept["matched.weights"].verdict == "contradicted"
    assert kept["matched.weights.hidden"].verdict == "supported"
    assert "halfway, merged features lie at most 0.1 ± " in " ".join(chapter(plan, tables.__getitem__).findings)
    kept = verdicts(plan, found | {"features": [bent(row, 0.1, 5.0) for row in found["features"]]})
    assert kept["matched.weights.hidden"].verdict == "not assessable"
    assert "not aligned" in kept["matched.weights.hidden"].unmet
