"""One process at a time: locks on files, which the system itself releases when their holder dies.

Where there is no flock (Windows, some network file systems) nobody is kept out, and nothing counts as left over.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hidden_structure.frame import paths
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.workplace import unchanged

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def alone(stage: str) -> Iterator[None]:
    """Keep other processes out of the stage, whatever their params: all write the same outputs.

    Under torchrun the first process takes the lock for all of them.

    Raises InputError if another process has it: who, since when, and how to mend it; or if at the end params or code of
    the stage are not what they were.
    """
    if int(os.environ.get("RANK", "0")) > 0:
        yield
        return
    path = paths.lock(stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, taken = _open(path)
    try:
        if taken:
            holder = os.read(descriptor, 1000).decode(errors="replace") or "another process"
            raise InputError(
                f"{stage} is already run by {holder} ({path} is locked): end that process, or let it finish, and start"
                " again: a training that was ended goes on where it was"
            )
        try:
            os.ftruncate(descriptor, 0)  # of a holder that was killed
            now = time.strftime("%Y-%m-%d %H:%M:%S")
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {now}".encode())
            with unchanged(stage):
                yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def running() -> list[str]:
    """The stages that living processes run in this folder."""
    return [path.stem for path in sorted(paths.lock("*").parent.glob("*.lock")) if _held(path)]


def hold(descriptor: int, path: Path) -> bool:
    """Lock a file just made, until it is closed; False if `remove_left_over` found it before it was locked."""
    return not _taken(descriptor) and _is_at(descriptor, path)


def remove_left_over(path: Path) -> None:
    """Remove a file, unless a living process holds it."""
    if fcntl is None:
        return
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:  # removed meanwhile, or another user's
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except OSError:  # held, or there are no locks
        return
    finally:
        os.close(descriptor)


def _open(path: Path) -> tuple[int, bool]:
    """A descriptor of the file, and whether somebody else has it; otherwise it is locked."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        taken = _taken(descriptor)
        if taken or _is_at(descriptor, path):
            return descriptor, taken
        os.close(descriptor)  # its holder, who was just about to finish, has removed it


def _held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:  # removed meanwhile, or another user's
        return False
    try:
        return _taken(descriptor)
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    """Has somebody else locked the file? If not, it is locked now, for as long as it is open."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    return False


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
