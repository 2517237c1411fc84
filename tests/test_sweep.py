"""The grid of recipes: cells are kept, one that diverges is a finding."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny

from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.merges import sweep, variants

DECAY = 1e-4
SWEEP = {"seeds": [0], "train": None, "lrs": [0.1, 0.05, 0.02], "weight_decays": [DECAY]}
CELLS = [sweep.Cell(lr, DECAY, 0) for lr in SWEEP["lrs"]]


def prepare(folder: Path, epochs: int = 4, **settings) -> Path:
    sections = {"train": {"epochs": epochs, "batch_size": 32}, "cluster": {"reducers": ["pca"], "components": 2}}
    tiny.write_params(folder, sweep=SWEEP | settings, **sections)
    tiny.write_data(folder)
    return folder


def stage(folder: Path, fails: str | None = None) -> tuple[SimpleNamespace, list[str]]:
    """What the stage ends with, and the cells that it computed; fails: a cell whose data are missing."""
    done = []

    def compute(plan: sweep.Plan, cell: sweep.Cell) -> dict:
        if cell.name == fails:
            raise InputError("the data are missing")
        done.append(cell.name)
        return sweep_compute(plan, cell)

    sweep_compute = sweep.compute
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "compute", compute)
        return tiny.in_process(folder, "sweep.py"), done


def rows(folder: Path) -> list[dict]:
    return artifacts.read_json(folder / paths.results("sweep"))


def test_the_grid_has_every_learning_rate_with_every_weight_decay_and_seed():
    grid = {"seeds": [0, 1], "lrs": [0.1, 0.01], "weight_decays": [1e-3, 1e-4]}
    settings = params.Sweep.model_validate(tiny.study(sweep=SWEEP | grid)["sweep"])
    cells = sweep.grid(settings)
    assert len(set(cells)) == len({cell.name for cell in cells}) == 8


def test_a_cell_that_fails_is_named_what_is_done_is_kept_and_a_rerun_computes_the_rest_alone(tmp_path):
    prepare(tmp_path)
    names = [cell.name for cell in CELLS]
    stopped, done = stage(tmp_path, fails=names[1])
    assert stopped.returncode == 1
    assert stopped.stderr == f"error: {names[1]}: the data are missing"
    assert done == names[:1]
    assert not (tmp_path / paths.RESULTS).exists()

    finished, done = stage(tmp_path)
    assert finished.returncode == 0
    assert done == names[1:]
    assert [(row["lr"], row["weight_decay"], row["seed"]) for row in rows(tmp_path)] == [
        (cell.lr, cell.weight_decay, cell.seed) for cell in CELLS
    ]
    for row in rows(tmp_path):
        assert row["error"] is None
        assert set(row) == {"lr", "weight_decay", "seed", "error", *sweep.MEASURES}
        assert all(row[name] is not None for name in sweep.MEASURES)
    assert not list((tmp_path / paths.RESUME).iterdir())

    assert stage(tmp_path)[1] == names, "it had finished: nothing is kept, all is computed anew"


def test_cells_are_kept_for_another_grid_and_not_for_another_recipe(tmp_path):
    names = [cell.name for cell in CELLS]

    def computed(**changed) -> list[str]:
        prepare(tmp_path, **changed)
        return stage(tmp_path, fails=names[2])[1]

    assert computed() == names[:2]
    assert computed(epochs=5) == names[:2]
    assert computed(weight_decays=[1.0, DECAY]) == [
        sweep.Cell(0.1, 1.0, 0).name,
        sweep.Cell(0.05, 1.0, 0).name,
        sweep.Cell(0.02, 1.0, 0).name,
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hidden_structure.frame.machine.processor", lambda: "another")
        assert computed() == names[:2], "what another processor computed is not taken up"
    assert not computed(lrs=[cell.lr for cell in CELLS[:2]])
    assert [row["lr"] for row in rows(tmp_path)] == [cell.lr for cell in CELLS[:2]]


def test_the_learning_rate_and_weight_decay_of_a_cell_are_those_it_is_trained_with(tmp_path):
    prepare(tmp_path, epochs=12, lrs=[0.1, 1e-9], weight_decays=[0.0, 20.0])
    assert stage(tmp_path)[0].returncode == 0
    plain, decayed, still, _ = rows(tmp_path)
    assert plain["train_accuracy"] > 0.9
    assert decayed["train_accuracy"] < plain["train_accuracy"]
    assert still["train_accuracy"] < 0.5


def test_a_recipe_that_diverges_is_a_row_without_measures(tmp_path):
    prepare(tmp_path, lrs=[0.1, 1e3])
    assert stage(tmp_path)[0].returncode == 0
    fine, diverged = rows(tmp_path)
    assert fine["error"] is None
    assert "training loss became nan" in diverged["error"]
    assert not any(diverged[name] for name in sweep.MEASURES)


def test_where_every_cell_fails_it_is_no_finding(tmp_path):
    prepare(tmp_path, lrs=[1e3])
    stopped, _ = stage(tmp_path)
    assert stopped.returncode == 1
    assert "every cell failed" in stopped.stderr
    assert "nan" in stopped.stderr
    assert not (tmp_path / paths.RESULTS).exists()


def test_what_cannot_be_measured_any_more_leaves_what_could(tmp_path, monkeypatch):
    def died(*_):
        raise InputError("k-means found 1 different points")

    monkeypatch.setattr(sweep, "cluster_and_probe", died)
    prepare(tmp_path)
    stage(tmp_path)  # every cell fails, so the rows are in the kept files alone
    kept = [artifacts.read_json(file) for file in (tmp_path / paths.RESUME).rglob("*.json")]
    assert len(kept) == 3
    for row in kept:
        assert row["error"] == "k-means found 1 different points"
        assert row["agreement"] is row["probe_accuracy"] is None
        assert None not in (row["test_accuracy"], row["nc1"], row["oracle_accuracy"])


def test_a_damaged_file_is_no_finding(tmp_path, monkeypatch):
    train = variants.train

    def damaging(variant, inputs, folder, epochs):
        rows = train(variant, inputs, folder, epochs)
        file = variants.features_file(folder, variant.name, variant.seed, epochs[-1])
        file.write_bytes(file.read_bytes()[:100])
        return rows

    monkeypatch.setattr(variants, "train", damaging)
    prepare(tmp_path)
    stopped, _ = stage(tmp_path)
    assert stopped.returncode == 1
    assert f"{CELLS[0].name}: " in stopped.stderr
    assert "is damaged" in stopped.stderr
    assert not list((tmp_path / paths.RESUME).rglob("tasks/*.json"))


def test_without_a_grid_there_are_no_rows(tmp_path):
    tiny.write_params(tmp_path, sweep=None)
    assert stage(tmp_path)[0].returncode == 0
    assert [(tmp_path / paths.results(name)).read_bytes() for name in ("sweep", "hardware-sweep")] == [
        b"[]\n",
        b"null\n",
    ]
