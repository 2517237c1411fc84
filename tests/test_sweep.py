"""The grid of recipes: a cell that is killed loses only itself, one that diverges is a finding, and bytes do not depend
on who computes."""

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny

from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.merges import sweep, sweep_tasks
from hidden_structure.training import inputs
from hidden_structure.training.device import describe

ONLY = os.getpid() * 1e-9  # a weight decay that no other run of these tests has: the names of its tasks are its own
SWEEP = {"seeds": [0], "train": None, "address": None, "lrs": [0.1, 0.05, 0.02], "weight_decays": [ONLY], "workers": 2}
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray, an optional extra, is not installed"
)
CELLS = [sweep.Cell(lr, ONLY, 0) for lr in SWEEP["lrs"]]


def prepare(folder: Path, epochs: int = 4, **settings) -> Path:
    sections = {"train": {"epochs": epochs, "batch_size": 32}, "cluster": {"reducers": ["pca"], "components": 2}}
    tiny.write_params(folder, sweep=SWEEP | settings, **sections)
    tiny.write_data(folder)
    return folder


def stage(folder: Path, run=None) -> SimpleNamespace:
    """run: what takes the place of Ray."""
    with pytest.MonkeyPatch.context() as patch:
        if run is not None:
            patch.setattr(sweep_tasks, "run", run)
        return tiny.in_process(folder, "sweep.py")


class Serial:
    """One task after the other in this process; `lost` names those that are lost, `done` those that were computed."""

    def __init__(self, *lost: str) -> None:
        self.lost, self.done = lost, []

    def __call__(self, tasks, function, workers, address) -> dict[str, str]:
        for name, arguments in tasks.items():
            if name not in self.lost:
                function(*arguments)
                self.done.append(name)
        return {name: "killed" for name in tasks if name in self.lost}


def rows(folder: Path) -> list[dict]:
    return artifacts.read_json(folder / paths.results("sweep"))


def metrics(folder: Path) -> list[bytes]:
    return [(folder / paths.results(name)).read_bytes() for name in ("sweep", "hardware-sweep")]


def test_the_grid_has_every_learning_rate_with_every_weight_decay_and_seed():
    grid = {"seeds": [0, 1], "lrs": [0.1, 0.01], "weight_decays": [1e-3, 1e-4]}
    settings = params.Sweep.model_validate(tiny.study(sweep=SWEEP | grid)["sweep"])
    cells = sweep.grid(settings)
    assert len(set(cells)) == len({cell.name for cell in cells}) == 8


def test_a_lost_cell_is_named_the_others_are_kept_and_a_rerun_computes_it_alone(tmp_path):
    prepare(tmp_path)
    names = [cell.name for cell in CELLS]
    stopped = stage(tmp_path, Serial(names[1]))
    assert stopped.returncode == 1
    assert stopped.stderr.startswith(f"error: sweep: 1 of 3 cells have no result: {names[1]} (killed); the other 2")
    assert "\n" not in stopped.stderr
    assert not (tmp_path / "reports").exists()

    assert stage(tmp_path, rerun := Serial()).returncode == 0
    assert rerun.done == [names[1]]
    assert [(row["lr"], row["weight_decay"], row["seed"]) for row in rows(tmp_path)] == [
        (cell.lr, cell.weight_decay, cell.seed) for cell in CELLS
    ]
    for row in rows(tmp_path):
        assert row["error"] is None
        assert set(row) == {"lr", "weight_decay", "seed", "error", *sweep.MEASURES}
        assert all(row[name] is not None for name in sweep.MEASURES)
    assert not list((tmp_path / paths.RESUME).iterdir())

    assert stage(tmp_path, again := Serial()).returncode == 0  # finished: nothing is kept, all is computed anew
    assert again.done == names


