"""The chapter on recovered classes: nothing that pixels or an untrained network do counts for it."""

import re

import numpy as np
import pytest
import synthetic_recovery as made

from hidden_structure.report.claim import Claim, Criterion
from hidden_structure.report.controls import unless_control
from hidden_structure.report.fitting import fit
from hidden_structure.report.plotted import data_of
from hidden_structure.report.plotting import save, style
from hidden_structure.report.recovery import figures
from hidden_structure.report.recovery.chapter import chapter
from hidden_structure.report.recovery.claims import guess
from hidden_structure.report.recovery.figures import ENTRIES, PANELS
from hidden_structure.tables.recovery import arrays

HYPOTHESES = {"gain", "gap", "agreement"}
CONTROLS = {"control-pixels", "control-untrained", "control-memorised", "control-memorised-labels"}
NONE_MEMORISED = made.STUDY.model_copy(update={"memorised": None})
OUTLASTING = {f"outlasting-{what}{when}" for what in ("agreement", "labels") for when in ("", ".collapsing")}
HOSTILE = ["$x", "a$b$", "_hidden", "two\nlines", r"\frac{", "$\\undefined$", "{}", "%s", "x" * 300, "", "<b>", "a&b"]


def samples(found: dict, study=made.STUDY) -> list[dict]:
    """Rows of the table `map`."""
    names = list(found["labels"]["coarse_of"])
    merged = list(found["labels"]["coarse"]["train_counts"])
    fine = np.repeat(np.arange(len(names)), 30)
    coarse = np.array([merged.index(name) for name in found["labels"]["coarse_of"].values()])[fine]
    positions = np.random.default_rng(0).normal(size=(len(fine), 2))
    columns = arrays(study, positions, {"train": fine}, {"train": coarse})
    return [dict(zip(columns, row, strict=True)) for row in zip(*(c.tolist() for c in columns.values()), strict=True)]


def written(found: dict, study=made.STUDY):
    tables = made.tables(found, study)
    return chapter(study, lambda name: samples(found, study) if name == "map" else tables(name))


def claims(found: dict, study=made.STUDY) -> dict[str, Claim]:
    return {claim.id.removeprefix("recovery."): claim for claim in written(found, study).claims}


def rows_of(found: dict, source: str, seed: int | None = None) -> list[dict]:
    return [row for row in found["cluster"]["rows"] if row["source"] == source and seed in (None, row["seed"])]


def copied(found: dict, source: str, to: str = "coarse") -> dict:
    """Results in which clusters of one source are those of another."""
    own = {(row["seed"], row["reducer"]): row for row in rows_of(found, source)}
    for row in rows_of(found, to):
        if copy := own.get((row["seed"], row["reducer"])):  # those that memorised have the first reducer alone
            row |= {key: value for key, value in copy.items() if key != "source"}
    return found


def test_what_the_source_says_is_supported():
    found = claims(made.results())
    assert {name for name, claim in found.items() if claim.verdict == "supported"} == {*found}
    assert set(found) == {*HYPOTHESES, *CONTROLS, *OUTLASTING, "room", "collapsed", "memorised"}


@pytest.mark.parametrize("source", ["pixels", "untrained", "memorised"])
def test_clusters_of_a_control_support_nothing(source):
    found = claims(copied(made.results(), source))
    assert not {name for name in HYPOTHESES | {f"control-{source}"} if found[name].verdict == "supported"}


@pytest.mark.parametrize("source", ["pixels", "untrained", "memorised"])
def test_what_a_control_does_as_well_is_not_assessable(source):
    found = claims(copied(made.results(), "coarse", source))
    assert {found[name].verdict for name in HYPOTHESES} <= {"not assessable"} | (
        {"supported"} if source == "pixels" else set()
    )
    assert found["agreement"].verdict == found["gap"].verdict == "not assessable"
    assert found[f"control-{source}"].verdict == "contradicted"


