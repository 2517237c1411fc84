"""Independent computations as named tasks, as many at once as there are cores, each in a process with one thread.

What a task gives it writes to a file itself, so a run that is started again computes what is missing. A task computes
with as many threads as `hardware.threads` says, however many others run: the bytes depend on neither.
"""

import io
import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hidden_structure.frame import machine
from hidden_structure.frame.artifacts import read_json, write_json
from hidden_structure.frame.errors import InputError, one_line
from hidden_structure.frame.progress import Board, reporting, track
from hidden_structure.frame.sections import Hardware, Tasks

ATTEMPTS = 3  # at a task whose process is killed, for instance because memory is short
PATIENCE = 5.0  # seconds in which a process is to end by itself
Function = Callable[..., Any]


def result(folder: Path, name: str) -> Path:
    """Where the task of that name keeps what it gave."""
    return folder / "tasks" / f"{quote(name, safe=' ,=+')}.json"


def run(
    label: str, function: Function, tasks: Mapping[str, tuple], folder: Path, where: Tasks, hardware: Hardware
) -> dict[str, Any]:
    """Call function(*tasks[name]) for every name; gives what it returned by name, in the order of the tasks.

    Tasks run in this process where there is only one worker or one task left, in forked or (with a GPU) newly started
    processes of this machine, or on a Ray cluster. So the function must belong to a module, its arguments must be such
    as can be pickled, and be few: what a task works on it reads itself, where a cluster's machines share this folder.

    Args:
        label: of the progress.
        function: what it returns must be JSON-able; what is large it writes to files in `folder`, atomically.
        tasks: their names must differ from those of other calls with this folder. Give those that take long first.
        folder: of the stage's `workplace`: named after all that the results depend on.

    Raises InputError, which names the task, if one raises an error or its process is killed three times; the others are
    ended then, and go on where they were when started again.
    """
    missing = {name: arguments for name, arguments in tasks.items() if not result(folder, name).is_file()}
    files = {name: result(folder, name) for name in missing}
    own: dict[str, Any] = {}
    if missing and where.address:
        from hidden_structure.frame import ray_cluster

        ray_cluster.run(label, function, missing, files, where.address, hardware)
    elif missing and (workers := machine.workers(where.workers, hardware, len(missing))) > 1:
        with Board(label, len(tasks), len(tasks) - len(missing)) as board:
            _Pool(function, missing, files, hardware, board).run(workers)
    elif missing:
        own = _one_after_the_other(label, function, missing, files, hardware)
    return {name: own[name] if name in own else read_json(result(folder, name)) for name in tasks}


def _one_after_the_other(
    label: str, function: Function, tasks: Mapping[str, tuple], files: Mapping[str, Path], hardware: Hardware
) -> dict[str, Any]:
    """In this process. Of several that compute together (torchrun) the first writes; to the others it is given back
    what they computed, for the first may not be so far yet."""
    first = int(os.environ.get("RANK", "0")) == 0
    found = {}
    for name, arguments in track(tasks.items(), label) if first else tasks.items():
        try:
            with machine.threads(hardware.threads):
                found[name] = function(*arguments)
        except Exception as error:
            if not (line := one_line(error)):
                error.add_note(f"(in the task {name})")
                raise
            raise InputError(f"{name}: {line}") from error
        if first:
            write_json(files[name], found[name])
    return {} if first else found


@dataclass
class _Worker:
    process: multiprocessing.process.BaseProcess
    connection: Connection
    slot: int
    task: str | None = None


