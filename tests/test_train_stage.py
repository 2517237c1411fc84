import runpy
import sys
from pathlib import Path

import pytest
import tiny
import torch

from hidden_structure.frame import artifacts, paths
from hidden_structure.frame.errors import one_line_errors


@pytest.fixture
def study(tmp_path):
    tiny.write_params(tmp_path)
    tiny.write_data(tmp_path)
    return tmp_path


def results(folder) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for top in ("artifacts/models", "artifacts/snapshots", paths.RESULTS)
        for path in sorted((folder / top).rglob("*"))
        if path.is_file()
    }


def test_two_runs_write_the_same_bytes_and_leave_no_training_state(study, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    tiny.write_params(other)
    tiny.write_data(other)
    for folder in (study, other):
        done = tiny.in_process(folder, "train.py", "coarse")
        assert done.returncode == 0, done.stderr
        assert not list((folder / "artifacts/resume").iterdir())
    assert results(study) == results(other)
    assert str(paths.model("coarse", 1)) in results(study)
    history = artifacts.read_json(study / paths.results("train-coarse"))
    assert {(row["seed"], row["epoch"]) for row in history} == {(s, e) for s in (0, 1) for e in range(13)}
    assert history[-1]["test_accuracy"] > 0.5


def test_two_processes_train_what_one_process_trains(study, tmp_path_factory):
    alone = tmp_path_factory.mktemp("alone")
    tiny.write_params(alone)
    tiny.write_data(alone)
    assert tiny.in_process(alone, "train.py", "fine").returncode == 0
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = tiny.run_stage(study, "train.py", "fine", launcher=launcher)
    assert done.returncode == 0, done.stderr
    for seed in (0, 1):
        expected, found = (artifacts.read_tensors(folder / paths.model("fine", seed)) for folder in (alone, study))
        assert expected.keys() == found.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)
    histories = [artifacts.read_json(folder / paths.results("train-fine")) for folder in (alone, study)]
    for expected, found in zip(*histories, strict=True):
        assert found == pytest.approx(expected, rel=1e-3, nan_ok=False)


AT_THE_LAST_STEP = {  # which is the only one: its loss is still finite, the network that it leaves is not
    "train": {"lr": 1e3, "weight_decay": 1e3, "epochs": 1, "batch_size": 320, "snapshots": 2},
    "network": {"depth": 8},
    "spawn": {"epochs": [0]},
    "distill": {"tuning": 1},
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"lr": 1e3}}, "train.lr"),
        (AT_THE_LAST_STEP, "train.lr"),
        ({"train": {"batch_size": 1000}}, "train.batch_size"),
        ({"train": {"crop": 100_000}}, "train.crop"),
        ({"network": {"width": 10**9}}, "network.width"),
        ({"hardware": {"device": "mps"}}, "hardware.device"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(study, changes, message):
    if message == "hardware.device" and torch.backends.mps.is_available():
        pytest.skip("this machine has the device")
    tiny.write_params(study, **changes)
    done = tiny.in_process(study, "train.py", "fine")
    assert done.returncode == 1
    assert message in done.stderr
    assert "\n" not in done.stderr
    assert not results(study)


def test_memory_that_runs_short_is_one_line_too():
    """Within the bounds of params.yaml a network may still be too large for a machine."""

    @one_line_errors
    def main():
        torch.empty(2**50)

    with pytest.raises(SystemExit, match=r"^error: memory is short .*lower the sizes in params\.yaml$"):
        main()


def test_missing_data_says_how_to_make_it(tmp_path):
    tiny.write_params(tmp_path)
    done = tiny.in_process(tmp_path, "train.py", "fine")
    assert done.returncode == 1
    assert done.stderr == "error: artifacts/data.npz is missing: run `dvc repro` to make it"


def test_a_run_killed_while_it_cleans_up_starts_afresh(study, monkeypatch):
    """Its results may be incomplete then, and what is left of its state must not be taken for a finished run."""
    monkeypatch.chdir(study)
    monkeypatch.setattr(sys, "argv", ["train.py", "fine"])

    def killed(*arguments, **options):
        if "resume" in str(arguments[0]) and Path(arguments[0]).is_dir():
            raise tiny.Killed

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(tiny.Killed):
            runpy.run_path(str(tiny.ROOT / "stages/train.py"), run_name="__main__")
    before = results(study)
    finished = list(study.glob("artifacts/resume/finished-*"))
    assert len(finished) == 1
    assert list(finished[0].rglob("00000.safetensors"))
    for snapshot in finished[0].rglob("00000.safetensors"):
        snapshot.unlink()
    runpy.run_path(str(tiny.ROOT / "stages/train.py"), run_name="__main__")
    assert results(study) == before
