"""Tables of students: every method with its label and source, every student with what it keeps."""

import pytest
import synthetic_students as synthetic

from hidden_structure.distillation.methods import METHODS
from hidden_structure.frame import params, tables
from hidden_structure.frame.errors import InputError
from hidden_structure.tables.distillation import tabulate

STUDY = synthetic.studied(params.load())
LABELS = {"fine": {"train_counts": {"a": 60, "b": 40}}}
RESULTS = {"distill": synthetic.distill(STUDY), "students": synthetic.students(STUDY), "labels": LABELS}


def test_every_table_is_written_and_read_as_it_was(tmp_path):
    for name, rows in tabulate(STUDY, RESULTS.get).items():
        tables.write(tmp_path / f"{name}.csv", rows)
        assert len(tables.read(tmp_path / f"{name}.csv")) == len(rows) > 0


def test_methods_come_in_one_order_and_say_what_they_are():
    found = tabulate(STUDY, RESULTS.get)
    assert [row["method"] for row in found["distilled"]] == list(METHODS)
    assert all((row["label"], row["source"]) == _described(row["method"]) for row in found["distilled"])
    assert len(found["students"]) == len(METHODS) * 9  # of three teachers three each
    assert len(found["tuning"]) == len(RESULTS["distill"]["tried"])
    assert [row["seed"] for row in found["teacher"]] == STUDY.distill.teachers
    assert found["teacher"][0]["held_out"] == STUDY.distill.held_out(100) == round(100 * STUDY.distill.validation)
    assert "lengths" not in found


def test_at_least_one_image_is_held_out():
    study = synthetic.studied(params.load(), validation=1e-4)
    made = {"distill": synthetic.distill(study), "students": synthetic.students(study), "labels": LABELS}
    assert tabulate(study, made.get)["teacher"][0]["held_out"] == 1


def test_a_method_says_what_its_tuning_cost():
    found = {row["method"]: row["tried"] for row in tabulate(STUDY, RESULTS.get)["distilled"]}
    assert found["alone"] == 0 < found["kd"] < found["oracle"] == found["oracle-soft"] < found["lelp"]
    assert len({found[method] for method in ("lelp", "lelp-hard", "kmeans", "kmeans-soft", "random")}) == 1


def test_other_lengths_of_training_are_a_table_of_their_own(tmp_path):
    study = synthetic.studied(params.load(), epochs=[40, 20])
    made = {"distill": synthetic.distill(study), "students": synthetic.students(study), "labels": LABELS}
    found = tabulate(study, made.get)
    assert found["students"] == tabulate(STUDY, RESULTS.get)["students"]
    assert [row["epochs"] for row in found["lengths"]] == [20] * 9 * len(METHODS) + [40] * 9 * len(METHODS)
    assert all(row["gap"] == row["accuracy"]["train"] - row["accuracy"]["test"] for row in found["lengths"])


def test_without_students_there_are_no_tables():
    assert tabulate(STUDY, {}.get) == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"students": None}, "what they keep"),
        ({"students": RESULTS["students"] | {"rows": []}}, "keeps"),
        ({"distill": RESULTS["distill"] | {"rows": RESULTS["distill"]["rows"][:-1]}}, "oracle-soft lack a student"),
    ],
)
def test_what_is_missing_is_named(change: dict, message: str):
    with pytest.raises(InputError, match=message):
        tabulate(STUDY, (RESULTS | change).get)


def _described(method: str) -> tuple[str, str]:
    return METHODS[method].label, METHODS[method].source