def test_cells_are_kept_for_another_grid_and_not_for_another_recipe(tmp_path):
    def computed(**changed) -> list[str]:
        prepare(tmp_path, **changed)
        stage(tmp_path, run := Serial(CELLS[0].name))
        return run.done

    others = [cell.name for cell in CELLS[1:]]
    assert computed() == others
    assert computed(epochs=5) == others
    assert computed(weight_decays=[1.0, ONLY]) == [sweep.Cell(lr, 1.0, 0).name for lr in SWEEP["lrs"]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hidden_structure.training.device.processor", lambda: "another")
        assert computed() == others, "what another processor computed is not taken up"
    assert not computed(lrs=[cell.lr for cell in CELLS[1:]], workers=1)
    assert [row["lr"] for row in rows(tmp_path)] == [cell.lr for cell in CELLS[1:]]


def test_the_learning_rate_and_weight_decay_of_a_cell_are_those_it_is_trained_with(tmp_path):
    prepare(tmp_path, epochs=12, lrs=[0.1, 1e-9], weight_decays=[0.0, 20.0])
    assert stage(tmp_path, Serial()).returncode == 0
    plain, decayed, still, _ = rows(tmp_path)
    assert plain["train_accuracy"] > 0.9
    assert decayed["train_accuracy"] < plain["train_accuracy"]
    assert still["train_accuracy"] < 0.5


def test_a_recipe_that_diverges_is_a_row_without_measures(tmp_path):
    prepare(tmp_path, lrs=[0.1, 1e3])
    assert stage(tmp_path, Serial()).returncode == 0
    fine, diverged = rows(tmp_path)
    assert fine["error"] is None
    assert "training loss became nan" in diverged["error"]
    assert not any(diverged[name] for name in sweep.MEASURES)


def test_where_every_cell_fails_it_is_no_finding(tmp_path):
    prepare(tmp_path, lrs=[1e3])
    stopped = stage(tmp_path, Serial())
    assert stopped.returncode == 1
    assert "every cell failed" in stopped.stderr
    assert "nan" in stopped.stderr
    assert not (tmp_path / "reports").exists()


def test_what_cannot_be_measured_any_more_leaves_what_could(tmp_path, monkeypatch):
    def died(*_):
        raise InputError("k-means found 1 different points")

    monkeypatch.setattr(sweep, "cluster_and_probe", died)
    prepare(tmp_path)
    stage(tmp_path, Serial())  # every cell fails, so the rows are in the kept files alone
    kept = [artifacts.read_json(file) for file in (tmp_path / paths.RESUME).rglob("*.json")]
    assert len(kept) == 3
    for row in kept:
        assert row["error"] == "k-means found 1 different points"
        assert row["agreement"] is row["probe_accuracy"] is None
        assert None not in (row["test_accuracy"], row["nc1"], row["oracle_accuracy"])


def test_a_machine_that_computes_otherwise_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(prepare(tmp_path))
    study = params.load()
    read = inputs.read(study.hardware, "coarse")
    computing = describe(read.device, read.precision, 1) | {"torch": "1.0"}
    plan = sweep.Plan(tmp_path, study.hardware, study.network, study.train, study.cluster, computing)
    with pytest.raises(InputError, match=r"computes otherwise \(torch "):
        sweep.compute(plan, CELLS[0])


@pytest.fixture
def without_ray(tmp_path_factory, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)


def test_without_a_grid_there_are_no_rows_and_ray_is_not_needed(tmp_path, without_ray):
    tiny.write_params(tmp_path, sweep=None)
    assert stage(tmp_path).returncode == 0
    assert metrics(tmp_path) == [b"[]\n", b"null\n"]


def test_without_ray_one_line_says_what_to_install(tmp_path, without_ray):
    stopped = stage(prepare(tmp_path))
    assert stopped.returncode == 1
    assert stopped.stderr == "error: sweep needs Ray: pip install 'hidden-structure[sweep]', or set sweep to null"
    assert not (tmp_path / "reports").exists()


def test_a_reason_is_one_line_and_a_fault_of_the_program_is_told_in_full(capsys):
    class Raised(Exception):
        cause = None

    assert sweep_tasks._reason(Raised("The worker died. Look into the logs.")) == "The worker died"
    fault = Raised("ray::task\n  File ...\nValueError: 3")
    fault.cause = InputError("no data")
    assert sweep_tasks._reason(fault) == "ValueError: 3"
    assert not capsys.readouterr().err
    fault.cause = ValueError(3)
    assert sweep_tasks._reason(fault) == "ValueError: 3"
    assert "File" in capsys.readouterr().err


@needs_ray
def test_an_address_where_nothing_listens_is_one_line_at_once():
    with pytest.raises(InputError, match=r"sweep\.address 127\.0\.0\.1:1 .*RAY_AUTH_MODE"):
        sweep_tasks.run({"a": ()}, str, 1, "127.0.0.1:1")


def process_of(task: str) -> int | None:
    """The process that works on a task, whose name Ray makes the title of the process."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True)
    found = [line.split()[0] for line in listed.stdout.splitlines() if f"ray::{task}" in line]
    return int(found[0]) if found else None


class Slow:
    """A Ray that does not start as often as told, and whose end is waited for in vain if it hangs."""

    def __init__(self, failures: int = 0, hangs: bool = False) -> None:
        self.failures, self.hangs, self.starts, self.ends = failures, hangs, 0, 0

    def init(self, **_) -> None:
        self.starts += 1
        if self.starts <= self.failures:
            raise TimeoutError("too slow")

    def shutdown(self) -> None:
        self.ends += 1
        if self.hangs:
            threading.Event().wait()


@needs_ray
def test_ray_that_does_not_start_is_tried_once_more(tmp_path, capsys):
    sweep_tasks._start(once := Slow(1), 1, None, str(tmp_path))
    assert (once.starts, once.ends) == (2, 1)
    assert capsys.readouterr().err == "Ray did not start (too slow): once more\n"
    with pytest.raises(InputError, match=r"no instance starts here \(too slow\)"):
        sweep_tasks._start(never := Slow(9), 1, None, str(tmp_path))
    assert never.starts == 2
    with pytest.raises(InputError, match="lets us in"):
        sweep_tasks._start(cluster := Slow(9), 1, "auto", str(tmp_path))
    assert cluster.starts == 1


@needs_ray
def test_what_does_not_end_by_itself_is_killed_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_tasks, "PATIENCE", 0.1)

    def start(*arguments: str) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *arguments])

    with (
        start(f"{tmp_path}/session/ray/x") as own,
        start(f"{tmp_path}-other/session/ray/x") as other,
        start(f"{tmp_path}/notes") as no_ray,
    ):
        try:
            sweep_tasks._end(Slow(hangs=True), str(tmp_path))
            assert own.wait(5) is not None
            assert other.poll() is no_ray.poll() is None
        finally:
            for process in (own, other, no_ray):
                process.kill()


@needs_ray
def test_only_what_a_dead_process_of_this_user_and_machine_left_is_ended(tmp_path, monkeypatch):
    ended = []
    monkeypatch.setattr(sweep_tasks, "_kill", lambda folder: ended.append(folder.name))
    owner = sweep_tasks._owner(os.getpid())
    changes = {"alive": {}, "killed": {"started": 1.0}, "elsewhere": {"started": 1.0, "host": "elsewhere"}}
    for name, change in changes.items():
        artifacts.write_json(tmp_path / f"ray-{name}" / sweep_tasks.OWNER, owner | change)
    (tmp_path / "ray-cluster").mkdir()
    sweep_tasks._end_leftovers(tmp_path)
    assert ended == ["ray-killed"]
    assert {path.name for path in tmp_path.iterdir()} == {"ray-alive", "ray-elsewhere", "ray-cluster"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_one_line_once_all_has_ended(number, capsys):
    before, ended = signal.getsignal(number), []

    def work() -> None:
        with sweep_tasks._stoppable():
            try:
                signal.raise_signal(number)
            finally:
                signal.raise_signal(number)  # a second one does not break off the end
                ended.append(True)

    with pytest.raises(SystemExit) as stopped:
        work()
    assert (stopped.value.code, ended) == (128 + number, [True])
    assert capsys.readouterr().err.startswith(f"sweep: stopped by {number.name}: finished cells are kept")
    assert signal.getsignal(number) == before


@needs_ray
def test_a_killed_stage_leaves_nothing_to_the_next_one_which_ctrl_c_ends_within_seconds(tmp_path):
    prepare(tmp_path, epochs=100_000)
    command = [sys.executable, str(tiny.ROOT / "stages/sweep.py")]
    workers = [cell.name for cell in CELLS]
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as short:  # sockets take no long path
        environment = os.environ | {"TMPDIR": short}
        for number in (signal.SIGKILL, signal.SIGINT):
            pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
            with subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes) as running:
                since = time.time()
                while running.poll() is None:
                    files = (tmp_path / paths.RESUME).rglob("lr-*.safetensors")
                    if any(map(process_of, workers)) and any(file.stat().st_mtime > since + 3 for file in files):
                        break
                    time.sleep(0.05)
                running.send_signal(number)
                started = time.monotonic()
                running.wait(60)
                seconds, stderr = time.monotonic() - started, running.stderr.read() if number != signal.SIGKILL else ""
        assert not list(Path(short).glob("ray-*"))
    assert running.returncode == 130
    assert stderr.splitlines() == [
        "sweep: ending what a killed one left running",
        "sweep: stopped by SIGINT: finished cells are kept, `dvc repro` computes the rest",
    ]
    assert seconds < 30
    assert not any(map(process_of, workers))


@needs_ray
def test_a_killed_worker_of_two_loses_its_cell_alone_and_the_bytes_are_those_of_one_process(tmp_path):
    folders = [tmp_path / name for name in ("ray", "serial")]
    for folder in folders:
        folder.mkdir()
        prepare(folder, epochs=40)
    command = [sys.executable, str(tiny.ROOT / "stages/sweep.py")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    victim, *others = (cell.name for cell in CELLS)
    with subprocess.Popen(command, cwd=folders[0], **pipes) as running:
        while running.poll() is None:
            half_trained = list((folders[0] / paths.RESUME).rglob("lr-0.1-*.safetensors"))
            if half_trained and (process := process_of(victim)):
                os.kill(process, signal.SIGKILL)
                break
            time.sleep(0.01)
        _, stderr = running.communicate()
    assert running.returncode == 1
    assert f"error: sweep: 1 of 3 cells have no result: {victim} (" in stderr.splitlines()[-1]
    assert not any(other in stderr.splitlines()[-1] for other in others)
    assert len(list((folders[0] / paths.RESUME).rglob("*.json"))) == 2
    assert not (folders[0] / "reports").exists()

    assert process_of(victim) is None

    for folder in folders:
        assert stage(folder, run := Serial()).returncode == 0
        assert len(run.done) == (1 if folder.name == "ray" else 3)
    assert metrics(folders[0]) == metrics(folders[1])
