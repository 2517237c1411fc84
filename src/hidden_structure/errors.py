"""Errors that a user can mend, told in one line."""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")


class InputError(Exception):
    """Something outside the program is wrong; the message is one line that says what, and how to mend it."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def one_line_errors(main: Callable[P, None]) -> Callable[P, None]:
    """Decorate a script's main: an InputError becomes one line on stderr and exit status 1."""

    @functools.wraps(main)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            main(*args, **kwargs)
        except InputError as error:
            sys.exit(f"error: {error}")
        except (MemoryError, RuntimeError, OSError) as error:
            # What the machine lacks: allocators raise RuntimeError on the CPU, its subclass OutOfMemoryError on a GPU.
            if isinstance(error, RuntimeError) and "memory" not in str(error):
                raise
            lacks = "the machine cannot do it" if isinstance(error, OSError) else "memory is short"
            sys.exit(f"error: {lacks} ({' '.join(str(error).split())}): free some, or lower the sizes in params.yaml")

    return wrapped
