"""Tasks on a Ray cluster. Ray is an optional extra and is imported only here."""

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hidden_structure.frame import machine
from hidden_structure.frame.artifacts import write_json
from hidden_structure.frame.errors import InputError, one_line
from hidden_structure.frame.progress import Board
from hidden_structure.frame.sections import Hardware

RETRIES = 2  # of a task whose process or machine is lost


def run(
    label: str,
    function: Callable[..., Any],
    tasks: Mapping[str, tuple],
    files: Mapping[str, Path],
    address: str,
    hardware: Hardware,
) -> None:
    """Call function(*tasks[name]) for every name on the cluster, and write what it returns to files[name].

    The function runs in a folder that the machines must share, this process's own; hidden-structure must be installed
    on all. A task asks for `hardware.threads` cores, and for one GPU if this machine has any.

    Raises InputError if Ray is not installed, there is no cluster at the address, or a task fails, as it does on a
    machine that computes otherwise than this one: the others are ended then.
    """
    device = machine.device(hardware)
    options = {"num_cpus": hardware.threads, "num_gpus": int(device == "cuda")}
    with _connected(address) as ray, Board(label, len(tasks)) as board:
        remote = ray.remote(max_retries=RETRIES, **options)(_work)
        common = os.getcwd(), hardware, machine.computing(device), function
        waiting = {
            remote.options(name=name).remote(*common, arguments, str(files[name])): name
            for name, arguments in tasks.items()
        }
        try:
            while waiting:
                (finished,), _ = ray.wait(list(waiting))
                name = waiting.pop(finished)
                try:
                    error = ray.get(finished)
                except ray.exceptions.RayError as raised:
                    error = _reason(raised)
                if error:
                    raise InputError(f"{name}: {error}")
                board.done(name)
        except ConnectionError as error:  # of Ray's client
            raise InputError(f"tasks.address: the cluster at {address} was lost ({error}): start again") from error
        finally:
            for reference in waiting if ray.is_initialized() else ():  # else it would start a cluster of its own
                ray.cancel(reference, force=True)


def _work(
    folder: str,
    hardware: Hardware,
    computing: dict[str, str],
    function: Callable[..., Any],
    arguments: tuple,
    file: str,
) -> str:
    """The error that a user can mend, in one line, or nothing."""
    own = machine.computing(machine.device(hardware))
    if own != computing:
        unlike = ", ".join(f"{key} {own[key]} for {computing[key]}" for key in own if own[key] != computing[key])
        return f"{socket.gethostname()} computes otherwise than the machine where the stage runs ({unlike})"
    os.chdir(folder)
    try:
        with machine.threads(hardware.threads):
            given = function(*arguments)
        write_json(Path(file), given)
    except Exception as error:
        if line := one_line(error):
            return line
        raise
    return ""


def _reason(error: Exception) -> str:
    """In one line: of an exception inside a task Ray tells the whole traceback, which ends with the exception."""
    text = str(error).strip()
    if getattr(error, "cause", None) is None:
        return f"lost with its process or machine, {RETRIES + 1} times ({text.splitlines()[0]})"
    print(text, file=sys.stderr)  # a fault of the program, which a line does not explain
    return text.splitlines()[-1]


@contextmanager
def _connected(address: str) -> Iterator:
    """The module ray, connected to the cluster."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # or Ray sends statistics home
    try:
        import ray
    except ImportError as error:
        raise InputError("tasks.address needs Ray: pip install 'hidden-structure[ray]', or set it to null") from error
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except Exception as error:  # Ray raises a dozen types, each means the same to the user
        hint = "is it running, and is RAY_AUTH_MODE=token set if it wants a token?"
        raise InputError(f"tasks.address: no cluster lets us in at {address} ({error}): {hint}") from error
    finally:
        for number, handler in handlers.items():  # Ray puts its own in their place
            signal.signal(number, handler)
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Ray itself would try for minutes. Raises OSError if nothing listens where the address names a port."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()
