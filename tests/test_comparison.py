"""All methods on vectors of the caller's own: what is compared, what it may depend on, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from hidden_structure.distillation import comparison, vectors
from hidden_structure.distillation.comparison import Samples, compare
from hidden_structure.distillation.methods import METHODS, Choice, Embeddings, splitter
from hidden_structure.frame import artifacts, params
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.values import DISTILLATIONS
from hidden_structure.tables.distillation import tabulate
from hidden_structure.training import loop

COARSE_OF = [0, 1, 0, 1]
SPLITTING = [name for name, method in METHODS.items() if method.taught and not (method.invented or method.hint)]


def planted(count: int, seed: int, scale: float = 1.0) -> Samples:
    """Four clouds in six dimensions; the last feature says nothing."""
    draw, labels = np.random.default_rng(seed), np.arange(count) % 4
    inputs = draw.normal(0, 1, (count, 6)) + 4 * np.eye(4, 6)[labels]
    inputs[:, 5] = 3
    return Samples(scale * inputs, labels)


SAMPLES = {"train": planted(120, 0), "test": planted(60, 1)}


def study(**distill) -> params.Study:
    own = {"teacher": "own", "teachers": [0, 1], "methods": ["alone", "kd", "lelp", "oracle"], **distill}
    recipe = {"epochs": 8, "batch_size": 24, "crop": 0, "flip": False, "snapshots": 2}
    sections = {"distill": tiny.OVERRIDES["distill"] | own, "train": recipe}
    hardware = {"device": "cpu", "precision": "float32", "threads": 1}
    return params.Study.model_validate(tiny.study(hardware=hardware, **sections))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("comparison")


@pytest.fixture(scope="module")
def found(folder) -> dict:
    return compare(SAMPLES, COARSE_OF, study(), folder)


def test_every_method_teacher_and_seed_has_a_student_that_learns_the_classes(found):
    tables = tabulate(study(), found.__getitem__)
    assert [(row["method"], row["teacher"]) for row in tables["students"]] == [
        (method, teacher) for method in ("alone", "kd", "lelp", "oracle") for teacher in (0, 1)
    ]
    assert all(row["accuracy"]["test"] > 0.7 for row in tables["students"])
    assert all(row["probe"] > 0.4 for row in tables["students"])  # of four hidden classes
    assert tables["teacher"][0]["images"] == 120


def test_a_finished_comparison_is_read_again_and_another_one_is_not_taken_for_it(found, folder, monkeypatch):
    monkeypatch.setattr(loop, "fit", None)
    assert compare(SAMPLES, COARSE_OF, study(), folder) == found
    with pytest.raises(TypeError):
        compare({**SAMPLES, "train": planted(120, 2)}, COARSE_OF, study(), folder)


def test_tensors_do_as_well_as_arrays(found, folder, monkeypatch):
    monkeypatch.setattr(loop, "fit", None)  # what was computed from arrays is read
    tensors = {split: Samples(*map(torch.from_numpy, vars(own).values())) for split, own in SAMPLES.items()}
    tensors["train"].inputs.requires_grad_()
    assert compare(tensors, COARSE_OF, study(), folder) == found


def test_the_unit_of_a_feature_is_of_no_consequence(found, tmp_path):
    scaled = {"train": planted(120, 0, 4.0), "test": planted(60, 1, 4.0)}
    assert compare(scaled, COARSE_OF, study(), tmp_path) == found


def test_only_oracles_see_the_original_classes(tmp_path):
    """Two that one class hides change places in a third of its samples."""
    labels = SAMPLES["train"].labels.copy()
    labels[:40] = np.where(labels[:40] % 2, labels[:40], 2 - labels[:40])
    others = {**SAMPLES, "train": replace(SAMPLES["train"], labels=labels)}
    own = study(teachers=[0], methods=["kd", "lelp", "oracle"], temperatures=[4.0])
    one, other = (compare(each, COARSE_OF, own, tmp_path)["distill"]["rows"] for each in (SAMPLES, others))
    assert [row == again for row, again in zip(one, other, strict=True)] == [True, True, False]


def test_vectors_are_normalised_by_the_training_samples_and_stay_as_they_are(tmp_path):
    arrays = {f"{split}_{name}": array for split, own in SAMPLES.items() for name, array in vars(own).items()}
    artifacts.write_arrays(tmp_path / "vectors.npz", arrays)
    inputs = vectors.read(tmp_path / "vectors.npz", study().hardware)
    images = inputs.images["train"]
    for _ in range(2):  # what normalises must not change what it reads
        found = images.normalise(images.pixels).flatten(1)
        torch.testing.assert_close(found[:, :5].mean(0), torch.zeros(5))
        torch.testing.assert_close(found[:, :5].std(0, correction=0), torch.ones(5))
        assert not found[:, 5].any()
    assert inputs.image_shape == (1, 1, 6)


@pytest.mark.parametrize("constant", [0.1, 0.001, 1234.567, 3e-30])
def test_a_feature_that_does_not_vary_is_zero_whatever_rounding_makes_of_its_deviation(constant, tmp_path):
    own = {split: np.where(np.arange(6) == 5, constant, each.inputs) for split, each in SAMPLES.items()}
    assert not normalised(own, tmp_path)[:, 5].any()


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 1e6), (1.0, -1e8), (1e-30, 0.0), (1e-60, 0.0), (1e60, 1e60)])
def test_features_far_from_zero_or_of_odd_units_keep_their_digits(scale, offset, tmp_path):
    plain = {split: each.inputs for split, each in SAMPLES.items()}
    (tmp_path / "plain").mkdir()
    expected = normalised(plain, tmp_path / "plain")
    found = normalised({split: scale * inputs + offset for split, inputs in plain.items()}, tmp_path)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def normalised(inputs: dict[str, np.ndarray], folder: Path) -> torch.Tensor:
    """The training samples as networks see them: (N, 6)."""
    arrays = {f"{split}_inputs": own for split, own in inputs.items()}
    arrays |= {f"{split}_labels": own.labels for split, own in SAMPLES.items()}
    artifacts.write_arrays(folder / "vectors.npz", arrays)
    images = vectors.read(folder / "vectors.npz", study().hardware).images["train"]
    return images.normalise(images.pixels).flatten(1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train": Samples(np.float64(3), np.arange(8) % 4)}, r"train: inputs must be floats \(N, d\)"),
        ({"train": Samples(np.zeros((8, 0)), np.arange(8) % 4)}, "train: inputs hold no feature"),
        (
            {"train": Samples([[1.0, 2.0], [3.0]], np.arange(2))},
            "train: inputs must be an array or a tensor of numbers",
        ),
        ({"test": Samples(np.full((8, 6), 1e200), np.arange(8) % 4)}, r"test: inputs hold 1e\+200, more than 1e\+100"),
        ({"train": Samples(np.full((8, 6), np.nan), np.arange(8) % 4)}, "train: inputs hold NaN or infinity"),
        ({"train": Samples(np.zeros((8, 6), int), np.arange(8) % 4)}, "train: inputs must be floats"),
        ({"test": Samples(np.zeros((8, 5)), np.arange(8) % 4)}, r"test: inputs must be floats \(N, 6\)"),
        ({"test": Samples(np.zeros((8, 6)), np.arange(7) % 4)}, r"test: labels must be int64 \(8,\)"),
        ({"test": Samples(np.zeros((8, 6)), np.arange(8))}, r"test: labels must lie in 0\.\.3"),
        ({"train": Samples(np.zeros((8, 6)), np.arange(8) % 3)}, "train: the original class 3 has no sample"),
    ],
)
def test_samples_that_do_not_fit_are_named(change, said, tmp_path):
    with pytest.raises(InputError, match=f"^{said}"):
        compare(SAMPLES | change, COARSE_OF, study(), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("coarse_of", [[0, 2, 0, 2], [0.0, 1.0, 0.0, 1.0], [0, 1, 0, 10**12], np.zeros(0, int)])
def test_classes_that_are_not_numbered_are_named(coarse_of, tmp_path):
    with pytest.raises(InputError, match=r"^coarse_of must number the classes"):
        compare(SAMPLES, coarse_of, study(), tmp_path)


def test_one_class_has_no_teacher(tmp_path):
    with pytest.raises(InputError, match="one class of all"):
        compare(SAMPLES, [0, 0, 0, 0], study(), tmp_path)


def test_what_vectors_cannot_have_is_named(tmp_path):
    with pytest.raises(InputError, match=r"^distill\.train: vectors have neither edges nor sides"):
        compare(SAMPLES, COARSE_OF, study(train=tiny.study()["train"] | {"crop": 1}), tmp_path)
    with pytest.raises(InputError, match=r"^distill\.teacher: of vectors there are no networks of a study"):
        compare(SAMPLES, COARSE_OF, study(teacher="coarse", merge=None), tmp_path)
    with pytest.raises(InputError, match=r"^train: is null"):
        compare(SAMPLES, COARSE_OF, study().model_copy(update={"train": None}), tmp_path)
    with pytest.raises(InputError, match=r"^distill: is null, so that there are no students"):
        compare(SAMPLES, COARSE_OF, study().model_copy(update={"distill": None}), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file is a file: name a folder"):
        compare(SAMPLES, COARSE_OF, study(), tmp_path / "file")
    with pytest.raises(InputError, match=r"^samples: test is missing"):
        compare({"train": SAMPLES["train"]}, COARSE_OF, study(), tmp_path)
    with pytest.raises(InputError, match=r"^train: give Samples\(inputs, labels\), got tuple"):
        compare({split: tuple(vars(own).values()) for split, own in SAMPLES.items()}, COARSE_OF, study(), tmp_path)


@pytest.mark.parametrize("method", SPLITTING)
def test_twenty_classes_of_five_are_split_by_every_method(method):
    """As the super-classes of CIFAR-100: of hidden clouds inside each class, in the directions that weights leave."""
    fine, draw = np.arange(1500) % 100, np.random.default_rng(0)
    means = np.concatenate([6 * np.repeat(np.eye(20), 5, 0), 6 * np.tile(np.eye(5), (20, 1))], 1)
    values = torch.from_numpy(means[fine] + draw.normal(0, 0.5, (1500, 25))).float()
    labels, weight = torch.from_numpy(fine // 5), torch.eye(20, 25)
    own = study(methods=list(DISTILLATIONS))
    embeddings = Embeddings(values, labels, weight, torch.from_numpy(fine), own.cluster)
    split = splitter(method, Choice(5, 0.5, 0.1, 1.0, 1.0, 0.3), embeddings, own.distill.lelp)
    every = torch.arange(1500)
    q = split(values, every)
    assert q.shape == (1500, 20, 1 if method == "kd" else 5)
    torch.testing.assert_close(q.sum(2), torch.ones(1500, 20))
    if method in ("oracle", "oracle-soft", "kmeans"):
        pieces = q[every, labels].argmax(1)
        agreeing = [len({*pieces[fine == one].tolist()}) == 1 for one in range(100)]
        assert np.mean(agreeing) > (0.8 if method == "kmeans" else 0.99)


@pytest.mark.parametrize(
    ("distill", "samples", "said"),
    [
        (
            {"batch": 1, "network": {"name": "mlp", "depth": 1, "width": 8, "norm": "batch"}},
            120,
            "distill.train.batch_size: one image has no variance",
        ),
        ({"batch": 115}, 120, "distill.train.batch_size: 115 is more than the 96 training samples"),
        ({"methods": ["kd", "kmeans"], "subclasses": [40]}, 60, "distill.subclasses: 40 are more than the 24"),
        ({"methods": ["kd", "lelp"]}, 61, "distill.methods: lelp needs 2 training samples of each class"),
        ({"methods": ["kd", "tsne-kmeans"]}, 63, "distill.methods: tsne-kmeans needs 4 training samples of each class"),
        ({"methods": ["kd", "lelp"], "subclasses": [40]}, 120, "lelp, with distill.subclasses 40"),
    ],
)
def test_what_students_cannot_be_taught_is_told_before_a_teacher_is_trained(tmp_path, distill, samples, said):
    own = study(**{name: value for name, value in distill.items() if name != "batch"})
    recipe = own.distill.train.model_copy(update={"batch_size": distill.get("batch", 24)})
    own = own.model_copy(update={"distill": own.distill.model_copy(update={"train": recipe})})
    train, coarse_of = planted(samples, 0), COARSE_OF
    if lone := samples % 60:  # the last ones are of a class of their own
        train, coarse_of = replace(train, labels=np.append(train.labels[:-lone], [4] * lone)), [0, 1, 0, 1, 2]
    with pytest.raises(InputError, match=said):
        compare({"train": train, "test": SAMPLES["test"]}, coarse_of, own, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_another_network_of_the_same_name_did_is_not_taken_up(tmp_path, monkeypatch):
    """In a notebook one edits a network and compares again."""
    monkeypatch.setattr(comparison, "distill", lambda plan, tasks: 1 / 0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "edited_nets.py").write_text(
        "from hidden_structure.networks.mlp import MLP\n\n\n"
        "def net(shape, classes):\n    return MLP(shape[2], classes, 1, 8, 'none')\n"
    )
    own = study(network={"name": "edited_nets:net", "depth": None, "width": None, "norm": None})
    names = []
    for edit in ("", "# wider\n"):
        with (tmp_path / "edited_nets.py").open("a") as file:
            file.write(edit)
        with pytest.raises(ZeroDivisionError):
            compare(SAMPLES, COARSE_OF, own, tmp_path / "work")
        names.append({path.name for path in (tmp_path / "work").iterdir()})
    assert len(names[1]) == 2


def test_where_work_is_kept_depends_on_the_number_of_threads_and_not_on_torchs_before(tmp_path, monkeypatch):
    """A notebook's cell that was interrupted goes on, and results of other threads are not taken for its own."""
    monkeypatch.setattr(comparison, "distill", lambda plan, tasks: 1 / 0)
    before, names = torch.get_num_threads(), []
    for threads, wanted in ((2, 1), (1, 1), (1, 2)):
        own = study().model_copy(update={"hardware": study().hardware.model_copy(update={"threads": wanted})})
        torch.set_num_threads(threads)
        with pytest.raises(ZeroDivisionError):
            compare(SAMPLES, COARSE_OF, own, tmp_path)
        names.append({path.name for path in tmp_path.iterdir()})
    torch.set_num_threads(before)
    assert names[0] == names[1]
    assert len(names[2]) == 2
