"""Independent computations as named tasks: each in a process of its own, as many at once as there are cores.

What a task gives is written to a file by the task itself, so a run that is started again computes what is missing. One
thread a task (`hardware.threads`), however many workers share the cores: the bytes depend on neither.
"""

import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hidden_structure.frame import machine
from hidden_structure.frame.artifacts import read_json, write_json
from hidden_structure.frame.errors import InputError, one_line
from hidden_structure.frame.progress import Board, reporting
from hidden_structure.frame.sections import Hardware, Tasks

ATTEMPTS = 3  # at a task whose process is killed, for instance because memory is short
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
        folder: of the stage's `workplace`: named after all that the results depend on.

    Raises InputError, which names the task, if one raises an error or its process is killed three times; the others are
    ended then, and go on where they were when started again.
    """
    missing = {name: arguments for name, arguments in tasks.items() if not result(folder, name).is_file()}
    workers = machine.workers(where.workers, hardware, len(missing))
    files = {name: result(folder, name) for name in missing}
    own: dict[str, Any] = {}
    if missing and where.address:
        from hidden_structure.frame import ray_cluster

        ray_cluster.run(label, function, missing, files, where.address, hardware)
    elif workers > 1:
        _Pool(label, function, missing, files, workers, hardware, len(tasks)).run()
    else:
        for name, arguments in missing.items():
            with machine.threads(hardware.threads):
                try:
                    given = function(*arguments)
                except Exception as error:
                    if not (line := one_line(error)):
                        raise
                    raise InputError(f"{name}: {line}") from error
            if int(os.environ.get("RANK", "0")) > 0:
                own[name] = given  # the first process writes for all, and may not be so far yet
            else:
                write_json(files[name], given)
    return {name: own[name] if name in own else read_json(result(folder, name)) for name in tasks}


@dataclass
class _Running:
    process: multiprocessing.process.BaseProcess
    connection: Connection
    slot: int
    error: str | None = None


@dataclass
class _Pool:
    label: str
    function: Function
    tasks: dict[str, tuple]
    files: dict[str, Path]
    workers: int
    hardware: Hardware
    total: int
    attempts: dict[str, int] = field(default_factory=dict)
    running: dict[str, _Running] = field(default_factory=dict)

    def run(self) -> None:
        waiting = list(self.tasks)
        with Board(self.label, self.total, self.total - len(waiting)) as board:
            try:
                while waiting or self.running:
                    while waiting and len(self.running) < self.workers:
                        self._start(waiting.pop(0))
                    connections = {one.connection: name for name, one in self.running.items()}
                    for connection in wait(list(connections)):
                        name = connections[connection]
                        try:
                            kind, message = connection.recv()
                        except (EOFError, OSError):
                            if not self._finished(name):
                                waiting.insert(0, name)
                            else:
                                board.done(name)
                            continue
                        if kind == "error":
                            self.running[name].error = message
                        elif kind == "line":
                            board.print(message)
                        else:
                            board.show(name, message)
            finally:
                self._end()

    def _start(self, name: str) -> None:
        slot = min(set(range(self.workers)) - {one.slot for one in self.running.values()})
        context = multiprocessing.get_context(machine.start_method(self.hardware))
        receiving, sending = context.Pipe(duplex=False)
        gpu = machine.gpu(self.hardware, slot)
        arguments = sending, self.function, self.tasks[name], self.files[name], self.hardware.threads, gpu
        process = context.Process(target=_work, args=arguments, name=name, daemon=True)
        with warnings.catch_warnings():  # a forked process computes with one thread, so no pool of threads is missed
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        sending.close()
        self.running[name] = _Running(process, receiving, slot)
        self.attempts[name] = self.attempts.get(name, 0) + 1

    def _finished(self, name: str) -> bool:
        """False if the task is to be tried again."""
        one = self.running.pop(name)
        one.process.join()
        one.connection.close()
        if one.error is not None:
            raise InputError(f"{name}: {one.error}")
        if one.process.exitcode == 0 and self.files[name].is_file():
            return True
        reason = _reason(one.process.exitcode)
        if self.attempts[name] == ATTEMPTS:
            raise InputError(
                f"{name}: its process {reason}, {ATTEMPTS} times: if memory is short, lower tasks.workers or the sizes"
            )
        print(f"{name}: its process {reason}, it is tried again", file=sys.stderr, flush=True)
        return False

    def _end(self) -> None:
        for one in self.running.values():
            one.process.terminate()
        for one in self.running.values():
            one.process.join(5)
            if one.process.is_alive():
                one.process.kill()
                one.process.join()


def _reason(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit status {code}"


def _work(
    connection: Connection, function: Function, arguments: tuple, file: Path, threads: int, gpu: str | None
) -> None:
    """The life of a worker's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    lock = threading.Lock()

    def send(kind: str, message: Any) -> None:
        with lock:
            connection.send((kind, message))

    with (
        reporting(lambda progress: send("progress", progress)),
        redirect_stdout(_Lines(lambda line: send("line", line))),
    ):
        try:
            with machine.threads(threads):
                given = function(*arguments)
            write_json(file, given)
        except Exception as error:
            if not (line := one_line(error)):
                traceback.print_exc()
                line = f"{type(error).__name__}: {error}"
            send("error", line)
    connection.close()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    wait([parent.sentinel])  # type: ignore[union-attr]
    os._exit(1)


class _Lines:
    """A text file that hands on whole lines."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self.send, self.rest = send, ""

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            self.send(line)
        return len(text)

    def flush(self) -> None:
        pass
