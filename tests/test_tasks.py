"""Tasks: the same bytes wherever they run, nothing computed twice, and nobody left behind."""

import contextlib
import functools
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch

from hidden_structure.frame import machine, progress, ray_cluster, tasks
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.section import only
from hidden_structure.frame.sections import Hardware, Merge, Tasks

HARDWARE = Hardware(device="cpu", precision="float32", threads=1)
NAMES = ("a", "b", "lr 0.1, seed 3", "µ/ü")


def run(folder: Path, function, named: dict, workers: int | None = 2, address: str | None = None) -> dict:
    return tasks.run("work", function, named, folder, Tasks(workers=workers, address=address), HARDWARE)


def written(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / "tasks").iterdir()}


def log(folder: Path) -> list[list[str]]:
    """[what, name, process] in the order in which it happened."""
    return [line.split("|") for line in (folder / "log").read_text().splitlines()]


def note(folder: Path, what: str, name: str) -> None:
    with (folder / "log").open("a") as file:
        file.write(f"{what}|{name}|{os.getpid()}\n")


# --- what tasks compute here ---


def compute(folder: Path, name: str, seconds: float = 0.0) -> dict:
    """Numbers whose last bits would tell another number of threads; and a file."""
    note(folder, "start", name)
    time.sleep(seconds)
    generator = torch.Generator().manual_seed(len(name))
    matrix = torch.randn(300, 300, generator=generator)
    print(f"{name} is computed\nby {torch.get_num_threads()} thread", end="")
    note(folder, "end", name)
    return {"name": name, "sum": (matrix @ matrix).sum().item(), "rows": (1, 2), "threads": torch.get_num_threads()}


def fails(folder: Path, name: str, kind: str) -> int:
    if name == "b" and kind == "input":
        raise InputError("the data are missing: get them")
    if name == "b" and kind == "fault":
        raise ValueError("3 is no name")
    if name == "b" and kind == "result":
        return object()
    note(folder, "end", name)
    return 1


def dies(folder: Path, name: str, times: int) -> str:
    """Task b kills its process so many times."""
    note(folder, "start", name)
    if name == "b" and sum(line[:2] == ["start", "b"] for line in log(folder)) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.2)
    note(folder, "end", name)
    return name


def goes_on(folder: Path, name: str) -> str:
    """The first two end, the others never."""
    note(folder, "start", name)
    for _ in progress.track(range(10**6) if name > "b" else range(2), name):
        time.sleep(0.05)
    return name


# --- the same, wherever ---


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_results_and_bytes_are_those_of_one_process_and_lines_arrive_whole(tmp_path, monkeypatch, capsys, method):
    if method == "fork" and machine.start_method(HARDWARE) != "fork":
        pytest.skip("processes are not forked here")
    monkeypatch.setattr(machine, "start_method", lambda hardware: method)
    found = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        found.append(run(folder, compute, {name: (folder, name) for name in NAMES}, workers))
        lines = capsys.readouterr().out.replace("thread", "thread\n").splitlines()
        assert sorted(filter(None, lines)) == sorted(
            line for name in NAMES for line in (f"{name} is computed", "by 1 thread")
        )
    assert found[0] == found[1]
    assert list(found[1]) == list(NAMES)
    assert found[0]["a"]["rows"] == [1, 2]
    assert written(tmp_path / "1") == written(tmp_path / "2")
    processes = {process for _, _, process in log(tmp_path / "2")}
    assert len(processes) == 2
    assert str(os.getpid()) not in processes
    assert {process for _, _, process in log(tmp_path / "1")} == {str(os.getpid())}


def classes_of(merge: Merge, name: str) -> dict:
    return {name: merge.classes, "keys": sorted(type(merge).model_fields)}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_some_keys_of_a_section_can_be_handed_to_a_task(tmp_path, monkeypatch, method):
    """Though no module holds the class that they have."""
    monkeypatch.setattr(machine, "start_method", lambda hardware: method)
    cut = only(Merge, "classes", "seed").model_validate({"classes": 4, "seed": 0})
    found = run(tmp_path, classes_of, {name: (cut, name) for name in "ab"})
    assert found == {name: {name: 4, "keys": ["classes", "seed"]} for name in "ab"}


@pytest.mark.parametrize("workers", [1, 2])
def test_only_what_is_missing_is_computed(tmp_path, workers):
    named = {name: (tmp_path, name) for name in NAMES}
    first = run(tmp_path, compute, named, workers)
    tasks.result(tmp_path, NAMES[2]).unlink()
    (tmp_path / "log").unlink()
    assert run(tmp_path, compute, named, workers) == first
    assert [name for what, name, _ in log(tmp_path) if what == "start"] == [NAMES[2]]
    assert run(tmp_path, compute, {}) == {}


