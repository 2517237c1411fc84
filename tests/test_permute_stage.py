"""The stage permute: a permutation for every independent pair and method, each of which leaves the function alone."""

import pytest
import tiny
import torch
from test_spawn_stage import stage

from hidden_structure.connectivity.spawning import pairs
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.networks.build import build
from hidden_structure.permutation.permuting import apply, identity
from hidden_structure.permutation.symmetry import derive
from hidden_structure.permutation.weight_matching import objective
from hidden_structure.training.batches import evaluation_batches, on_device

SPAWN = {"seeds": [0, 1, 2, 4], "network": None, "train": None, "spawned": 1, "epochs": [0], "children": [{}, {}]}
SPAWN |= {"widths": [0.5], "weight_decays": []}
PERMUTE = {"restarts": 2, "samples": 100, "ste": {"epochs": 1, "batch_size": 32, "lr": 1e-3}}
SECTIONS = {
    "spawn": SPAWN,
    "permute": PERMUTE,
    "train": {"epochs": 2, "batch_size": 80},
    "network": {"norm": "batch", "width": 16},
}


def prepare(folder, **sections):
    tiny.write_params(folder, **(SECTIONS | sections))
    tiny.write_data(folder)
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = prepare(tmp_path_factory.mktemp("study"))
    stale = folder / paths.permutation("width-9-decay-0-seeds-7-8", "weights")
    stale.parent.mkdir(parents=True)
    stale.write_text("of another run")
    for script in ("spawn.py", "permute.py"):
        done = stage(folder, script)
        assert done.returncode == 0, done.stderr
    return folder


def loaded(plan, pair):
    networks = []
    for seed, name in (pair.a, pair.b):
        network = build(pair.cell.network, (8, 8, 1), 10).eval()
        network.load_state_dict(artifacts.read_tensors(paths.spawned(pair.cell.name, seed, name)))
        networks.append(network)
    return networks


def test_every_independent_pair_has_a_permutation_by_every_method(study, monkeypatch):
    monkeypatch.chdir(study)
    plan = params.load()
    independent = [pair for pair in pairs(plan) if pair.k is None]
    expected = {paths.permutation(pair.id, method) for pair in independent for method in plan.permute.methods}
    assert len(expected) == 2 * 2 * 4
    assert {path for path in paths.PERMUTATIONS.rglob("*") if path.is_file()} == expected
    rows = artifacts.read_json(paths.results("permute"))
    assert len(rows) == len(expected)
    assert {(row["width"], *row["seeds"], row["method"]) for row in rows} == {
        (pair.cell.width, pair.a[0], pair.b[0], method) for pair in independent for method in plan.permute.methods
    }
    assert all(row["after"] >= row["before"] for row in rows)


def test_permuted_networks_compute_the_same_function(study, monkeypatch):
    monkeypatch.chdir(study)
    plan = params.load()
    data = artifacts.read_arrays(paths.DATA)
    images = next(
        evaluation_batches(on_device(data["test_images"], data["mean"], data["std"], torch.device("cpu")), 50)
    )
    rows = {(row["width"], *row["seeds"], row["method"]): row for row in artifacts.read_json(paths.results("permute"))}
    moved = 0
    for pair in (pair for pair in pairs(plan) if pair.k is None):
        a, b = loaded(plan, pair)
        symmetry = derive(a, images)
        with torch.no_grad():
            expected = b(images)
        state = {name: tensor.clone() for name, tensor in b.state_dict().items()}
        for method in plan.permute.methods:
            arrays = artifacts.read_arrays(paths.permutation(pair.id, method))
            permutation = {name: torch.from_numpy(entries) for name, entries in arrays.items()}
            permuted = apply(symmetry, permutation, state)
            moved += any(not torch.equal(permuted[name], state[name]) for name in state)
            b.load_state_dict(permuted)
            with torch.no_grad():
                torch.testing.assert_close(b(images), expected, rtol=1e-4, atol=1e-4)
            row = rows[pair.cell.width, pair.a[0], pair.b[0], method]
            after = objective(symmetry, a.state_dict(), state, permutation)
            before = objective(symmetry, a.state_dict(), state, identity(symmetry))
            assert (row["weights_before"], row["weights_after"]) == pytest.approx((before, after), rel=1e-6)
            if method == "weights":
                assert (row["before"], row["after"]) == pytest.approx((before, after), rel=1e-6)
    assert moved == len(rows)


def test_weight_matching_brings_weights_closest(study, monkeypatch):
    monkeypatch.chdir(study)
    rows = artifacts.read_json(paths.results("permute"))
    for row in rows:
        (weights,) = (
            r for r in rows if (r["width"], r["seeds"], r["method"]) == (row["width"], row["seeds"], "weights")
        )
        assert row["weights_after"] <= weights["weights_after"] * (1 + 1e-6)


def test_the_first_network_of_every_cell_is_found_in_another_order(study, monkeypatch):
    monkeypatch.chdir(study)
    plan, rows = params.load(), artifacts.read_json(paths.results("planted"))
    cells = [pair.cell for pair in pairs(plan) if pair.k is None and pair.a[0] == 0]
    asked = [(cell.width, method) for cell in cells for method in ("none", *plan.permute.methods) if method != "ste"]
    assert [(row["width"], row["method"]) for row in rows] == asked
    for row in rows:
        if row["method"] != "none":
            assert row["found"] >= 0.9
            assert row["after"] <= row["known"] * (1 + 1e-5)


def test_two_runs_write_the_same_bytes(study):
    def results():
        return {path: path.read_bytes() for top in (paths.PERMUTATIONS, paths.RESULTS) for path in files(study / top)}

    def files(folder):
        return [path for path in sorted(folder.rglob("*")) if path.is_file()]

    before = results()
    done = stage(study, "permute.py")
    assert done.returncode == 0, done.stderr
    assert results() == before


def test_missing_networks_say_how_to_make_them(tmp_path):
    prepare(tmp_path)
    done = stage(tmp_path, "permute.py")
    assert done.returncode == 1
    assert "is missing: run `dvc repro`" in done.stderr
    assert "\n" not in done.stderr
    assert not (tmp_path / paths.results("permute")).exists()


def test_a_batch_larger_than_the_samples_is_one_line(tmp_path):
    ste = PERMUTE["ste"] | {"batch_size": 101}
    prepare(tmp_path, permute=PERMUTE | {"ste": ste, "methods": ["ste"]}, spawn=SPAWN | {"seeds": [0, 1], "widths": []})
    assert stage(tmp_path, "spawn.py").returncode == 0
    done = stage(tmp_path, "permute.py")
    assert done.returncode == 1
    assert "permute.ste.batch_size" in done.stderr
    assert "\n" not in done.stderr
