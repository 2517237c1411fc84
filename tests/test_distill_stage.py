"""Both stages of distillation: what they write, that kills and repetition change nothing, and what they refuse."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from sklearn.metrics import adjusted_mutual_info_score

from hidden_structure.distillation.methods import METHODS as TABLE
from hidden_structure.distillation.methods import TRIED, Choice
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.values import DISTILLATIONS
from hidden_structure.networks.build import build
from hidden_structure.seeding import global_seed
from hidden_structure.training import loop

METHODS = tiny.OVERRIDES["distill"]["methods"]
METRICS = [paths.results(name) for name in ("distill", "hardware-distill")]
COMPARED = paths.results("students")


def prepare(folder: Path, sections: dict | None = None, **distill) -> Path:
    folder.mkdir(exist_ok=True)
    tiny.write_params(folder, **({"distill": tiny.OVERRIDES["distill"] | distill} | (sections or {})))
    tiny.write_data(folder)
    return folder


def stage(folder: Path, script: str = "distill.py") -> SimpleNamespace:
    return tiny.in_process(folder, script)


def run(folder: Path) -> Path:
    for script in ("distill.py", "compare_students.py"):
        done = stage(folder, script)
        assert done.returncode == 0, done.stderr
    return folder


def results(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for top in (paths.STUDENTS, paths.RESULTS)
        for path in sorted((folder / top).rglob("*"))
        if path.is_file()
    }


def metrics(folder: Path, path: Path = METRICS[0]) -> dict:
    return artifacts.read_json(folder / path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Every method, two teachers, and a student of an older run that is no longer one."""
    own = {"seeds": [0], "teachers": [0, 3], "epochs": [2], "tuning_seeds": [7, 8, 9]}
    own |= {"hint": [0.5, 1.0], "contrast": [0.3, 0.1]}
    folder = prepare(tmp_path_factory.mktemp("distill"), methods=list(DISTILLATIONS), **own)
    stale = folder / paths.student("kd", 0, 99)
    stale.parent.mkdir(parents=True)
    stale.write_text("of another run")
    return run(folder)


def test_every_method_and_seed_has_a_student_and_a_row_and_nothing_else_is_left(folder):
    found, expected = metrics(folder), [(method, teacher, 0) for method in DISTILLATIONS for teacher in (0, 3)]
    for rows, epochs in ((found["rows"], 12), (found["lengths"], 2)):
        assert [(row["method"], row["teacher"], row["seed"]) for row in rows] == expected
        assert {row["epochs"] for row in rows} == {epochs}
    longer, shorter = (np.mean([row["train_accuracy"] for row in found[name]]) for name in ("rows", "lengths"))
    assert longer > shorter
    students = {path.relative_to(folder) for path in (folder / paths.STUDENTS).rglob("*") if path.is_file()}
    assert students == {paths.student(*each) for each in expected}
    assert not list((folder / paths.RESUME).iterdir())
    assert metrics(folder, METRICS[1])["device"]


def test_a_row_names_the_hyperparameters_that_its_method_has_and_its_outputs(folder):
    whole = {"alone", "labels", "kd", "fitnet"}
    for row in metrics(folder)["rows"]:
        named = {name for name in TRIED if row[name] is not None}
        assert named == set(TABLE[row["method"]].hyperparameters)
        pieces = 1 if row["method"] in whole else 5 if row["method"].startswith("oracle") else 2
        assert row["outputs"] == 2 * pieces
        assert 0 <= row["test_accuracy"] <= 1


def _choice(row: dict) -> Choice:
    return Choice(**{name: row[name] for name in TRIED})


def test_what_was_chosen_did_best_of_what_was_tried(folder):
    found = metrics(folder)
    for method in DISTILLATIONS:
        tried = {_choice(row): row["accuracy"] for row in found["tried"] if row["method"] == method}
        (chosen,) = {_choice(row) for row in found["rows"] if row["method"] == method}
        if method == "alone":
            assert not tried
        else:
            assert {row.temperature for row in tried} == {1.0, 4.0}
            assert chosen == max(tried, key=tried.get)
        hints, contrasts = ({getattr(row, name) for row in tried} for name in ("hint", "contrast"))
        assert hints == ({0.5, 1.0} if method == "fitnet" else {None} if tried else set())
        assert contrasts == ({0.3, 0.1} if method == "subclass" else {None} if tried else set())
    for row in found["tried"]:
        assert len(row["accuracies"]) == 3  # one a tuning seed, of the teachers in turn
        assert row["accuracy"] == pytest.approx(np.mean(row["accuracies"]))