@dataclass
class _Pool:
    """Processes of this machine."""

    function: Function
    tasks: Mapping[str, tuple]
    files: Mapping[str, Path]
    hardware: Hardware
    board: Board

    def run(self, workers: int) -> None:
        killed = self._compute(list(self.tasks), workers)
        for attempt in range(2, ATTEMPTS + 1):
            for name, reason in list(killed.items()):  # each alone: the others may have taken the memory
                again = f"it is tried again, by itself ({attempt} of {ATTEMPTS})"
                print(f"{name}: its process {reason}, {again}", file=sys.stderr, flush=True)
                del killed[name]
                killed |= self._compute([name], 1)
        for name, reason in killed.items():
            mend = "if memory is short, lower the sizes in params.yaml"
            raise InputError(f"{name}: its process {reason}, {ATTEMPTS} times: {mend}")

    def _compute(self, names: list[str], workers: int) -> dict[str, str]:
        """Gives what became of the processes of those tasks that were killed."""
        waiting, killed = names[::-1], {}
        team: list[_Worker] = []
        try:
            for slot in range(min(workers, len(names))):
                team.append(self._start(slot))
                self._hand_on(team[-1], waiting)
            while team:
                ready = set(wait([worker.connection for worker in team]))
                for worker in [worker for worker in team if worker.connection in ready]:
                    try:
                        kind, message = worker.connection.recv()
                    except (EOFError, OSError):
                        team.remove(worker)
                        if reason := self._end_of(worker):
                            killed[worker.task] = reason
                        if waiting:
                            team.append(self._start(worker.slot))
                            self._hand_on(team[-1], waiting)
                        continue
                    self._heed(worker, kind, message)
                    if kind == "done":
                        self._hand_on(worker, waiting)
        finally:
            _end(team)
        return killed

    def _start(self, slot: int) -> _Worker:
        context = multiprocessing.get_context(machine.start_method(self.hardware))
        here, there = context.Pipe()
        arguments = there, self.hardware.threads, machine.gpu(self.hardware, slot)
        process = context.Process(target=_work, args=arguments, daemon=True)
        with warnings.catch_warnings():  # a forked process computes with one thread, so no pool of threads is missed
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        there.close()
        return _Worker(process, here, slot)

    def _hand_on(self, worker: _Worker, waiting: list[str]) -> None:
        """The next task; where there is none left the worker ends."""
        name = worker.task = waiting.pop() if waiting else None
        task = (self.function, self.tasks[name], self.files[name]) if name else None
        with suppress(OSError):  # it has died, as is seen when it is heard
            worker.connection.send(task)

    def _heed(self, worker: _Worker, kind: str, message: str) -> None:
        if kind == "error":
            raise InputError(f"{worker.task}: {message}")
        if kind == "done":
            self.board.done(worker.task)
        elif kind == "line":
            self.board.print(message)
        else:
            self.board.show(worker.task, message)

    def _end_of(self, worker: _Worker) -> str:
        """Why the process left a task undone; empty if it has not."""
        worker.process.join()
        worker.connection.close()
        if worker.task is None:
            return ""
        if self.files[worker.task].is_file():
            self.board.done(worker.task)
            return ""
        code = worker.process.exitcode or 0
        with suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit status {code}"


def _end(team: list[_Worker]) -> None:
    for worker in team:
        worker.process.terminate()
    for worker in team:
        worker.process.join(PATIENCE)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.connection.close()


def _work(connection: Connection, threads: int, gpu: str | None) -> None:
    """The life of a worker: one task after the other, until there is none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    lines = _Lines(lambda line: connection.send(("line", line)))
    with reporting(lambda progress: connection.send(("progress", progress))), redirect_stdout(lines):
        while task := connection.recv():
            function, arguments, file = task
            try:
                with machine.threads(threads):
                    given = function(*arguments)
                write_json(file, given)
                kind, message = "done", ""
            except Exception as error:
                if not (message := one_line(error)):
                    traceback.print_exc()
                    message = f"{type(error).__name__}: {error}"
                kind = "error"
            lines.end()
            connection.send((kind, message))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    wait([parent.sentinel])  # type: ignore[union-attr]
    os._exit(1)


class _Lines(io.TextIOBase):
    """Hands on whole lines."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self.send, self.rest = send, ""

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            self.send(line)
        return len(text)

    def end(self) -> None:
        if self.rest:
            self.write("\n")
