"""The chapter on students: one criterion a question, paired over seeds, and preconditions that can fail."""

import copy

import pytest
import synthetic_students as synthetic

from hidden_structure.frame import params
from hidden_structure.report.claim import Claim
from hidden_structure.report.distillation.chapter import chapter
from hidden_structure.report.distillation.claims import best_rival
from hidden_structure.seeding import numpy_generator
from hidden_structure.tables.distillation import tabulate

STUDY = synthetic.studied(params.load(), seeds=[0, 1, 2, 3])
GAINS = ("kd", "lelp", "rival", "oracle")


def made(levels: dict | None = None, study=STUDY, teacher: float = 0.97, gap: float = 0.1):
    """levels: method -> test accuracy about which its students scatter, instead of the synthetic ones."""
    found, draw = copy.deepcopy(synthetic.distill(study)), numpy_generator("students")
    found["teacher"]["test_accuracy"] = teacher
    for row in found["rows"]:
        if levels:
            row["test_accuracy"] = levels[row["method"]] + 0.02 * row["seed"] + 0.001 * float(draw.normal())
        row["train_accuracy"] = row["test_accuracy"] + gap
    labels = {"fine": {"train_counts": {"a": 1000}}}
    tables = tabulate(study, {"distill": found, "students": synthetic.students(study), "labels": labels}.get)
    return chapter(study, lambda name: tables.get(name, []))


def claims(*args, **changed) -> dict[str, Claim]:
    return {claim.id.partition(".")[2]: claim for claim in made(*args, **changed).claims}


def test_every_question_has_one_claim_of_its_own():
    found = made().claims
    assert len({claim.id for claim in found}) == len(found)
    assert all(claim.values and claim.idea == "distillation" for claim in found)
    assert (
        sum("LELP less KD" in claim.criterion.quantity and "test" in claim.criterion.quantity for claim in found) == 1
    )


def test_gains_are_paired_so_that_what_a_seed_does_to_all_does_not_hide_them():
    levels = dict.fromkeys(synthetic.LEVEL, 0.7) | {"kd": 0.72, "lelp": 0.75, "oracle": 0.8, "random": 0.7}
    found = claims(levels)
    assert {name: found[name].verdict for name in (*GAINS, "random")} == dict.fromkeys((*GAINS, "random"), "supported")


def test_students_who_all_learn_the_same_gain_nothing():
    found = claims(dict.fromkeys(synthetic.LEVEL, 0.7))
    assert {found[name].verdict for name in GAINS} == {"contradicted"}
    assert found["random"].verdict == "supported"


def test_pieces_at_random_that_help_are_reported():
    assert claims(dict.fromkeys(synthetic.LEVEL, 0.7) | {"random": 0.75})["random"].verdict == "contradicted"


def test_lelp_is_held_against_the_best_of_the_others():
    levels = dict.fromkeys(synthetic.LEVEL, 0.7) | {"lelp": 0.75, "kmeans": 0.78, "fitnet": 0.9, "oracle": 0.9}
    assert claims(levels)["rival"].verdict == "contradicted"
    rows = [{"method": method, "accuracy": {"test": levels[method]}} for method in levels]
    assert best_rival(rows) == "kmeans"
    assert best_rival([row for row in rows if row["method"] in ("kd", "lelp")]) is None


def test_a_poor_teacher_or_no_gap_leaves_nothing_to_say():
    poor, full = claims(teacher=0.6), claims(gap=0.0)
    for name in ("lelp", "rival", "oracle"):
        assert "distillation.teacher" in poor[name].unmet
        assert "distillation.gap" in full[name].unmet
    assert full["kd"].unmet == ""  # soft labels teach what is not in the labels, gap or not
    assert any("not properly trained" in sentence for sentence in made(teacher=0.6).findings)
    assert not any("properly trained" in sentence for sentence in made().findings)


def test_a_method_that_was_not_run_is_not_assessable():
    study = synthetic.studied(params.load(), methods=["kd", "lelp"])
    found = claims(study=study)
    assert found["lelp"].values
    assert {found[name].verdict for name in ("kd", "rival", "oracle", "random")} == {"not assessable"}
    assert [picture.draw() for picture in made(study=study).pictures]


def test_what_was_published_stands_beside_its_own_labels_alone():
    assert all(claim.published is None for claim in made().claims)
    content = STUDY.model_dump()
    content["data"] |= {"source": "cifar100"}
    content["distill"]["merge"] = {"method": "modulo", "classes": 2, "groups": None, "seed": 0}
    published = {name: claim.published for name, claim in claims(study=type(STUDY).model_validate(content)).items()}
    assert published["lelp"].value == pytest.approx(0.0704)
    assert all("ResNet" in one.setting for one in published.values() if one)


def test_a_study_without_students_has_no_chapter():
    assert chapter(STUDY, lambda name: []) is None


def test_every_figure_is_drawn_and_says_what_its_marks_are():
    found = made()
    drawn = {picture.name: picture.draw() for picture in found.pictures}
    assert drawn.keys() == {"students", "inheritance", "subclasses"}
    for figure in drawn.values():
        assert not any(axes.get_title() for axes in figure.axes)
        assert figure.legends
    left, right = drawn["students"].axes
    assert left.get_xlim() == (0.5, 1.0)  # from chance, whatever was reached
    assert len(right.containers) == len(synthetic.LEVEL)  # KD among them
    assert {text.get_text() for text in drawn["inheritance"].legends[0].texts} >= {"classes left whole", "KD"}
    (axes,) = drawn["subclasses"].axes
    assert axes.get_xscale() == "linear"
    (numbers,) = found.numbers
    assert len(numbers.rows) == len(synthetic.LEVEL)
    assert all(len(row) == len(numbers.columns) for row in numbers.rows)