def test_a_students_file_holds_what_its_row_says(folder):
    """Features and the last layer of its file give its accuracy, once pieces are merged."""
    data = artifacts.read_arrays(folder / paths.labels("fine"))
    coarse_of = np.array(metrics(folder)["coarse_of"])
    assert coarse_of.tolist() == [0, 1] * 5
    for row in metrics(folder)["rows"]:
        tensors = artifacts.read_tensors(folder / paths.student(row["method"], row["teacher"], row["seed"]))
        assert set(tensors) == {"weight", "bias", "pieces", "train", "test"}
        assert tensors["weight"].shape == (row["outputs"], 8)
        for split in ("train", "test"):
            logits = tensors[split] @ tensors["weight"].T + tensors["bias"]
            probabilities = (logits / (row["temperature"] or 1.0)).softmax(1).unflatten(1, (2, -1)).sum(2)
            right = probabilities.argmax(1).numpy() == coarse_of[data[split]]
            assert row[f"{split}_accuracy"] == pytest.approx(right.mean(), abs=2 / len(right))


def test_students_of_these_images_learn_their_classes(folder):
    found = metrics(folder)
    assert [row["seed"] for row in found["teachers"]] == [0, 3]
    for row in found["teachers"]:
        assert row["classes"] == 2
        assert row["test_accuracy"] > 0.9
        assert row["train_accuracy"] > 0.5
        assert row["augmented_accuracy"] > 0.5  # as students see them, shifted by a pixel
        assert 0 <= row["inventing_accuracy"] <= 1
    assert np.mean([row["train_accuracy"] for row in found["rows"] if row["method"] == "kd"]) > 0.8


def test_pieces_and_features_of_every_student_are_compared_with_the_original_classes(folder):
    found, fine = metrics(folder, COMPARED)["rows"], artifacts.read_arrays(folder / paths.labels("fine"))["train"]
    expected = [(method, teacher, 0) for method in DISTILLATIONS for teacher in (0, 3)]
    assert [(row["method"], row["teacher"], row["seed"]) for row in found] == expected
    meaning = {row["method"]: row["pieces"] for row in found}
    assert meaning["oracle"] == pytest.approx(1)
    assert meaning["oracle-soft"] > 0.9
    assert meaning["kmeans"] > meaning["random"] + 0.1
    assert abs(meaning["random"]) < 0.1
    for method in ("alone", "labels", "kd", "fitnet"):
        assert meaning[method] == 0
    pieces = artifacts.read_tensors(folder / paths.student("kmeans", 3, 0))["pieces"].numpy()
    within = [adjusted_mutual_info_score(fine[fine % 2 == c], pieces[fine % 2 == c]) for c in (0, 1)]
    assert meaning["kmeans"] == pytest.approx(np.mean(within))  # of classes of one size
    for row in found:
        assert row["purity"] >= 0.1
        assert row["probe_accuracy"] > 0.2  # these classes differ in their pixels
        assert -0.1 < row["information"] <= 1


def test_other_methods_and_seeds_change_no_student(folder, tmp_path):
    run(prepare(tmp_path / "few", methods=["lelp", "kd"]))
    few = results(tmp_path / "few")
    for method in ("lelp", "kd"):
        path = str(paths.student(method, 0, 0))
        assert few[path] == results(folder)[path]


def test_a_training_of_other_params_is_not_taken_up(tmp_path):
    """Killed, and started again after a change: as if it had never run."""
    changed = {"contrast": 0.7, "hint": 2.0, "validation": 0.3}
    fresh = run(prepare(tmp_path / "fresh", methods=["kd"], **changed))
    killed, step, taken = prepare(tmp_path / "killed", methods=["kd"]), loop.step, []

    def dies(*arguments):
        taken.append(None)
        if len(taken) == 200:
            raise tiny.Killed
        return step(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "step", dies)
        with pytest.raises(tiny.Killed):
            stage(killed)
    run(prepare(killed, methods=["kd"], **changed))
    assert results(killed) == results(fresh)


def test_params_that_other_stages_use_do_not_change_the_students(tmp_path):
    sections = {"spawn": tiny.OVERRIDES["spawn"] | {"spawned": 2}, "seeds": [0, 1, 2]}
    first, second = prepare(tmp_path / "a"), prepare(tmp_path / "b", sections)
    assert results(run(first)) == results(run(second))