def test_one_task_that_is_left_runs_in_this_process(tmp_path):
    run(tmp_path, compute, {"a": (tmp_path, "a")}, workers=5)
    assert log(tmp_path)[0] == ["start", "a", str(os.getpid())]


def test_of_processes_that_compute_together_the_first_alone_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    found = run(tmp_path, compute, {name: (tmp_path, name) for name in NAMES})
    assert [row["name"] for row in found.values()] == list(NAMES)
    assert not (tmp_path / "tasks").exists()
    monkeypatch.setenv("RANK", "0")
    run(tmp_path, compute, {name: (tmp_path, name) for name in NAMES})
    assert len(written(tmp_path)) == len(NAMES)
    assert {process for _, _, process in log(tmp_path)} == {str(os.getpid())}


# --- errors and kills ---


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_that_a_user_can_mend_is_one_line_that_names_the_task(tmp_path, workers):
    with pytest.raises(InputError, match=r"^b: the data are missing: get them$"):
        run(tmp_path, fails, {name: (tmp_path, name, "input") for name in "abc"}, workers)
    assert "b.json" not in written(tmp_path)


@pytest.mark.parametrize(("kind", "said"), [("fault", "ValueError: 3 is no name"), ("result", "TypeError: Object of")])
def test_a_fault_of_the_program_names_the_task_and_is_told_in_full(tmp_path, capfd, kind, said):
    named = {name: (tmp_path, name, kind) for name in "abc"}
    with pytest.raises(InputError, match=f"^b: {said}"):
        run(tmp_path, fails, named)
    assert "Traceback" in capfd.readouterr().err


def test_in_this_process_a_fault_of_the_program_stays_what_it_is_and_names_the_task(tmp_path):
    with pytest.raises(ValueError, match="3 is no name") as raised:
        run(tmp_path, fails, {name: (tmp_path, name, "fault") for name in "abc"}, 1)
    assert raised.value.__notes__ == ["(in the task b)"]


def test_a_task_whose_process_is_killed_is_tried_again_by_itself(tmp_path, capsys):
    found = run(tmp_path, dies, {name: (tmp_path, name, 2) for name in "abcd"})
    assert found == {name: name for name in "abcd"}
    events = [line[:2] for line in log(tmp_path)]
    assert events[-3:] == [["start", "b"], ["start", "b"], ["end", "b"]]
    assert sorted(events[:-3]) == sorted([["start", name] for name in "abcd"] + [["end", name] for name in "acd"])
    told = "b: its process was killed by SIGKILL, it is tried again, by itself"
    assert capsys.readouterr().err.splitlines() == [f"{told} (2 of 3)", f"{told} (3 of 3)"]


def test_a_task_that_is_killed_thrice_is_one_line_and_the_others_are_kept(tmp_path):
    with pytest.raises(InputError, match=r"^b: its process was killed by SIGKILL, 3 times: if memory is short, lower"):
        run(tmp_path, dies, {name: (tmp_path, name, 9) for name in "abcd"})
    assert written(tmp_path).keys() == {"a.json", "c.json", "d.json"}
    assert sum(line[:2] == ["start", "b"] for line in log(tmp_path)) == 3


SCRIPT = """
import signal
from pathlib import Path
from hidden_structure.frame.errors import one_line_errors
from test_tasks import goes_on, run

signal.signal(signal.SIGINT, signal.default_int_handler)  # which is ignored where tests run in the background

@one_line_errors
def main():
    run(Path(), goes_on, {name: (Path(), name) for name in "abcd"})

main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whoever_is_stopped_leaves_no_process_behind_and_keeps_what_is_done(tmp_path, number):
    """Ctrl-C goes to all processes of a terminal, the others to the first alone."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command, pipes = [sys.executable, "-c", SCRIPT], {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, start_new_session=True, text=True, **pipes
    ) as running:
        deadline = time.monotonic() + 120
        while not (tmp_path / "log").is_file() or len(log(tmp_path)) < 4:
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        workers = {psutil.Process(int(process)) for _, _, process in log(tmp_path)}
        assert len(workers) == 2
        (os.killpg if number == signal.SIGINT else os.kill)(running.pid, number)
        _, stderr = running.communicate(timeout=120)
        left = psutil.wait_procs(workers, timeout=100)[1]
    assert not left
    assert running.returncode == (130 if number == signal.SIGINT else -number)
    if number == signal.SIGINT:
        assert stderr.splitlines()[-1].startswith("stopped by Ctrl-C")
        assert "Traceback" not in stderr
    assert written(tmp_path) == {f"{name}.json": f'"{name}"\n'.encode() for name in "ab"}


