"""The chapter on neural collapse: four properties, none of which an untrained network has."""

import pytest
import synthetic_recovery as made

from hidden_structure.frame.errors import InputError
from hidden_structure.report.claim import Claim
from hidden_structure.report.collapse.chapter import chapter
from hidden_structure.report.collapse.claims import excess, score
from hidden_structure.report.plotting import save, style

PROPERTIES = {"nc1", "simplex", "nc3", "nc4"}
MODEL = {"model-gap", "model-wrong"}


def claims(found: dict) -> dict[str, Claim]:
    return {claim.id.removeprefix("collapse."): claim for claim in chapter(made.STUDY, made.tables(found)).claims}


def verdicts(found: dict, supervision: str) -> dict[str, str]:
    names = {name: claim.verdict for name, claim in claims(found).items() if name.startswith(supervision)}
    return {name.partition(".")[2]: verdict for name, verdict in names.items()}


def collapsed() -> dict:
    """Each property is had by every network at the end."""
    found = made.results()
    last = max(row["epoch"] for row in found["collapse"])
    for row in found["collapse"]:
        if row["epoch"] == last:
            row |= {"nc1": 0.02 + 0.001 * row["seed"], "nc2_norms_means": 0.02, "nc3": 0.05, "nc4": 0.0}
            row |= {"nc2_equiangular_means": 0.01}
            row["nc2_cosine_means"] = -1 / ({"fine": 10, "coarse": 5}[row["supervision"]] - 1)
    return found


def test_each_supervision_has_one_claim_a_property_and_its_preconditions():
    found = claims(made.results())
    assert len(found) == 2 * (len(PROPERTIES) + len(MODEL) + 2)
    for supervision in ("fine", "coarse"):
        assert set(verdicts(collapsed(), supervision)) == {*PROPERTIES, *MODEL, "terminal", "trained"}
        assert set(verdicts(collapsed(), supervision).values()) == {"supported"}


@pytest.mark.parametrize("column", ["gap", "wrong"])
def test_a_network_three_times_from_the_model_contradicts_it_and_one_without_decay_is_not_judged(column):
    found = collapsed()
    for row in found["collapse"]:
        row[f"{column}_model"] = row[column] * (3.0 if row["seed"] else 3.1)
    assert verdicts(found, "fine")[f"model-{column}"] == "contradicted"
    for row in found["collapse"]:
        row[f"{column}_model"] = 0.0
    assert verdicts(found, "fine")[f"model-{column}"] == "not assessable"


def test_results_of_earlier_versions_have_no_model_beside_them():
    found = collapsed()
    for row in found["collapse"]:
        for name in ("wrong", "wrong_model", "gap", "gap_model"):
            del row[name]
    assert not MODEL & set(verdicts(found, "fine"))
    made_of = chapter(made.STUDY, made.tables(found))
    assert "model" not in [picture.name for picture in made_of.pictures]


def test_of_two_classes_no_angle_is_claimed():
    assert "coarse.simplex" not in claims(made.results(coarse=2))


@pytest.mark.parametrize("supervision", ["fine", "coarse"])
def test_networks_as_they_were_initialised_fail_every_claim(supervision):
    found = collapsed()
    start = {(row["supervision"], row["seed"]): row for row in found["collapse"] if row["epoch"] == 0}
    for row in found["collapse"]:
        row |= {key: value for key, value in start[row["supervision"], row["seed"]].items() if key != "epoch"}
    found = verdicts(found, supervision)
    assert {found[name] for name in PROPERTIES} == {"contradicted"}


@pytest.mark.parametrize(("column", "name"), [("nc1", "nc1"), ("nc2_norms_means", "simplex"), ("nc3", "nc3")])
def test_a_low_level_that_was_there_from_the_start_is_no_collapse(column, name):
    found = collapsed()
    for row in found["collapse"]:
        row[column] = 0.02
    assert verdicts(found, "fine")[name] == "contradicted"


@pytest.mark.parametrize("column", ["nc1", "nc2_norms_means", "nc2_equiangular_means", "nc3", "nc4"])
def test_a_property_that_is_lacking_fails_its_own_claim_alone(column):
    found = collapsed()
    for row in found["collapse"]:
        if row["epoch"]:
            row[column] = 0.5
    name = "simplex" if column.startswith("nc2") else column
    ended = verdicts(found, "fine")
    assert {one for one, verdict in ended.items() if verdict == "contradicted"} == {name}


