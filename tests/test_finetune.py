"""Networks of two tasks: which classes, what accuracies are, what adding task vectors is, and the stage."""

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from hidden_structure.connectivity.line import interpolate
from hidden_structure.finetuning.arithmetic import add, task_vector
from hidden_structure.finetuning.classes import accuracies, tasks_of
from hidden_structure.finetuning.networks import pairs, runs
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.networks.build import initialise
from hidden_structure.seeding import numpy_generator, torch_generator
from hidden_structure.tables.linearity import bend

SETTINGS = params.load().finetune


def split(classes: int, **changed) -> dict[str, list[int]]:
    names = [f"class {label}" for label in range(classes)]
    found = tasks_of(SETTINGS.model_copy(update=changed), names)
    return {task: own.tolist() for task, own in found.items()}


@given(st.integers(2, 6), st.integers(4, 30))
def test_tasks_are_equal_parts_that_share_no_class(parts, classes):
    if classes // parts < 2:
        with pytest.raises(InputError, match=rf"^finetune.parts: {parts} parts of {classes} classes"):
            split(classes, parts=parts)
        return
    first, second = split(classes, parts=parts).values()
    assert first + second == list(range(2 * (classes // parts)))
    assert len(first) == len(second)


def test_tasks_may_be_given_by_name_in_any_order():
    named = [["class 4", "class 1"], ["class 0", "class 3", "class 2"]]
    assert split(6, tasks=named) == {"first": [1, 4], "second": [0, 2, 3]}


def test_within_a_task_the_classes_of_the_other_do_not_count():
    tasks = {"first": np.array([0, 2]), "second": np.array([1, 3])}
    labels = np.array([0, 2, 1, 3])
    logits = np.array([[2.0, 3, 1, 0], [0, 0, 1, 0], [0, 1, 9, 2], [5, 1, 0, 2]])
    found = accuracies(logits, labels, tasks)
    assert found["first"] == {"all": 0.5, "within": 1.0}
    assert found["second"] == {"all": 0.0, "within": 0.5}
    assert found["both"] == {"all": 0.25, "within": 0.75}


@given(st.integers(0, 99))
def test_a_network_that_is_right_among_all_classes_is_right_within_its_task(seed):
    generator = numpy_generator("accuracies", seed)
    logits, labels = generator.normal(size=(30, 6)), np.arange(30) % 6
    found = accuracies(logits, labels, {"first": np.arange(3), "second": np.arange(3, 6)})
    assert all(one["all"] <= one["within"] for one in found.values())
    assert found["both"]["all"] == pytest.approx((found["first"]["all"] + found["second"]["all"]) / 2)


def states(count: int) -> list[dict]:
    network = params.Network(name="mlp", depth=1, width=6, norm="batch")
    found = []
    for seed in range(count):
        state = initialise(network, (4, 4, 1), 3, seed).state_dict()
        draw = torch_generator("statistics", seed)
        found.append({name: tensor.clone() for name, tensor in state.items()})
        for name, tensor in found[-1].items():
            if "running" in name:
                tensor.copy_(torch.rand(tensor.shape, generator=draw))
    return found


def test_half_of_both_task_vectors_is_the_mean_of_both_networks():
    origin, a, b = states(3)
    vectors = [task_vector(end, origin) for end in (a, b)]
    added, mean = add(origin, vectors, 0.5), interpolate(a, b, 0.5)
    assert added.keys() == mean.keys()
    for name, tensor in mean.items():
        torch.testing.assert_close(added[name], tensor)


def test_no_vector_leaves_the_origin_and_one_whole_gives_its_network():
    origin, a, b = states(3)
    vectors = [task_vector(end, origin) for end in (a, b)]
    before = {name: tensor.clone() for name, tensor in origin.items()}
    for name, tensor in add(origin, vectors, 0.0).items():
        assert torch.equal(tensor, origin[name])
    for name, tensor in add(origin, vectors[:1], 1.0).items():
        torch.testing.assert_close(tensor, a[name])
    assert all(torch.equal(tensor, before[name]) for name, tensor in origin.items())


def test_added_variances_are_never_negative():
    origin, a, b = states(3)
    added = add(origin, [task_vector(end, origin) for end in (a, b)], 8.0)
    variances = torch.cat([tensor for name, tensor in added.items() if name.endswith("running_var")])
    assert variances.min() == 0
    assert min(tensor.min().item() for name, tensor in added.items() if tensor.is_floating_point()) < 0


def test_pairs_share_a_pretrained_network_an_initialisation_or_nothing():
    found = {pair.kind: (pair.a, pair.b) for pair in pairs(3)}
    assert [(a.begins == b.begins) for a, b in found.values()] == [True, True, False]
    assert all((a.task, b.task) == ("first", "second") for a, b in found.values())
    assert found["same"][0] == found["independent"][0]
    assert len({run.name for run in runs(3)}) == len(runs(3)) == 5


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seeds": [0, 5]}, "finetune.seeds: 5 is no seed of the study"),
        ({"tasks": [["class 0"], ["class 1", "class 2"]]}, "finetune.tasks.0: "),
        ({"repair_samples": 1}, "finetune.repair_samples: "),
        ({"parts": 1}, "finetune.parts: "),
    ],
)
def test_what_makes_no_finetuning_is_one_line_that_names_the_key(tmp_path, settings, said):
    tiny.write_params(tmp_path, finetune={"train": None} | settings)
    with pytest.raises(InputError) as caught:
        params.load(tmp_path / "params.yaml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


# --- the stage ---


def prepare(folder: Path, seed: int = 0, **settings) -> Path:
    """As train@fine leaves it: the network of the seed after its first epochs."""
    folder.mkdir(exist_ok=True)
    train = {"epochs": 8, "batch_size": 32, "snapshots": 3, "crop": 0, "lr": 0.05}
    own = {
        "train": None,
        "epoch": 2,
        "seeds": [seed],
        "alphas": [0.25, 0.5],
        "coefficients": [0.499, 0.5, 1.0],
        **settings,
    }
    tiny.write_params(folder, finetune=own, train=train, network={"norm": "batch"})
    tiny.write_data(folder)
    return folder


def results(folder: Path) -> list[Path]:
    return [folder / paths.results(name) for name in ("finetune", "hardware-finetune")]


def run(folder: Path) -> dict:
    for command in (("train.py", "fine"), ("finetune.py",)):
        done = tiny.in_process(folder, *command)
        assert done.returncode == 0, done.stderr
    return artifacts.read_json(results(folder)[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = prepare(tmp_path_factory.mktemp("finetune"))
    run(folder)
    return folder


@pytest.fixture
def found(folder) -> dict:
    return artifacts.read_json(results(folder)[0])


def test_every_network_learns_its_task_alone_and_none_that_was_not_pretrained_knows_the_other(found):
    assert found["tasks"]["second"] == [f"class {label}" for label in range(5, 10)]
    networks = found["networks"]
    assert [(row["begins"], row["task"]) for row in networks] == [
        *(("pretrained", task) for task in ("first", "second")),
        *(("initial", task) for task in ("first", "second")),
        ("other", "second"),
    ]
    for row in networks:
        other = "second" if row["task"] == "first" else "first"
        assert row["images"] == 160
        assert row["accuracy"][row["task"]]["all"] > 0.8
        if row["begins"] != "pretrained":
            assert row["accuracy"][other]["all"] < 0.1


def test_the_line_ends_at_the_networks_and_half_of_both_vectors_is_its_middle(found):
    networks = {(row["begins"], row["task"]): row["accuracy"] for row in found["networks"]}
    begins = {"finetuned": ("pretrained",) * 2, "same": ("initial",) * 2, "independent": ("initial", "other")}
    rows = [row for row in found["pairs"] if not row["repaired"]]
    assert [row["kind"] for row in rows] == list(begins)
    for row in rows:
        ends = [networks[begin, task] for begin, task in zip(begins[row["kind"]], ("first", "second"), strict=True)]
        line = {point["alpha"]: point["accuracy"] for point in row["line"]}
        assert sorted(line) == [0, 0.25, 0.5, 1]
        assert [line[0], line[1]] == ends
        sums = {one["coefficient"]: one["accuracy"] for one in row["sums"]}
        assert list(sums) == [0, 0.499, 0.5, 1]
        for task, both in line[0.5].items() if row["kind"] != "independent" else ():
            assert sums[0.5][task] == pytest.approx(both, abs=2 / 160)  # up to rounding of the weights


def test_features_halfway_are_nearly_the_lines_where_nearly_half_of_both_vectors_is_added(found):
    """Where there is BatchNorm with its statistics reset: beyond both networks none are interpolated."""
    for row in found["pairs"]:
        measured = [one for one in row["sums"] if "layers" in one]
        assert [one["coefficient"] for one in measured] == ([0.499, 1.0] if row["repaired"] else [])
        if row["repaired"] and row["kind"] != "independent":
            middle = [layer["dissimilarity"][row["alphas"].index(0.5)]["mean"] for layer in row["layers"]]
            halfway = [layer["dissimilarity"][0]["mean"] for layer in measured[0]["layers"]]
            assert halfway == pytest.approx(middle, rel=0.02, abs=1e-5)


def test_finetuned_networks_begin_as_the_snapshot_and_end_nearest_to_one_another(folder, found):
    rows = {row["kind"]: row for row in found["pairs"] if not row["repaired"]}
    accuracy = artifacts.read_json(folder / paths.results("train-fine"))[2]["test_accuracy"]
    assert rows["finetuned"]["sums"][0]["accuracy"]["both"]["all"] == pytest.approx(accuracy)
    assert rows["same"]["sums"][0]["accuracy"] == rows["independent"]["sums"][0]["accuracy"]
    apart = {kind: row["layers"][0]["baseline"]["mean"] for kind, row in rows.items()}
    assert apart["finetuned"] < apart["same"] < apart["independent"]
    bends = {kind: max(map(bend, row["layers"])) for kind, row in rows.items()}
    assert bends["finetuned"] < bends["independent"]


def test_two_runs_write_the_same_bytes_and_leave_nothing_behind(folder, tmp_path):
    again = prepare(tmp_path / "again")
    run(again)
    assert [file.read_bytes() for file in results(again)] == [file.read_bytes() for file in results(folder)]
    assert not list((again / paths.RESUME).iterdir())


def test_networks_without_norm_have_no_statistics_to_reset(tmp_path):
    folder = prepare(tmp_path / "study", coefficients=[1.0])
    tiny.write_params(
        folder,
        finetune={"train": None, "epoch": None, "tasks": [["class 3", "class 1"], ["class 2", "class 9", "class 0"]]},
        train={"epochs": 3, "batch_size": 32, "snapshots": 2, "crop": 0},
    )
    found = run(folder)
    assert [row["repaired"] for row in found["pairs"]] == [False] * 3
    assert all("layers" in row["sums"][1] for row in found["pairs"])
    assert found["tasks"] == {"first": ["class 1", "class 3"], "second": ["class 0", "class 2", "class 9"]}
    assert [row["classes"] for row in found["networks"]] == [2, 3, 2, 3, 3]


def test_a_snapshot_that_is_not_kept_is_one_line(folder):
    prepare(folder, epoch=7)
    stopped = tiny.in_process(folder, "finetune.py")
    prepare(folder)
    assert stopped.stderr.startswith(f"error: {paths.snapshot('fine', 0, 7)}")
    assert "\n" not in stopped.stderr
