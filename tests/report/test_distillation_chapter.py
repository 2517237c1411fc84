"""The chapter on students: one criterion a question, paired over seeds, and preconditions that can fail."""

import copy

import pytest
import synthetic_students as synthetic

from hidden_structure.frame import params
from hidden_structure.report.claim import Claim
from hidden_structure.report.distillation.chapter import chapter
from hidden_structure.report.distillation.claims import best_rival
from hidden_structure.report.distillation.replications import names, of_method, unit
from hidden_structure.seeding import numpy_generator
from hidden_structure.tables.distillation import tabulate

STUDY = synthetic.studied(params.load(), teachers=[0, 1, 2, 3], seeds=[0, 1])
GAINS = ("kd", "lelp", "rival", "oracle", "soft", "soft-oracle")


def made(
    levels: dict | None = None, study=STUDY, teacher: float = 0.97, gap: float = 0.1, wider: float = 0.0, tested=1000
):
    """levels: method -> test accuracy about which its students scatter, instead of the synthetic ones."""
    found, draw = copy.deepcopy(synthetic.distill(study)), numpy_generator("students")
    for row in found["teachers"]:
        row["test_accuracy"] = teacher
    for row in found["rows"]:
        if levels:
            shared = 0.02 * row["seed"] + 0.01 * row["teacher"]
            row["test_accuracy"] = levels[row["method"]] + shared + 0.001 * float(draw.normal())
        row["train_accuracy"] = row["test_accuracy"] + gap + wider * (row["teacher"] % 2)
    labels = {"fine": {"train_counts": {"a": 1000}}}
    tables = tabulate(study, {"distill": found, "students": synthetic.students(study), "labels": labels}.get)
    tables["classes"] = [{"test": tested}]
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
    levels = dict.fromkeys(synthetic.LEVEL, 0.7) | {"kd": 0.72, "lelp": 0.75, "oracle": 0.8, "oracle-soft": 0.82}
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
    rows = [{"method": method, "seed": 0, "accuracy": {"test": levels[method]}} for method in levels]
    assert best_rival(rows) == "kmeans"
    assert best_rival([row for row in rows if row["method"] in ("kd", "lelp")]) is None


def test_a_poor_teacher_leaves_nothing_to_say_and_without_a_gap_nothing_is_the_sources():
    """Underfitted students may gain by pieces, too; but those of the source close a gap."""
    poor, full, plain = claims(teacher=0.6), claims(gap=0.0), claims()
    for name in ("lelp", "rival", "oracle"):
        assert "distillation.teacher" in poor[name].unmet
        assert (plain[name].kind, full[name].kind) == ("published", "ours")
        assert full[name].verdict == plain[name].verdict == "supported"
    assert full["gap"].verdict == "contradicted"
    assert full["kd"].kind == "published"  # soft labels teach what is not in the labels, gap or not
    assert any("a question of our own" in sentence for sentence in made(gap=0.0).findings)
    assert not any("a question of our own" in sentence for sentence in made().findings)
    assert any("Not every teacher is properly trained" in sentence for sentence in made(teacher=0.6).findings)
    assert not any("properly trained" in sentence for sentence in made().findings)


def test_a_gap_that_is_not_decided_is_not_the_sources_either():
    results = made(gap=0.01, wider=0.015)
    assert {claim.id: claim.verdict for claim in results.claims}["distillation.gap"] == "undecided"
    assert {claim.id: claim.kind for claim in results.claims}["distillation.lelp"] == "ours"
    assert any("are not shown to be students" in sentence for sentence in results.findings)


def test_the_gap_is_that_of_students_alone_where_there_are_any():
    """KD may have closed it already; without students alone there is nothing but KD to go by."""
    found = claims()["gap"]
    assert "students alone" in found.criterion.quantity
    assert "by KD" in claims(study=synthetic.studied(params.load(), methods=["kd", "lelp"]))["gap"].criterion.quantity


def test_a_method_that_was_not_run_is_not_assessable():
    study = synthetic.studied(params.load(), methods=["kd", "lelp"])
    found = claims(study=study)
    assert found["lelp"].values
    missing = {"kd", "rival", "oracle", "random", "soft", "soft-oracle"}
    assert {found[name].verdict for name in missing} == {"not assessable"}
    assert [picture.draw() for picture in made(study=study).pictures]


def test_what_was_published_stands_beside_its_own_labels_alone():
    assert all(claim.published is None for claim in made().claims)
    content = STUDY.model_dump()
    content["data"] |= {"source": "cifar100"}
    content["distill"]["merge"] = {"method": "modulo", "classes": 2, "groups": None, "seed": 0}
    published = {name: claim.published for name, claim in claims(study=type(STUDY).model_validate(content)).items()}
    assert published["lelp"].value == pytest.approx(0.0704)
    assert all("ResNet" in one.setting for one in published.values() if one)


def test_a_gain_of_an_image_or_two_is_not_judged():
    assert claims()["lelp"].verdict == "supported"
    found = claims(tested=359)
    assert {found[name].verdict for name in (*GAINS[1:], "random")} == {"not assessable"}
    assert found["lelp"].unmet == "0.005 of 359 test images are 1.8, too few to tell"


