"""The chapter on recovered classes: nothing that pixels or an untrained network do counts for it."""

import numpy as np
import pytest
import synthetic_recovery as made

from hidden_structure.report.claim import Claim, Criterion
from hidden_structure.report.controls import unless_control
from hidden_structure.report.plotting import save, style
from hidden_structure.report.recovery.chapter import chapter
from hidden_structure.report.recovery.claims import guess
from hidden_structure.report.recovery.figures import ENTRIES, PANELS
from hidden_structure.tables.recovery import arrays

HYPOTHESES = {"gain", "gap", "agreement"}
CONTROLS = {"control-pixels", "control-untrained"}
OUTLASTING = {"outlasting-agreement", "outlasting-labels"}
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


def claims(found: dict) -> dict[str, Claim]:
    return {claim.id.removeprefix("recovery."): claim for claim in written(found).claims}


def rows_of(found: dict, source: str, seed: int | None = None) -> list[dict]:
    return [row for row in found["cluster"]["rows"] if row["source"] == source and seed in (None, row["seed"])]


def copied(found: dict, source: str, to: str = "coarse") -> dict:
    """Results in which clusters of one source are those of another."""
    own = {(row["seed"], row["reducer"]): row for row in rows_of(found, source)}
    for row in rows_of(found, to):
        row |= {key: value for key, value in own[row["seed"], row["reducer"]].items() if key != "source"}
    return found


def test_what_the_source_says_is_supported():
    found = claims(made.results())
    assert {name for name, claim in found.items() if claim.verdict == "supported"} == {*found}
    assert set(found) == {*HYPOTHESES, *CONTROLS, *OUTLASTING, "room", "collapsed"}


@pytest.mark.parametrize("source", ["pixels", "untrained"])
def test_clusters_of_a_control_support_nothing(source):
    found = claims(copied(made.results(), source))
    assert not {name for name in HYPOTHESES | {f"control-{source}"} if found[name].verdict == "supported"}


@pytest.mark.parametrize("source", ["pixels", "untrained"])
def test_what_a_control_does_as_well_is_not_assessable(source):
    found = claims(copied(made.results(), "coarse", source))
    assert {found[name].verdict for name in HYPOTHESES} <= {"not assessable"} | (
        {"supported"} if source == "pixels" else set()
    )
    assert found["agreement"].verdict == found["gap"].verdict == "not assessable"
    assert found[f"control-{source}"].verdict == "contradicted"


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
    assert judged["outlasting-labels"].verdict == "supported"
    assert any("at its best epoch" in sentence for sentence in written(found).findings)


def test_nothing_outlasts_a_collapse_that_did_not_come_nor_what_was_never_found():
    found = made.results()
    for row in found["collapse"]:
        row["nc1"] = 3.0
    assert {claims(found)[name].verdict for name in OUTLASTING} == {"not assessable"}
    found = made.results()
    for row in found["follow-recovery"]:
        row["agreement"] = 0.53
    assert claims(found)["outlasting-agreement"].verdict == "not assessable"


def test_networks_that_were_not_followed_have_no_claim_on_it():
    found = made.results() | {"follow-recovery": []}
    assert not OUTLASTING & set(claims(found))
    assert "following" not in [picture.name for picture in written(found).pictures]


def test_a_control_can_be_beaten_near_chance():
    found = made.results()
    for source, accuracy in (("coarse", 0.06), ("pixels", 0.02), ("untrained", 0.015)):
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


def test_a_study_without_networks_of_its_own_has_no_chapter():
    assert chapter(made.STUDY.model_copy(update={"train": None}), lambda name: []) is None
