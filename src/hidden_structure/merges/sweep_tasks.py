"""Tasks on Ray, each in a process with one thread: one that crashes or is killed takes no other along.

What a task makes it must write to files; only a line of text travels back. Ray is an optional extra and is imported
only here.
"""

import atexit
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from hidden_structure.frame.artifacts import read_json, write_json
from hidden_structure.frame.errors import InputError

SOCKETS = 68  # characters that Ray adds to its temporary folder for a socket's path, which systems limit to about 104
OWNER = "owner.json"  # in Ray's temporary folder: which process started it
PATIENCE = 5.0  # seconds in which Ray is to end by itself
# A busy machine starts Ray's processes slowly: seconds to wait for them, where the defaults are 30 and 60.
START = {"RAY_gcs_server_port_wait_time_s": "120", "RAY_worker_register_timeout_seconds": "240"}
OBJECTS = 80 * 2**20  # bytes of shared memory, little more than the least that Ray takes: hardly anything is shared


def run(tasks: Mapping[str, tuple], function: Callable[..., str], workers: int, address: str | None) -> dict[str, str]:
    """Call function(*tasks[name]) for every name, and print the line that it returns.

    The function must belong to an installed module, for Ray finds it there by its name. It runs in this process's
    folder, which the machines of a cluster must share. A local worker computes on one core, and where there are GPUs on
    its share of one; a task of a cluster asks for one core, and for one GPU if this machine has any.

    Args:
        workers: processes of the local instance.
        address: of a running cluster, which has its own number of workers; None: start a local instance.

    Returns why tasks failed, by name; the others are done.

    SIGINT and SIGTERM end the local instance within seconds, and the process in one line. Of one that was killed the
    next call ends what it left running.

    Raises InputError if Ray is not installed or does not start, or there is no cluster at the address.
    """
    gpus = torch.cuda.device_count()
    share = 1 / max(1, -(-workers // gpus)) if gpus and address is None else min(gpus, 1)
    with _stoppable(), _instance(workers, address) as ray:
        remote = ray.remote(num_cpus=1, num_gpus=share, max_retries=0)(_alone)
        waiting = {remote.options(name=name).remote(os.getcwd(), function, task): name for name, task in tasks.items()}
        lost = {}
        while waiting:
            (finished,), _ = ray.wait(list(waiting))
            name = waiting.pop(finished)
            try:
                print(ray.get(finished), flush=True)
            except ray.exceptions.RayError as error:
                lost[name] = _reason(error)
                print(f"{name}: no result, {lost[name]}", flush=True)
    return lost


def _alone(folder: str, function: Callable[..., str], arguments: tuple) -> str:
    os.chdir(folder)
    torch.set_num_threads(1)  # so that the bytes do not depend on how many workers share the cores
    return function(*arguments)


def _reason(error: Exception) -> str:
    """In one line: of an exception inside a task Ray tells the whole traceback, which ends with the exception."""
    text, inside = str(error).strip(), getattr(error, "cause", None)
    if inside is not None and not isinstance(inside, InputError):
        print(text, file=sys.stderr)  # a fault of the program, which a line does not explain
    return text.splitlines()[-1] if inside else text.split(". ")[0].splitlines()[0]


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGINT and SIGTERM become a KeyboardInterrupt inside, and end the process in one line."""
    came: list[int] = []

    def stop(number: int, _: object) -> None:
        came.append(number)
        if len(came) == 1:  # further ones must not break off what ends Ray
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        number = signal.Signals(came[0] if came else signal.SIGINT)
        line = f"sweep: stopped by {number.name}: finished cells are kept, `dvc repro` computes the rest"
        print(line, file=sys.stderr, flush=True)
        sys.exit(128 + number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _instance(workers: int, address: str | None) -> Iterator:
    """The module ray, connected; disconnected afterwards, and a local instance ended, whatever happens."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # or Ray sends statistics home
    if address is None:
        os.environ.setdefault("RAY_worker_niceness", "0")  # or workers hardly run beside anything else
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # or whoever reaches its ports may run code here
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # or Ray writes one into the home directory
        for name, seconds in START.items():
            os.environ.setdefault(name, seconds)
    try:
        import ray
    except ImportError as error:
        raise InputError("sweep needs Ray: pip install 'hidden-structure[sweep]', or set sweep to null") from error
    _end_leftovers(_short_folder())
    with tempfile.TemporaryDirectory(prefix="ray-", dir=_short_folder(), ignore_cleanup_errors=True) as folder:
        write_json(Path(folder) / OWNER, _owner(os.getpid()))
        try:
            _start(ray, workers, address, folder)
            yield ray
        finally:
            _end(ray, folder)


def _start(ray, workers: int, address: str | None, folder: str) -> None:
    """Connect to a cluster, or start a local instance; that is tried twice, for a busy machine may be too slow."""
    options = {"address": address or "local", "log_to_driver": False, "logging_level": "error"}
    if address is None:
        options |= {"num_cpus": workers, "num_gpus": torch.cuda.device_count(), "include_dashboard": False}
        options |= {"object_store_memory": OBJECTS, "_temp_dir": folder}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for last in (False, True):
        try:
            _knock(address)
            ray.init(**options)
        except Exception as error:  # Ray raises a dozen types, each means the same to the user
            if not (address or last):
                print(f"Ray did not start ({' '.join(str(error).split())}): once more", file=sys.stderr, flush=True)
                _end(ray, folder)
                continue
            where = f"no cluster lets us in at sweep.address {address}" if address else "no instance starts here"
            hint = ": is it running, and is RAY_AUTH_MODE=token set if it wants a token?" if address else ""
            raise InputError(f"Ray: {where} ({error}){hint}") from error
        finally:
            for number, handler in handlers.items():  # Ray puts its own in their place
                signal.signal(number, handler)
        return


def _end(ray, folder: str) -> None:
    """Within seconds; Ray by itself would wait without end for a server that does not answer."""
    ending = threading.Thread(target=ray.shutdown, daemon=True)
    try:
        ending.start()
        ending.join(PATIENCE)
    finally:
        _kill(Path(folder))
        if ending.is_alive():
            atexit.unregister(ray.shutdown)  # or it would be called, and wait, once more


def _kill(folder: Path) -> None:
    """Kill what runs of the instance with this temporary folder."""
    import psutil  # Ray brings it along

    for _ in range(3):  # what was being started meanwhile is found next time
        processes = list(_processes(folder))
        for process in processes:
            with suppress(psutil.Error):
                process.kill()
        if not processes:
            return
        psutil.wait_procs(processes, timeout=1)


def _processes(folder: Path) -> Iterator:
    """Ray's processes that have the folder in their arguments or write there; workers overwrite their arguments."""
    import psutil

    own = psutil.Process()
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended, or is not ours
            if process == own or process.username() != own.username():
                continue
            arguments = process.cmdline()
            if not any(text.startswith("ray::") or f"{os.sep}ray{os.sep}" in text for text in arguments):
                continue
            named = any(f"{folder}{os.sep}" in text for text in arguments)
            if named or any(folder in Path(file.path).parents for file in process.open_files()):
                yield process


def _owner(process: int) -> dict:
    """Identify a process: tell it from a later one with the same number, and from those of other machines."""
    import psutil

    return {"host": socket.gethostname(), "process": process, "started": psutil.Process(process).create_time()}


def _end_leftovers(parent: Path) -> None:
    """End this user's instances whose owner was killed, and remove their folders."""
    for folder in parent.glob("ray-*"):
        with suppress(OSError, InputError):  # it is another user's, or just being removed
            if folder.is_symlink() or folder.stat().st_uid != os.getuid() or not (folder / OWNER).is_file():
                continue
            if _is_dead(read_json(folder / OWNER)):
                print("sweep: ending what a killed one left running", file=sys.stderr, flush=True)
                _kill(folder)
                shutil.rmtree(folder, ignore_errors=True)


def _is_dead(owner: dict) -> bool:
    """True if it was a process of this machine, and has ended."""
    import psutil

    if owner["host"] != socket.gethostname():
        return False
    try:
        now = _owner(owner["process"])
        return now["started"] != owner["started"] or psutil.Process(owner["process"]).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _knock(address: str | None) -> None:
    """Ray itself would try for minutes. Raises OSError if nothing listens where the address names a port."""
    host, _, port = (address or "").rpartition("/")[2].rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _short_folder() -> Path:
    usual = Path(tempfile.gettempdir())
    return usual if len(str(usual / "ray-12345678")) + SOCKETS <= 104 else Path("/tmp")