# --- progress ---


def test_progress_of_all_tasks_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    board = progress.Board("work", 4, 1, seconds=0)
    board.show("b", "3/7")
    board.show("c", "1/7")
    board.done("b")
    told = [line.replace(" after 0 s", "") for line in capsys.readouterr().err.splitlines()]
    assert told == ["work: 1/4 (b 3/7)", "work: 1/4 (b 3/7; c 1/7)", "work: 2/4 (c 1/7)"]
    quiet = progress.Board("work", 4)
    quiet.done("a")
    assert not capsys.readouterr().err


def reports(folder: Path, name: str) -> None:
    deadline = time.monotonic() + 60
    for item in progress.track(range(3), name):
        (folder / f"{name} is at {item}").touch()
        while item == 2 and len(list(folder.glob("* is at 2"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)  # for the other one
        time.sleep(0.6)


def test_a_worker_tells_how_far_its_task_is_instead_of_showing_it(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(tasks, "Board", functools.partial(progress.Board, seconds=0))
    run(tmp_path, reports, {name: (tmp_path, name) for name in "ab"})
    told = capfd.readouterr().err.splitlines()
    assert all(line.startswith("work: ") for line in told)
    assert any("(a 2/3; b 2/3)" in line or "(b 2/3; a 2/3)" in line for line in told)


# --- how many at once ---


def limits(monkeypatch, cores: int, gigabytes: float, gpus: int = 0) -> None:
    monkeypatch.setattr(machine, "cores", lambda: cores)
    monkeypatch.setattr(machine, "memory", lambda: int(gigabytes * 2**30))
    monkeypatch.setattr(machine, "gpus", lambda: [str(index) for index in range(gpus)])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)


AUTO = HARDWARE.model_copy(update={"device": "auto"})


@pytest.mark.parametrize(
    ("cores", "gigabytes", "gpus", "threads", "expected"),
    [
        (8, 64, 0, 1, 8),
        (8, 64, 0, 4, 2),
        (8, 64, 0, 16, 1),
        (8, 6.1, 0, 1, 4),
        (8, 0.1, 0, 1, 1),
        (64, 64, 0, 1, 20),
        (8, 6.1, 2, 1, 2),
    ],
)
def test_as_many_workers_as_cores_memory_and_gpus_allow(monkeypatch, cores, gigabytes, gpus, threads, expected):
    limits(monkeypatch, cores, gigabytes, gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    asked = AUTO.model_copy(update={"threads": threads})
    assert machine.workers(None, asked, 20) == expected
    limits(monkeypatch, cores, gigabytes, gpus=0)
    without = machine.workers(None, asked, 20)
    limits(monkeypatch, cores, gigabytes, gpus)
    assert machine.workers(None, machine.processors(asked), 20) == without


def test_never_more_workers_than_tasks_as_many_as_asked_for_and_one_under_torchrun(monkeypatch):
    limits(monkeypatch, 2, 64)
    assert machine.workers(None, HARDWARE, 1) == 1
    assert machine.workers(7, HARDWARE, 20) == 7
    assert machine.workers(7, HARDWARE, 3) == 3
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert machine.workers(7, HARDWARE, 20) == 1


def test_each_worker_has_its_gpu_and_is_no_fork(monkeypatch):
    assert machine.gpu(HARDWARE, 0) is None
    limits(monkeypatch, 8, 64, gpus=2)
    assert [machine.gpu(AUTO, slot) for slot in range(3)] == ["0", "1", "0"]
    assert machine.start_method(AUTO) == machine.start_method(HARDWARE) == "spawn"


def test_gpus_are_those_that_this_process_may_see(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert machine.gpus() == ["3", "5"]


@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [
        ({}, 10**6, None),
        ({"cpu.max": "max 100000", "memory.max": "max", "memory.current": "1"}, 10**6, None),
        ({"cpu.max": "250000 100000"}, 2, None),
        ({"cpu.max": "50000 100000"}, 1, None),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 10**6, None),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3, None),
        (
            {
                "memory.max": "1000000",
                "memory.current": "900000",
                "memory.stat": "anon 5\nactive_file 300\ninactive_file 20",
            },
            10**6,
            100_320,
        ),
        (
            {
                "memory/memory.limit_in_bytes": "1000000",
                "memory/memory.usage_in_bytes": "900000",
                "memory/memory.stat": "active_file 7\ntotal_active_file 300\ntotal_inactive_file 20",
            },
            10**6,
            100_320,
        ),
    ],
    ids=["none", "no limits", "cores", "part of a core", "no limit of v1", "cores of v1", "memory", "memory of v1"],
)
def test_the_limits_of_a_container_are_heeded_and_cached_files_count_as_free(
    tmp_path, monkeypatch, files, cores, memory
):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(10**6), raising=False)
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "missing")
    assert (machine.cores(), machine.memory()) == (cores, memory or sys.maxsize)