def test_before_the_terminal_phase_nothing_is_said():
    found = collapsed()
    for row in found["train-fine"]:
        if row["seed"] == 1 and row["epoch"]:
            row["train_accuracy"] = 0.95
    ended = verdicts(found, "fine")
    assert ended.pop("terminal") == "contradicted"
    assert ended.pop("trained") == "supported"
    assert set(ended.values()) == {"not assessable"}
    assert set(verdicts(found, "coarse").values()) == {"supported"}


def test_one_network_leaves_the_claims_undecided_and_no_error_in_its_numbers():
    study = made.STUDY.model_copy(update={"seeds": [1]})
    found = chapter(study, made.tables(collapsed(), study))
    assert {claim.verdict for claim in found.claims if claim.kind == "published"} == {"undecided"}
    assert not any("±" in str(cell) for row in found.numbers[0].rows for cell in row)


def test_angles_are_held_against_the_widest_that_so_many_classes_can_have():
    cosines = {"cosine": {"means": [0.0]}, "spread": {"means": [0.5]}, "classes": 101, "dimension": 400}
    roomy = excess(cosines)[0]
    assert excess(cosines | {"dimension": None})[0] == roomy == pytest.approx((0.25 - 1e-4) ** 0.5)
    tight = (101 - 25) / (25 * 100)  # Welch's bound, squared
    assert excess(cosines | {"dimension": 25})[0] == pytest.approx((0.25 - tight) ** 0.5)
    assert excess(cosines | {"dimension": 25, "spread": {"means": [tight**0.5]}})[0] == 0


def test_the_score_is_the_worse_of_level_and_fall():
    assert score("nc1", {"nc1": [10.0, 0.05]}) == pytest.approx(0.5)
    assert score("nc1", {"nc1": [0.1, 0.05]}) == pytest.approx(5)
    assert score("nc4", {"nc4": [0.0, 0.0]}) > 1


def test_a_number_that_is_none_is_told():
    found = collapsed()
    found["collapse"][-1]["nc3"] = float("nan")
    with pytest.raises(InputError, match="not a number"):
        claims(found)


@pytest.mark.parametrize(("classes", "coarse", "seeds"), [(2, 2, [0]), (100, 20, [0, 1]), (10, 5, made.SEEDS)])
def test_figures_are_drawn_of_any_number_of_classes_and_networks(classes, coarse, seeds, tmp_path):
    study = made.STUDY.model_copy(update={"seeds": seeds})
    found = chapter(study, made.tables(made.results(classes, coarse, seeds=seeds), study))
    assert {picture.name for picture in found.pictures} == {"learning-curves", "collapse", "model"} | (
        {"angles"} if classes > 2 else set()
    )
    with style(study.report.style):
        for picture in found.pictures:
            save(picture.draw(), tmp_path / f"{picture.name}.png")


def test_the_last_epoch_has_a_tick_and_every_test_a_mark():
    found = chapter(made.STUDY, made.tables(collapsed()))
    with style(made.STUDY.report.style):
        learning, nc, *_ = (picture.draw() for picture in found.pictures)
    for axes in (*learning.axes, nc.axes[0]):
        assert axes.get_xticks()[-1] == 200 == axes.get_xlim()[1]
    tested = [line for line in learning.axes[0].lines if "test" in line.get_label()]
    assert all(len(line.get_xdata()) == 13 and line.get_marker() != "None" for line in tested)


def test_a_study_without_networks_of_its_own_has_no_chapter():
    study = made.STUDY.model_copy(update={"train": None})
    assert chapter(study, lambda name: []) is None


def test_a_training_set_that_was_fitted_and_lost_again_is_told():
    found = collapsed()
    sentences = chapter(made.STUDY, made.tables(found)).findings
    assert not any("lost it again" in sentence for sentence in sentences)
    for row in found["train-fine"]:
        if row["epoch"] > 100:
            row["train_accuracy"] = 0.91 if (row["epoch"], row["seed"]) == (150, 2) else 1.0
    (told,) = (one for one in chapter(made.STUDY, made.tables(found)).findings if "lost it again" in one)
    assert "1 of 3 networks on fine labels" in told
    assert "0.910 of its samples in epoch 150" in told