def test_the_coarse_network_of_the_study_can_be_the_teacher(tmp_path):
    folder = prepare(tmp_path, teacher="coarse", merge=None, methods=["kd"])
    missing = stage(folder)
    assert missing.returncode == 1
    assert "artifacts/models/coarse/0.safetensors" in missing.stderr
    assert "\n" not in missing.stderr
    with global_seed("any"):
        network = build(params.load(folder / "params.yaml").network, (8, 8, 1), 5)
    artifacts.write_tensors(folder / paths.model("coarse", 0), network.state_dict())
    run(folder)
    found = metrics(folder)
    assert found["teachers"][0]["classes"] == 5
    assert found["coarse_of"] == [0, 1, 2, 3, 4] * 2
    data, coarse = (artifacts.read_arrays(folder / path) for path in (paths.DATA, paths.labels("coarse")))
    images = (torch.from_numpy(data["test_images"]).float() / 255 - data["mean"][0]) / data["std"][0]
    with torch.no_grad():
        right = network(images.permute(0, 3, 1, 2).float()).argmax(1).numpy() == coarse["test"]
    assert found["teachers"][0]["test_accuracy"] == pytest.approx(right.mean(), abs=2 / 320)


def test_without_the_part_there_is_nothing_and_nothing_is_read(tmp_path):
    tiny.write_params(tmp_path, distill=None)
    run(tmp_path)
    assert [(tmp_path / path).read_bytes() for path in (*METRICS, COMPARED)] == [b"null\n"] * 3
    assert not list((tmp_path / paths.STUDENTS).iterdir())


@pytest.mark.parametrize(
    ("sections", "distill", "message"),
    [
        ({}, {"tuning_seeds": [5, 0]}, "distill.tuning_seeds: 0 is among seeds"),
        ({}, {"softnesses": [0.1, 0.2]}, "distill.softnesses: 2 for hard pieces, and 1 betas"),
        ({}, {"epochs": [12]}, "distill.epochs: 12 is the recipe's own"),
        ({"train": tiny.OVERRIDES["train"] | {"clean": 2}}, {"tuning": 1}, "distill.tuning: 1 are fewer"),
        ({}, {"methods": ["lelp"]}, "kd is what all are compared with"),
        ({}, {"methods": ["kd", "magic"]}, "distill.methods"),
        (
            {},
            {"methods": ["kd", "lelp"], "subclasses": [31]},
            "lelp, with distill.subclasses 31: subclasses: 31 pieces need as many axes",
        ),
        ({}, {"methods": ["kd", "kmeans"], "subclasses": [161]}, "kmeans, with distill.subclasses 161: "),
        ({}, {"validation": 0.99}, "train.batch_size"),
        ({}, {"network": tiny.OVERRIDES["network"] | {"norm": "group"}}, "network.norm"),
        ({}, {"merge": {"method": "superclass", "classes": None, "groups": None, "seed": 0}}, "superclass"),
        ({"train": tiny.OVERRIDES["train"] | {"lr": 1e3}}, {}, "lower train.lr"),
        ({"train": tiny.OVERRIDES["train"] | {"batch_size": 1000}}, {}, "train.batch_size: 1000"),
        ({"hardware": {"device": "cuda", "precision": "auto"}}, {}, "cuda"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_writes_no_metrics(tmp_path, sections, distill, message):
    if "hardware" in sections and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = stage(prepare(tmp_path, sections, **distill))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "\n" not in done.stderr
    assert not (tmp_path / METRICS[0]).exists()


def test_a_coarse_teacher_is_a_network_of_the_study(tmp_path):
    folder = prepare(tmp_path, teacher="coarse", merge=None, teachers=[0, 8])
    with pytest.raises(InputError, match=r"distill\.teachers: 8 is no seed of the study"):
        params.load(folder / "params.yaml")


@pytest.mark.parametrize("method", ["lelp", "random-projections"])
def test_embeddings_without_room_for_the_pieces_are_refused_before_anything_is_trained(method, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "fit", None)
    merge = {"method": "modulo", "classes": 8, "groups": None, "seed": 0}
    network = tiny.OVERRIDES["network"] | {"width": 8}
    folder = prepare(tmp_path, {"network": network}, merge=merge, methods=["kd", method], subclasses=[2])
    message = stage(folder).stderr
    assert message.startswith(f"error: {method}, with distill.subclasses 2: ")
    assert "embeddings of 8 dimensions, less 8 that its output weights read" in message
    assert "distill.lelp.null_space: false" in message


def test_students_that_are_not_there_are_one_line(tmp_path):
    done = stage(prepare(tmp_path), "compare_students.py")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {METRICS[0]}")
    artifacts.write_json(tmp_path / METRICS[0], {"coarse_of": [0, 1] * 5})
    done = stage(tmp_path, "compare_students.py")
    assert done.stderr.startswith(f"error: {paths.student(METHODS[0], 0, 0)}")
    assert "\n" not in done.stderr