def memorising(found: dict, fitted: float = 1.0, own: float | None = None, labels: float | None = None) -> dict:
    """Results of other networks that memorised: accuracies on shuffled labels, and from their own features."""
    for row in found["memorised"]:
        row["train_accuracy"] = fitted
    for row in rows_of(found, "memorised"):
        row["own_accuracy"] = row["own_accuracy"] if own is None else own + 0.001 * row["seed"]
    for row in found["cluster"]["memorised"]:
        row["probe_accuracy"] = row["probe_accuracy"] if labels is None else labels
    return found


def test_a_memorising_network_that_classifies_by_itself_leaves_nothing_to_the_coarse_one():
    found = claims(memorising(made.results(), own=0.94))
    assert found["gap"].verdict == "not assessable"
    assert "by themselves" in found["gap"].unmet
    assert {found[name].verdict for name in ("gain", "agreement", "control-memorised")} == {"supported"}


def test_true_labels_that_are_read_from_memorising_features_as_well_contradict_their_control_alone():
    found = claims(memorising(made.results(), labels=0.93))
    assert found["control-memorised-labels"].verdict == "contradicted"
    assert {found[name].verdict for name in HYPOTHESES | CONTROLS - {"control-memorised-labels"}} == {"supported"}


def test_networks_that_did_not_memorise_are_no_control_and_one_line_says_so():
    found = memorising(copied(made.results(), "coarse", "memorised"), fitted=0.98)
    judged = claims(found)
    assert judged["memorised"].verdict == "contradicted"
    assert {judged[f"control-memorised{of}"].verdict for of in ("", "-labels")} == {"not assessable"}
    assert {judged[name].verdict for name in HYPOTHESES} == {"supported"}, "what is no control objects to nothing"
    (said,) = (sentence for sentence in written(found).findings if "shuffled over" in sentence)
    assert "accuracy of 0.98 on these" in said
    assert "contradicted: 3 of 3 do not" in said
    assert not [sentence for sentence in written(found).findings if "memorised" in sentence and sentence != said]


def test_a_study_in_which_none_memorised_has_neither_claim_nor_row_nor_bar_of_it():
    found = made.results()
    del found["memorised"], found["cluster"]["memorised"]
    found["cluster"]["rows"] = [row for row in found["cluster"]["rows"] if row["source"] != "memorised"]
    assert set(claims(found, NONE_MEMORISED)) == set(claims(made.results())) - {
        "memorised",
        "control-memorised",
        "control-memorised-labels",
    }
    one, other = written(found, NONE_MEMORISED), written(made.results())
    assert [table.name for table in one.numbers] == ["recovery", "bits"]
    assert len(other.numbers[0].rows) == len(one.numbers[0].rows) + 1
    with style(made.STUDY.report.style):
        lines = [len(drawn.pictures[2].draw().axes[0].get_yticklabels()) for drawn in (one, other)]
    assert lines[1] == lines[0] + 2  # recovered labels, read as all are, and true ones, read from its own features


def test_seeds_in_any_order_pair():
    found = made.results()
    for row in found["cluster"]["memorised"]:
        row["probe_accuracy"] = 0.5 + 0.1 * row["seed"]
    for row in found["cluster"]["oracle"]:
        row["probe_accuracy"] = 0.6 + 0.1 * row["seed"]
    study = made.STUDY.model_copy(update={"seeds": [2, 0, 1]})
    assert claims(found, study)["control-memorised-labels"].values == pytest.approx((0.1, 0.1, 0.1))


def test_where_pixels_leave_nothing_to_recover_a_share_of_it_means_nothing():
    found = made.results()
    for row in rows_of(found, "pixels"):
        row["probe_accuracy"] = 0.92
    found = claims(found)
    assert found["room"].verdict == "contradicted"
    assert found["gain"].verdict == "not assessable"


@pytest.mark.parametrize(("supervision", "left"), [("coarse", set()), ("fine", {"gain", "agreement", *CONTROLS})])
def test_nothing_rests_on_networks_that_are_not_trained(supervision, left):
    found = made.results()
    for row in found[f"train-{supervision}"]:
        if row["seed"] == 2:
            row["test_accuracy"] = 0.3
    found = claims(found)
    assert {name for name in HYPOTHESES | CONTROLS if found[name].verdict == "supported"} == left