def test_a_study_without_students_has_no_chapter():
    assert chapter(STUDY, lambda name: []) is None


def test_every_figure_is_drawn_and_says_what_its_marks_are():
    found = made()
    drawn = {picture.name: picture.draw() for picture in found.pictures}
    assert drawn.keys() == {"students", "gaps", "inheritance", "subclasses"}
    for figure in drawn.values():
        assert not any(axes.get_title() for axes in figure.axes)
        assert figure.legends
    left, right = drawn["students"].axes
    assert left.get_xlim() == (0.5, 1.0)  # from chance, whatever was reached
    assert len(right.containers) == len(synthetic.LEVEL)  # KD among them
    assert {text.get_text() for text in drawn["inheritance"].legends[0].texts} >= {
        "classes left whole",
        "KD, by clusters",
    }
    (axes,) = drawn["subclasses"].axes
    assert axes.get_xscale() == "linear"
    numbers, teachers = found.numbers
    assert len(numbers.rows) == len(synthetic.LEVEL)
    assert len(teachers.rows) == 4
    for each in found.numbers:
        assert all(len(row) == len(each.columns) for row in each.rows)


def test_gains_at_several_lengths_of_training_are_drawn_over_epochs():
    study = synthetic.studied(params.load(), epochs=[20, 80])
    (figure,) = (picture.draw() for picture in made(study=study).pictures if picture.name == "gaps")
    _, right = figure.axes
    assert [tick.get_text() for tick in right.get_xticklabels()] == ["8", "20", "80"]
    assert len(right.lines) == len(synthetic.LEVEL) - 1 + 1  # all but KD, and the line at 0
    assert len(made().pictures[1].draw().axes) == 1


def rows_of(teachers: list[int | None], seeds: list[int]) -> list[dict]:
    """By methods a and b, whose quantity is told apart by teacher, seed and method."""
    quantity = {"a": 100, "b": 200}
    return [
        {"method": m, "teacher": t, "seed": s, "q": quantity[m] + 10 * (t or 0) + s}
        for m in quantity
        for t in teachers
        for s in seeds
    ]


def test_three_teachers_are_the_replications_and_their_students_are_averaged():
    rows = rows_of([0, 1, 2], [3, 5])
    assert of_method(rows, lambda row: row["q"]) == {"a": [104, 114, 124], "b": [204, 214, 224]}
    assert names(rows) == ("0", "1", "2")
    assert unit(rows) == "one replication is a teacher, its 2 students averaged"


def test_two_teachers_are_none_but_every_student_of_theirs_is():
    rows = rows_of([0, 1], [3, 5])
    assert of_method(rows[::-1], lambda row: row["q"])["a"] == [103, 105, 113, 115]  # whatever the order
    assert names(rows) == ("0-3", "0-5", "1-3", "1-5")
    assert unit(rows).endswith("nothing of other teachers")


def test_tables_that_name_no_teacher_are_of_one():
    rows = [{name: value for name, value in row.items() if name != "teacher"} for row in rows_of([None], [0, 1, 2])]
    assert of_method(rows, lambda row: row["q"])["b"] == [200, 201, 202]
    assert names(rows) == ("0", "1", "2")
    assert "this teacher" in unit(rows)


def test_what_teachers_do_to_gains_widens_the_interval():
    """Many students of few teachers are no substitute: the interval is that over teachers."""
    found = copy.deepcopy(synthetic.distill(study := synthetic.studied(params.load(), seeds=list(range(20)))))
    for row in found["rows"]:
        row["test_accuracy"] = 0.7 + (0.05 * (row["teacher"] - 1) if row["method"] == "lelp" else 0.0)
        row["train_accuracy"] = 0.9
    labels = {"fine": {"train_counts": {"a": 1000}}}
    tables = tabulate(study, {"distill": found, "students": synthetic.students(study), "labels": labels}.get)
    (lelp,) = (one for one in chapter(study, lambda name: tables.get(name, [])).claims if one.id.endswith(".lelp"))
    low, high = lelp.row()["interval"]
    assert lelp.row()["n"] == 3
    assert high - low > 0.2


def test_tables_of_earlier_studies_are_still_drawn():
    """One teacher that is not named, no softness, no probe: what they lack is left out."""
    study = synthetic.studied(params.load(), teachers=[0])
    results = {"distill": synthetic.distill(study), "students": synthetic.students(study)}
    found = tabulate(study, (results | {"labels": {"fine": {"train_counts": {"a": 1000}}}}).get)
    for row in found["students"]:
        for name in ("teacher", "epochs", "gap", "within", "probe"):
            del row[name]
    for row in found["teacher"]:
        del row["train_accuracy"], row["augmented_accuracy"]
    for row in found["distilled"]:
        del row["softness"], row["tried"]
    for row in found["tuning"]:
        del row["softness"], row["accuracies"]
    drawn = chapter(STUDY, lambda name: found.get(name, []))
    assert all(picture.draw() for picture in drawn.pictures)
    assert [numbers.name for numbers in drawn.numbers] == ["distilled"]
    assert {claim.row()["n"] for claim in drawn.claims if claim.kind == "published"} == {3}
