"""Tasks on Ray, each in a process with one thread: one that crashes or is killed takes no other along.

What a task makes it must write to files; only a line of text travels back. Ray is an optional extra and is imported
only here.
"""

import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from hidden_structure.errors import InputError

SOCKETS = 68  # characters that Ray adds to its temporary folder for a socket's path, which systems limit to about 104
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

    Raises InputError if Ray is not installed or does not start, or there is no cluster at the address.
    """
    gpus = torch.cuda.device_count()
    share = 1 / max(1, -(-workers // gpus)) if gpus and address is None else min(gpus, 1)
    with _instance(workers, address) as ray:
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
def _instance(workers: int, address: str | None) -> Iterator:
    """The module ray, connected; disconnected afterwards, and a local instance stopped, whatever happens."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # or Ray sends statistics home
    if address is None:
        os.environ.setdefault("RAY_worker_niceness", "0")  # or workers hardly run beside anything else
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # or whoever reaches its ports may run code here
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # or Ray writes one into the home directory
    try:
        import ray
    except ImportError as error:
        raise InputError("sweep needs Ray: pip install 'hidden-structure[sweep]', or empty sweep.lrs") from error
    quiet = {"log_to_driver": False, "logging_level": "error"}
    with tempfile.TemporaryDirectory(prefix="ray-", dir=_short_folder(), ignore_cleanup_errors=True) as folder:
        local = {"num_cpus": workers, "num_gpus": torch.cuda.device_count(), "include_dashboard": False}
        local |= {"object_store_memory": OBJECTS, "_temp_dir": folder}
        try:
            _knock(address)
            ray.init(address=address or "local", **quiet, **({} if address else local))
        except Exception as error:  # Ray raises a dozen types, each means the same to the user
            ray.shutdown()
            where = f"no cluster lets us in at sweep.address {address}" if address else "no instance starts here"
            hint = ": is it running, and is RAY_AUTH_MODE=token set if it wants a token?" if address else ""
            raise InputError(f"Ray: {where} ({error}){hint}") from error
        try:
            yield ray
        finally:
            ray.shutdown()


def _knock(address: str | None) -> None:
    """Ray itself would try for minutes. Raises OSError if nothing listens where the address names a port."""
    host, _, port = (address or "").rpartition("/")[2].rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _short_folder() -> Path:
    usual = Path(tempfile.gettempdir())
    return usual if len(str(usual / "ray-12345678")) + SOCKETS <= 104 else Path("/tmp")