def test_a_mean_over_superclasses_is_told_with_the_least_and_the_most_of_them():
    found = made.results()
    (sentence,) = (one for one in written(found).findings if one.startswith("Recovered and original label agree"))
    rows = made.tables(found)("superclasses")
    own = {row["superclass"]: row["agreement"] for row in rows if row["source"] == "coarse"}
    least, *_, most = sorted(own, key=lambda name: sum(own[name]))
    assert re.search(rf"by super-class 0\.\d+ ± [\d.]+ \({re.escape(least)}\) to .*\({re.escape(most)}\)", sentence)


def test_networks_that_have_not_collapsed_are_said_first():
    found = made.results()
    for row in found["collapse"]:
        row["nc1"] = 3.0
    first = written(found).findings[0]
    assert "had not collapsed" in first
    assert claims(found)["collapsed"].verdict == "contradicted"


def test_what_is_lost_after_its_best_epoch_has_not_outlasted_collapse():
    found = made.results()
    for row in found["follow-recovery"]:
        if row["epoch"] == 200:
            row["agreement"] -= 0.2
    judged = claims(found)
    assert judged["outlasting-agreement"].verdict == "contradicted"
    assert "recovered by principal components" in judged["outlasting-agreement"].criterion.quantity
    assert judged["outlasting-labels"].verdict == "supported"
    assert any("at its best epoch" in sentence for sentence in written(found).findings)


def test_what_is_lost_before_collapse_is_not_lost_to_it():
    found = made.results()
    for row in found["follow-recovery"]:
        row["agreement"] -= 0.3 * (row["epoch"] >= 50)  # the last of an NC1 above 0.1
    judged = claims(found)
    assert judged["outlasting-agreement"].verdict == "contradicted"
    assert judged["outlasting-agreement.collapsing"].verdict == "supported"
    assert any("had not yet collapsed, at an NC1 of 0.149" in sentence for sentence in written(found).findings)
    for row in found["follow-recovery"]:
        row["agreement"] -= 0.1 * (row["epoch"] == 200)
    assert claims(found)["outlasting-agreement.collapsing"].verdict == "contradicted"


def test_networks_that_collapse_before_the_first_kept_epoch_or_not_at_all_leave_nothing_to_compare_with():
    for nc1 in (0.01, 0.2):
        found = made.results()
        for row in found["collapse"]:
            row["nc1"] = nc1 if row["epoch"] else 3.0
        judged = claims(found)["outlasting-agreement.collapsing"]
        assert (judged.verdict, judged.values) == ("not assessable", ())


def test_a_training_set_that_is_lost_again_on_the_way_leaves_nothing_to_say_of_what_stays():
    found = made.results()
    for row in found["train-coarse"]:
        if row["epoch"]:
            row["train_accuracy"] = 0.9 if row["epoch"] < 20 or (row["epoch"], row["seed"]) == (60, 1) else 1.0
    judged = claims(found)["outlasting-labels.collapsing"]
    assert judged.verdict == "not assessable"
    assert judged.unmet == "1 of 3 networks lost their training set again on the way"


def test_what_was_lost_before_collapse_cannot_stay():
    found = made.results()
    for row in found["follow-recovery"]:
        row["agreement"] = 0.53 if row["epoch"] >= 50 else row["agreement"]
    judged = claims(found)["outlasting-agreement.collapsing"]
    assert "before the networks collapsed clusters found hardly more than in untrained ones" in judged.unmet


def test_what_is_found_in_untrained_networks_as_well_says_nothing_of_what_stays():
    """Whether it falls afterwards or not: it is not what training found."""
    for end in (0.3, 0.8):
        found = made.results()
        for row in found["follow-recovery"]:
            row["agreement"] = end if row["epoch"] == 200 else 0.8
        judged = claims(found)["outlasting-agreement.collapsing"]
        assert judged.verdict == "not assessable"
        assert "hardly more than in untrained ones" in judged.unmet


def test_what_is_best_just_before_collapse_is_asked_once():
    found = made.results()
    for row in found["follow-recovery"]:
        row["labels"] = 0.9 if row["epoch"] == 50 else 0.8
    assert {name for name in claims(found) if name.startswith("outlasting-labels")} == {"outlasting-labels.collapsing"}


