"""One process of a stage at a time, whatever kills it, and no file is taken for left over that somebody writes."""

import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import tiny
from ruamel.yaml import YAML

from hidden_structure.frame import artifacts, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.locking import alone
from hidden_structure.frame.workplace import workplace

STAGES = YAML(typ="safe", pure=True).load((tiny.ROOT / "dvc.yaml").read_text())["stages"]
COMMANDS = {
    f"{name}@{item}" if item else name: stage.get("do", stage)["cmd"].replace("${item}", item).split()[2:]
    for name, stage in STAGES.items()
    for item in stage.get("foreach", [""])
}


@pytest.fixture
def living(tmp_path, monkeypatch):
    """Start a process that runs such code in tmp_path, and wait until it has made a file `ready`; killed at the end."""
    monkeypatch.chdir(tmp_path)
    started: list[subprocess.Popen] = []

    def start(code: str) -> subprocess.Popen:
        process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
        started.append(process)
        deadline = time.monotonic() + 60
        while not Path("ready").exists() and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.005)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def kill(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


HOLD = """
import pathlib, time
from hidden_structure.frame.locking import alone
with alone("spawn"):
    pathlib.Path("ready").touch()
    time.sleep(600)
"""


def test_who_holds_a_stage_is_named_and_a_killed_holder_holds_it_no_more(living):
    process = living(HOLD)
    held = rf"^spawn is already run by process {process.pid} on \S+ since 20\d\d-\S+ \S+ \(artifacts/spawn\.lock is "
    for _ in range(2):
        with pytest.raises(InputError, match=held), alone("spawn"):
            pass
    with alone("split"):
        pass
    kill(process)
    assert str(process.pid) in paths.lock("spawn").read_text()
    with alone("spawn"):
        assert f"process {os.getpid()} " in paths.lock("spawn").read_text()
        with pytest.raises(InputError, match=f"process {os.getpid()} "), alone("spawn"):
            pass
    assert not list(paths.ARTIFACTS.iterdir())


def test_of_processes_that_train_together_the_first_holds_the_lock(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with alone("spawn"):
        monkeypatch.setenv("RANK", "1")
        with alone("spawn"):
            assert paths.lock("spawn").exists()
        assert paths.lock("spawn").exists()
        monkeypatch.setenv("RANK", "0")
        with pytest.raises(InputError), alone("spawn"):
            pass


def test_a_failure_inside_releases_the_lock(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        with pytest.raises(tiny.Killed), alone("spawn"):
            raise tiny.Killed
    assert not list(paths.ARTIFACTS.iterdir())


PIPELINE = """
stages:
  train:
    foreach: [fine, coarse]
    do:
      deps: [stages/train.py, src/training, artifacts/data.npz]
      params: [train, features.batch_size]
"""
PARAMS = "train: {lr: 0.1}\nfeatures: {batch_size: 500, layers: []}\n"


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    """A folder with one stage, its code and its params."""
    monkeypatch.chdir(tmp_path)
    for file, text in {
        "dvc.yaml": PIPELINE,
        "params.yaml": PARAMS,
        "stages/train.py": "",
        "src/training/loop.py": "rate = 1",
        "src/other.py": "",
        "artifacts/data.npz": "",
    }.items():
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(text)


@pytest.mark.parametrize(
    ("file", "text", "named"),
    [
        ("params.yaml", PARAMS.replace("0.1", "0.01"), r"params\.yaml: train"),
        ("params.yaml", PARAMS.replace("500", "50"), r"params\.yaml: features\.batch_size"),
        ("params.yaml", "train: {lr: 0.1}", r"params\.yaml: features\.batch_size"),
        ("src/training/loop.py", "rate = 0.1", r"src/training/loop\.py"),
        ("params.yaml", f"# a remark\n{PARAMS}".replace("[]", "[conv1]"), None),
        ("src/training/new.py", "", r"src/training/new\.py"),
        ("src/other.py", "other = 1", None),
    ],
)
def test_what_a_stage_depends_on_must_not_change_while_it_runs(pipeline, file, text, named):
    """DVC records what is there once the stage has ended. What it has computed by then is not lost."""
    refused = pytest.raises(InputError, match=f"^{named} changed while train@fine ran") if named else nullcontext()
    with refused, alone("train@fine"), workplace("train@fine", {}, ()) as folder:
        folder.mkdir(parents=True)
        (folder / "done").touch()
        Path(file).write_text(text)
    assert (folder / "done").exists() == (named is not None)
    assert not paths.lock("train@fine").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_stage_refuses_to_run_beside_itself(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with alone(name):
        done = tiny.in_process(tmp_path, *COMMANDS[name])
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {name} is already run by process {os.getpid()} ")
    assert "\n" not in done.stderr


WRITE = """
import pathlib, time
from hidden_structure.frame import artifacts
def write(temporary):
    temporary.write_text("half")
    pathlib.Path("ready").touch()
    time.sleep(600)
artifacts.write_atomically(pathlib.Path("files/a.json"), write)
"""


def test_what_a_killed_process_was_writing_is_removed_by_the_next_and_what_a_living_one_writes_is_not(living):
    process = living(WRITE)
    (writing,) = Path("files").iterdir()
    artifacts.write_json(Path("files/b.json"), 1)
    assert set(Path("files").iterdir()) == {writing, Path("files/b.json")}
    kill(process)
    artifacts.write_json(Path("files/b.json"), 2)
    assert list(Path("files").iterdir()) == [Path("files/b.json")]


def test_two_writers_in_one_process_leave_each_other_alone(tmp_path):
    def write(temporary):
        artifacts.write_json(tmp_path / "inner.json", 1)
        temporary.write_text("2")

    artifacts.write_atomically(tmp_path / "outer.json", write)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inner.json", "outer.json"]


def test_where_files_cannot_be_locked_nobody_is_kept_out_and_nothing_is_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hidden_structure.frame.locking.fcntl", None)
    left = tmp_path / ".writing-1.json"
    left.touch()
    with alone("spawn"), alone("spawn"):
        artifacts.write_json(tmp_path / "a.json", 1)
    assert left.exists()
    assert artifacts.read_json(tmp_path / "a.json") == 1
