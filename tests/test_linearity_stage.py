"""The stage linearity: a row for every line that interpolate walks, and one of stitching for every pair of networks."""

import json
import math

import pytest
import tiny
import torch
from test_connectivity import MLP, RESNET
from test_connectivity import prepare as planted
from test_spawn_stage import stage

from hidden_structure.connectivity.spawning import pairs
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.networks.build import build
from hidden_structure.seeding import torch_generator
from hidden_structure.training.batches import on_device

CELL = "width-1-decay-0.0005"
SPAWN = {"seeds": [0, 1], "network": None, "train": None, "spawned": 2, "epochs": [0, 1], "children": [{}, {}]}
SPAWN |= {"widths": [0.5], "weight_decays": []}
SECTIONS = {
    "spawn": SPAWN,
    "permute": {"methods": ["weights", "activations"], "restarts": 2, "samples": 100},
    "train": {"epochs": 2, "batch_size": 80},
    "network": {"norm": "batch", "width": 16},
    "linearity": {"alphas": [0.25, 0.5], "samples": 60},
}
ALONG = {"dissimilarity", "coefficient", "additivity"}
RESULTS = ("linearity", "stitch")


def succeeds(folder, *scripts):
    for script in scripts:
        done = stage(folder, script)
        assert done.returncode == 0, done.stderr


def written(folder):
    return {name: (folder / paths.results(name)).read_bytes() for name in RESULTS}


def rows_of(folder, name):
    return artifacts.read_json(folder / paths.results(name))


def key(row):
    return tuple(
        json.dumps(row.get(name))
        for name in ("kind", "k", "width", "weight_decay", "seeds", "method", "repaired")
        if name in row
    )


def numbers(content):
    if isinstance(content, dict):
        return [number for part in content.values() for number in numbers(part)]
    if isinstance(content, list):
        return [number for part in content for number in numbers(part)]
    return [content] if isinstance(content, float) else []


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    tiny.write_params(folder, **SECTIONS)
    tiny.write_data(folder)
    succeeds(folder, "spawn.py", "permute.py", "interpolate.py", "linearity.py")
    return folder


def test_every_line_of_interpolate_has_its_row_and_every_pair_its_stitching(study):
    lines, rows, stitched = (rows_of(study, name) for name in ("interpolate", *RESULTS))
    assert [key(row) for row in rows] == [key(line) for line in lines]
    plan = params.load(study / "params.yaml")
    assert len(plan.permute.methods) == 2
    expected = []
    for pair in pairs(plan):
        for method in ("none",) if pair.k is not None else ("none", "weights", "activations"):
            kind = "independent" if pair.k is None else "spawned"
            row = {"kind": kind, "k": pair.k, "width": pair.cell.width, "weight_decay": pair.cell.train.weight_decay}
            expected.append(key(row | {"seeds": [pair.a[0], pair.b[0]], "method": method}))
    assert [key(row) for row in stitched] == expected
    assert len(set(expected)) == len(expected) == 2 * 2 + 2 * 3
    assert [row["repaired"] for row in rows] == [False, True] * len(expected)


def test_rows_hold_finite_numbers_of_every_layer_at_every_alpha(study):
    rows, stitched = (rows_of(study, name) for name in RESULTS)
    names = [f"hidden.{name}{index}" for index in (1, 2) for name in ("linear", "norm", "relu")]
    for row in rows:
        assert row["alphas"] == [0.25, 0.5]
        assert [layer["name"] for layer in row["layers"]] == [*names, "head"]
        for layer in row["layers"]:
            assert all(len(layer[quantity]) == 2 for quantity in ALONG & layer.keys())
            assert ("additivity" in layer) == ("relu" in layer["name"])
            weighted = "linear" in layer["name"] or layer["name"] == "head"
            assert {"commutativity", "weights", "inputs"} & layer.keys() == (
                {"commutativity", "weights", "inputs"} if weighted else set()
            )
        error = row["test_error"]
        for value in (error[name] for name in ("a", "b", "either")):
            assert 0 <= value <= 1
        assert error["either"] <= error["a"] + error["b"] + 1e-9
        assert [len(error[name]) for name in ("merged", "interpolated", "disagreement")] == [2, 2, 2]
    for row in stitched:
        assert row["layers"] == ["hidden.relu1", "hidden.relu2"]
        assert len(row["a_below_b"]) == len(row["b_below_a"]) == 2
    assert all(math.isfinite(number) for number in numbers([rows, stitched]))
    assert sum(numbers(rows)) > 0