def test_classes_recovered_before_training_error_is_zero_say_nothing_of_what_the_source_claims():
    found = made.results()
    assert {claims(found)[name].kind for name in ("gain", "gap")} == {"published"}
    for row in found["train-coarse"]:
        row |= {"train_accuracy": 0.98} if row["epoch"] else {}
    assert {claims(found)[name].kind for name in ("gain", "gap")} == {"ours"}


def test_nothing_outlasts_a_collapse_that_did_not_come_nor_what_was_never_found():
    found = made.results()
    for row in found["collapse"]:
        row["nc1"] = 3.0
    assert {claims(found)[name].verdict for name in OUTLASTING} == {"not assessable"}
    found = made.results()
    for row in found["follow-recovery"]:
        row["agreement"] = 0.53
    assert claims(found)["outlasting-agreement"].verdict == "not assessable"


def test_what_an_untrained_network_holds_as_well_is_not_said_to_outlast_collapse():
    found = made.results()
    best = max(row["agreement"] for row in found["follow-recovery"])
    for row in found["follow-recovery"]:
        row["agreement"] = best if row["epoch"] in (0, 200) else best - 0.001
    judged = claims(found)["outlasting-agreement"]
    assert judged.verdict == "not assessable"
    assert "untrained" in judged.unmet


def test_each_control_is_clustered_as_serves_it_best():
    found = made.results()
    for row in rows_of(found, "pixels"):
        if row["reducer"] != "tsne":
            row["probe_accuracy"] = 0.999
    judged = claims(found)
    assert judged["control-pixels"].verdict == "contradicted"
    assert judged["gain"] == claims(made.results())["gain"], "which is measured from pixels as clustered like features"


def test_networks_that_were_not_followed_have_no_claim_on_it():
    found = made.results() | {"follow-recovery": []}
    assert not OUTLASTING & set(claims(found))
    assert "following" not in [picture.name for picture in written(found).pictures]


def test_a_control_can_be_beaten_near_chance():
    found = made.results()
    for source, accuracy in (("coarse", 0.06), ("pixels", 0.02), ("untrained", 0.015), ("memorised", 0.01)):
        for row in rows_of(found, source):
            row["probe_accuracy"] = accuracy + 0.001 * row["seed"]
    found = claims(found)
    assert {found[name].verdict for name in CONTROLS} == {"supported"}
    assert found["gap"].verdict == found["gain"].verdict == "contradicted"


def test_differences_are_of_the_same_seed():
    found = made.results()
    for seed in made.SEEDS:
        for source, accuracy in (("coarse", 0.5), ("pixels", 0.45)):
            for row in rows_of(found, source, seed):
                row["probe_accuracy"] = accuracy + 0.2 * seed
    assert claims(found)["control-pixels"].verdict == "supported"


def test_a_published_value_stands_only_beside_its_own_setting():
    assert claims(made.results())["gain"].published is None
    data, merge = made.STUDY.data, made.STUDY.merge
    study = made.STUDY.model_copy(
        update={
            "data": data.model_copy(update={"source": "cifar10"}),
            "merge": merge.model_copy(update={"method": "modulo", "classes": 5}),
        }
    )
    (gain,) = (claim for claim in written(made.results(), study).claims if claim.id == "recovery.gain")
    assert gain.published.value == 0.93
    assert "CIFAR-10" in gain.published.setting


def test_one_seed_is_undecided():
    study = made.STUDY.model_copy(update={"seeds": [0]})
    found = {claim.id.removeprefix("recovery."): claim for claim in written(made.results(), study).claims}
    assert {found[name].verdict for name in HYPOTHESES | CONTROLS} == {"undecided"}


def test_super_classes_of_one_class_leave_no_agreement_to_judge():
    found = claims(made.results(4, 4))
    assert found["agreement"].verdict == "not assessable"


def test_a_guess_is_at_the_largest_class():
    rows = [("a", "x", 3), ("b", "x", 1), ("c", "y", 4)]
    assert guess([dict(zip(("class", "superclass", "test"), row, strict=True)) for row in rows]) == 7 / 8