def test_threads_are_set_inside_and_put_back():
    before = torch.get_num_threads()
    with machine.threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


# --- Ray ---

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray, an optional extra, is not installed"
)


def test_without_ray_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"tasks\.address needs Ray: pip install 'hidden-structure\[ray\]'"):
        run(tmp_path, compute, {"a": (tmp_path, "a")}, address="127.0.0.1:1")


@needs_ray
def test_an_address_where_nothing_listens_is_one_line_at_once(tmp_path):
    with pytest.raises(InputError, match=r"^tasks\.address: no cluster lets us in at 127\.0\.0\.1:1 .*RAY_AUTH_MODE"):
        run(tmp_path, compute, {"a": (tmp_path, "a")}, address="127.0.0.1:1")


def test_a_machine_that_computes_otherwise_is_refused(tmp_path):
    computing = machine.computing("cpu") | {"torch": "1.0"}
    told = ray_cluster._work(str(tmp_path), HARDWARE, computing, compute, (tmp_path, "a"), "a.json")
    assert told.endswith(
        f"computes otherwise than the machine where the stage runs (torch {torch.__version__} for 1.0)"
    )
    assert not list(tmp_path.iterdir())


class Cluster:
    """Two nodes of one core each, on this machine, which end with the block."""

    def __init__(self, folder: str) -> None:
        with socket.socket() as free, socket.socket() as other:
            for each in (free, other):
                each.bind(("127.0.0.1", 0))
            self.address, self.client = (f"127.0.0.1:{each.getsockname()[1]}" for each in (free, other))
        self.folder, self.nodes = folder, []

    def __enter__(self) -> "Cluster":
        ports = [
            f"--port={self.address.partition(':')[2]}",
            f"--ray-client-server-port={self.client.partition(':')[2]}",
        ]
        self.start("--head", *ports, "--include-dashboard=false", f"--temp-dir={self.folder}")
        self.alive(1)
        self.start(f"--address={self.address}")
        self.alive(2)
        return self

    def start(self, *arguments: str) -> None:
        path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        beats = {"RAY_health_check_period_ms": "500", "RAY_health_check_failure_threshold": "3"}
        environment = os.environ | {"PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"} | beats
        options = ["--num-cpus=1", "--object-store-memory=80000000", "--block"]
        command = [str(Path(sys.executable).with_name("ray")), "start", *arguments, *options]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.nodes.append(subprocess.Popen(command, env=environment, **quiet))

    def alive(self, nodes: int) -> None:
        """Wait for so many."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(InputError), ray_cluster._connected(self.address) as ray:
                if sum(node["Alive"] for node in ray.nodes()) == nodes:
                    return
            time.sleep(0.2)
        raise TimeoutError

    def kill(self, node: int) -> None:
        process = psutil.Process(self.nodes[node].pid)
        for one in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self.nodes[node].wait()

    def __exit__(self, *_: object) -> None:
        for node, process in enumerate(self.nodes):
            if process.poll() is None:
                self.kill(node)


@needs_ray
def test_a_cluster_gives_the_same_bytes_and_outlives_a_machine(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # else a token that the user has is asked for
    names = [f"task {number}" for number in range(6)]
    folders = [tmp_path / name for name in ("errors", "ray", "client", "local")]
    for folder in folders:
        folder.mkdir()
    errors, there, client, here = folders

    def lose_a_machine() -> None:
        deadline = time.monotonic() + 120
        while not (there / "log").is_file() or len({process for _, _, process in log(there)}) < 2:
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)
        cluster.kill(1)

    with (
        tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as short,  # as sockets need it
        Cluster(short) as cluster,
    ):
        with pytest.raises(InputError, match=r"^b: ValueError: 3 is no name$"):
            run(errors, fails, {name: (errors, name, "fault") for name in "ab"}, address=cluster.address)
        assert "in fails" in capfd.readouterr().err, "a fault of the program is told in full"
        killer = threading.Thread(target=lose_a_machine, daemon=True)
        killer.start()
        found = run(there, compute, {name: (there, name, 1.0) for name in names}, address=cluster.address)
        killer.join()
        started = [name for what, name, _ in log(there) if what == "start"]
        assert len(started) > len(set(started)) == len(names), "no task was lost with the machine"
        through = run(client, compute, {name: (client, name) for name in names}, address=f"ray://{cluster.client}")
    assert found == through == run(here, compute, {name: (here, name) for name in names}, 1)
    assert written(there) == written(client) == written(here)