def test_ends_err_as_the_saved_networks_do_on_the_samples(study):
    plan, data = params.load(study / "params.yaml"), artifacts.read_arrays(study / paths.DATA)
    images = on_device(data["test_images"], data["mean"], data["std"], torch.device("cpu"))
    chosen = torch.randperm(len(data["test_labels"]), generator=torch_generator("linearity"))[:60]
    images, labels = images.normalise(images.pixels[chosen]), torch.from_numpy(data["test_labels"])[chosen]

    def error(pair, end):
        network = build(pair.cell.network, (8, 8, 1), 10).eval()
        network.load_state_dict(artifacts.read_tensors(study / paths.spawned(pair.cell.name, *end)))
        with torch.no_grad():
            return (network(images).argmax(1) != labels).double().mean().item()

    expected = {}
    for pair in pairs(plan):
        names = "independent" if pair.k is None else "spawned", pair.k, pair.cell.width, (pair.a[0], pair.b[0])
        expected[names] = error(pair, pair.a), error(pair, pair.b)
    for name, ends in (("linearity", ("a", "b")), ("stitch", ("error_a", "error_b"))):
        for row in rows_of(study, name):
            found = row.get("test_error", row)
            place = row["kind"], row["k"], row["width"], tuple(row["seeds"])
            if not row.get("repaired"):
                assert [found[end] for end in ends] == pytest.approx(expected[place]), (name, place)
    assert len(set(expected.values())) > 3


def test_networks_that_part_late_are_more_linear_than_those_that_share_nothing(study):
    """Of all but the first layer, where every two networks are linear."""
    rows = {key(row): row for row in rows_of(study, "linearity")}
    found = {}
    for row in rows.values():
        if row["width"] == 1 and not row["repaired"]:
            values = [layer["dissimilarity"][1]["mean"] for layer in row["layers"][1:]]
            found.setdefault((row["k"], row["method"]), []).append(sum(values) / len(values))
            assert abs(row["layers"][0]["dissimilarity"][1]["mean"]) < 1e-6
            assert row["layers"][0]["commutativity"]["mean"] == 0
    assert len(found) == 5
    assert max(found[1, "none"]) < min(found[None, "none"])


def test_samples_are_of_all_classes_though_test_sets_come_class_by_class(tmp_path):
    """A network that knows the first class only errs on nine tenths of any fair part of the test set."""
    planted(tmp_path, MLP, [])
    content = artifacts.read_arrays(tmp_path / paths.DATA)
    order = content["test_labels"].argsort(kind="stable")
    artifacts.write_arrays(
        tmp_path / paths.DATA, content | {name: content[name][order] for name in ("test_images", "test_labels")}
    )
    labels = artifacts.read_arrays(tmp_path / paths.labels("fine"))
    artifacts.write_arrays(tmp_path / paths.labels("fine"), labels | {"test": labels["test"][order]})
    for path in (tmp_path / paths.SPAWNED).rglob("*.safetensors"):
        state = artifacts.read_tensors(path)
        bias = torch.eye(10)[0]
        artifacts.write_tensors(path, state | {"head.weight": 0 * state["head.weight"], "head.bias": bias})
    succeeds(tmp_path, "linearity.py")
    for row in rows_of(tmp_path, "linearity"):
        assert 0.8 < row["test_error"]["a"] < 1


def test_repair_changes_the_merged_networks(study):
    rows = rows_of(study, "linearity")
    for plain, repaired in zip(rows[::2], rows[1::2], strict=True):
        assert key(plain)[:-1] == key(repaired)[:-1]
        assert plain["layers"] != repaired["layers"]


def test_two_runs_write_the_same_bytes(study):
    before = written(study)
    succeeds(study, "linearity.py")
    assert written(study) == before