def test_a_control_is_no_objection_to_what_fails_anyway():
    criterion = Criterion("share", at_least=0.5)
    assert unless_control(criterion, [0.6, 0.7], {"pixels": [0.6]}).endswith("pixels")
    assert not unless_control(criterion, [0.6, 0.7], {"pixels": [0.4, 0.5], "nothing": []})
    assert not unless_control(criterion, [0.1, 0.2], {"pixels": [0.6]})


@pytest.mark.parametrize(
    ("classes", "coarse", "seeds", "names"),
    [(2, 2, [0], None), (100, 20, [0, 1], None), (10, 5, made.SEEDS, None), (12, 2, [0], HOSTILE)],
)
def test_figures_are_drawn_of_any_classes(classes, coarse, seeds, names, tmp_path):
    study = made.STUDY.model_copy(update={"seeds": seeds})
    found = written(made.results(classes, coarse, names, seeds), study)
    assert [picture.name for picture in found.pictures] == ["maps", "distances", "recovery", "agreement", "following"]
    with style(study.report.style):
        for picture in found.pictures:
            save(picture.draw(), tmp_path / f"{picture.name}.png")


def test_bars_on_a_logarithmic_axis_reach_as_far_to_either_side_and_never_to_zero():
    """Networks so unlike that the mean less the standard error would be below 0."""
    rows = [
        {"nc1": [1.0, 0.1], "agreement": [0.6, 0.9], "labels": [0.8, 0.9], "recovered": [0.7, 0.8]}
        | {"explained": [share, share], "spread": [share, share]}
        for share in (1e-4, 1e-2, 0.9)
    ]
    figure = figures.following(rows, 0.5, 0.5)
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "linear", "log"]
    bars = [row for row in data_of(figure) if row["panel"].startswith("(c)") and row.get("low") is not None]
    assert len(bars) == 4
    assert all(row["low"] > 0 for row in bars)
    assert all(row["low"] * row["high"] == pytest.approx(row["y"] ** 2) for row in bars)


def test_maps_leave_no_panel_empty_and_count_the_classes_that_they_do_not_name():
    with style(made.STUDY.report.style):
        for coarse in (2, 5, 6, 7, 25):
            figure = written(made.results(50, coarse)).pictures[0].draw()
            assert len(figure.axes) == min(coarse, PANELS)
            assert all(axes.collections for axes in figure.axes)
        names = [text.get_text() for text in written(made.results(50, 2)).pictures[0].draw().axes[0].get_legend().texts]
    assert len(names) == ENTRIES
    assert names[-1] == f"… {25 - ENTRIES + 1} more"


def test_distances_stand_in_the_order_of_the_super_classes_and_have_their_mean_for_a_unit():
    found = made.results(4, 2)
    matrix = np.arange(16.0).reshape(4, 4) + 1
    found["cluster"]["class_distances"]["matrix"] = matrix.tolist()
    with style(made.STUDY.report.style):
        axes = written(found).pictures[1].draw().axes[0]
    order = [0, 2, 1, 3]
    across = matrix[np.ix_([0, 2], [1, 3])].sum() + matrix[np.ix_([1, 3], [0, 2])].sum()
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"class {index}" for index in order]
    np.testing.assert_allclose(axes.images[0].get_array(), matrix[np.ix_(order, order)] / (across / 8))


def test_no_name_beside_the_distances_is_cut():
    """As a page has them: laid out more than once, beside a bar of colours with labels of four characters."""
    merged = [f"large_man-made_{place}" for place in range(20)]
    classes = [{"class": f"{name}, {index}", "superclass": name} for name in merged for index in range(5)]
    rows = [{"class": row["class"], "distances": np.linspace(0.1, 1.9, 100)} for row in classes]
    with style(made.STUDY.report.style):
        figure = figures.distances(rows, classes)
        fit(figure)
        figure.draw_without_rendering()
        axes, whole = figure.axes[0], figure.bbox
        boxes = [label.get_window_extent() for label in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    assert len(boxes) == 2 * 20
    assert min(min(box.x0, box.y0) for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= whole.x1


def test_a_study_without_networks_of_its_own_has_no_chapter():
    assert chapter(made.STUDY.model_copy(update={"train": None}), lambda name: []) is None
