"""Errors that a user can mend, told in one line."""

import errno
import functools
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

P = ParamSpec("P")
INTERRUPTED = 128 + 2  # what a shell says of a program that Ctrl-C ended


class InputError(Exception):
    """Something outside the program is wrong; the message is one line that says what, and how to mend it."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class Damaged(InputError):
    """A file is missing, or is not what its stage writes."""


@contextmanager
def about(what: str) -> Iterator[None]:
    """Begin the message of every InputError inside the block with what it is about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{what}: {error}") from error


@contextmanager
def by_key(argument: str, key: str) -> Iterator[None]:
    """Where an InputError inside the block speaks of an argument, speak of the key of params.yaml that it came from."""
    try:
        yield
    except InputError as error:
        raise InputError(re.sub(rf"(?<![\w.]){argument}(?!\w)", key, str(error))) from error


def one_line_errors(main: Callable[P, None]) -> Callable[P, None]:
    """Decorate a script's main: what a user can mend becomes one line on stderr and exit status 1; Ctrl-C, 130."""

    @functools.wraps(main)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            main(*args, **kwargs)
        except KeyboardInterrupt:
            print("stopped by Ctrl-C: started again, a training goes on where it was", file=sys.stderr)
            sys.exit(INTERRUPTED)
        except (InputError, MemoryError, RuntimeError, OSError) as error:
            if not (line := one_line(error)):
                raise
            sys.exit(f"error: {line}")

    return wrapped


def one_line(error: BaseException) -> str:
    """What is wrong and how to mend it, of an error that a user can mend; empty of a fault of the program."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, (MemoryError, RuntimeError, OSError)) and (mend := _mend(error)):
        return str(InputError(f"{_words(error)}: {mend}"))
    return ""


def memory_is_short(error: Exception) -> bool:
    """PyTorch's allocators raise RuntimeError on the CPU, its subclass OutOfMemoryError on a GPU."""
    said = ("out of memory", "not enough memory", "allocate memory", "ALLOC_FAILED")
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in said)
    )


def _words(error: Exception) -> str:
    """An OSError's in the system's own words, and of which file."""
    if memory_is_short(error):
        return f"memory is short ({error})"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _mend(error: Exception) -> str:
    """What the user can do about it; nothing is to be done about a fault of the program."""
    if memory_is_short(error):
        return "free some, or lower the sizes in params.yaml"
    if not isinstance(error, OSError):
        return ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some space, and start again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "give yourself the right to it, and start again"
    return "mend that, and start again"