@pytest.mark.parametrize("network", [MLP, RESNET])
def test_the_second_network_is_aligned_by_the_saved_permutation(tmp_path, network):
    """The right permutation makes the second network the first; the wrong one, or none, does not."""
    planted(tmp_path, network, ["weights", "ste"])
    succeeds(tmp_path, "linearity.py")
    rows = [row for row in rows_of(tmp_path, "linearity") if row["kind"] == "independent"]
    assert [(row["method"], row["repaired"]) for row in rows] == [
        (method, repaired) for method in ("none", "weights", "ste") for repaired in (False, True)
    ]
    for row in rows:
        largest = {
            quantity: max(
                layer[quantity][0]["mean"] if quantity in ALONG else layer[quantity]["mean"]
                for layer in row["layers"]
                if quantity in layer
            )
            for quantity in ("dissimilarity", "baseline", "commutativity", "inputs")
        }
        weights = max(layer.get("weights", 0) for layer in row["layers"])
        if row["method"] == "ste":
            assert max(*largest.values(), weights) < 1e-5
            assert row["test_error"]["disagreement"] == [0]
        else:
            assert min(*largest.values(), weights) > 1e-4
    for row in rows_of(tmp_path, "stitch"):
        if row["kind"] == "independent":
            assert row["error_a"] == row["error_b"]
            errors = {*row["a_below_b"], *row["b_below_a"]}
            assert (errors == {row["error_a"]}) == (row["method"] == "ste")


def test_a_missing_network_is_one_line_and_nothing_is_written(tmp_path):
    planted(tmp_path, MLP, [])
    (tmp_path / paths.spawned(CELL, 1, "trunk")).unlink()
    done = stage(tmp_path, "linearity.py")
    assert done.returncode == 1
    assert "\n" not in done.stderr
    assert done.stderr.startswith("error: ")
    assert "1/trunk.safetensors is missing: run `dvc repro`" in done.stderr
    assert not (tmp_path / paths.RESULTS).exists()


def test_a_missing_permutation_leaves_the_last_results(tmp_path):
    planted(tmp_path, MLP, ["weights"])
    for name in RESULTS:
        artifacts.write_json(tmp_path / paths.results(name), ["of the last run"])
    before = written(tmp_path)
    (tmp_path / paths.permutation(f"{CELL}-seeds-0-1", "weights")).unlink()
    done = stage(tmp_path, "linearity.py")
    assert done.returncode == 1
    assert "0-1/weights.npz is missing" in done.stderr
    assert "\n" not in done.stderr
    assert written(tmp_path) == before
    assert len(list((tmp_path / paths.RESULTS).iterdir())) == len(RESULTS)


@pytest.mark.parametrize("value", [float("nan"), 1e30])
def test_a_network_that_diverged_is_one_line_that_names_the_pair_and_the_layer(tmp_path, value):
    planted(tmp_path, MLP, [])
    path = tmp_path / paths.spawned(CELL, 1, "trunk")
    state = artifacts.read_tensors(path)
    state["hidden.linear2.bias"][0] = value
    artifacts.write_tensors(path, state)
    done = stage(tmp_path, "linearity.py")
    assert done.returncode == 1
    assert "\n" not in done.stderr
    assert ("hidden.linear2.bias" if value != value else "layer hidden.linear2") in done.stderr
    assert f"the pair {CELL}-seeds-0-1, permuted by none" in done.stderr
    assert not (tmp_path / paths.RESULTS).exists()


def test_networks_of_another_width_are_one_line(tmp_path):
    planted(tmp_path, MLP, [])
    network = params.Network(**MLP | {"width": 9})
    for seed in (0, 1):
        state = build(network, (8, 8, 1), 10).state_dict()
        artifacts.write_tensors(tmp_path / paths.spawned(CELL, seed, "trunk"), state)
    done = stage(tmp_path, "linearity.py")
    assert done.returncode == 1
    assert "another network than" in done.stderr
    assert "\n" not in done.stderr
    assert not (tmp_path / paths.RESULTS).exists()
