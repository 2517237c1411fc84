"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
SECONDS = 15.0  # between two lines, where there is no terminal

# Where a task's progress goes, which others' stand beside: None in a process that works alone.
_report: ContextVar[Callable[[str], None] | None] = ContextVar("report", default=None)


def track(items: Iterable[Item], label: str, total: int | None = None, seconds: float = SECONDS) -> Iterator[Item]:
    """Yield items while showing how many are done; off a terminal one line every so many seconds and at the end."""
    report = _report.get()
    if report is None and sys.stderr.isatty():
        yield from tqdm(items, desc=label, total=total, leave=False)
        return
    total = total if total is not None else len(items)  # type: ignore[arg-type]
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if report is not None:
            if now - last >= 1:
                report(f"{done}/{total}")
                last = now
        elif now - last >= seconds or (done == total and now - start >= seconds):
            print(f"{label}: {done}/{total} after {now - start:.0f} s", file=sys.stderr, flush=True)
            last = now


@contextmanager
def reporting(report: Callable[[str], None]) -> Iterator[None]:
    """Inside, `track` tells how far it is to `report`, instead of showing it."""
    token = _report.set(report)
    try:
        yield
    finally:
        _report.reset(token)


class Board:
    """How far several tasks are, on one line: a bar on a terminal, a line every so many seconds elsewhere."""

    def __init__(self, label: str, total: int, done: int = 0, seconds: float = SECONDS) -> None:
        self.label, self.total, self.count, self.seconds = label, total, done, seconds
        self.running: dict[str, str] = {}
        self.start = self.last = time.monotonic()
        terminal = sys.stderr.isatty()
        self.bar = tqdm(total=total, initial=done, desc=label, leave=False) if terminal else None

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def show(self, name: str, progress: str) -> None:
        """Of a task that is running."""
        self.running[name] = progress
        self._tell()

    def done(self, name: str) -> None:
        self.running.pop(name, None)
        self.count += 1
        if self.bar is not None:
            self.bar.update()
        self._tell()

    def print(self, line: str) -> None:
        """A line of a task's own."""
        tqdm.write(line, file=sys.stdout) if self.bar is not None else print(line, flush=True)

    def _tell(self) -> None:
        running = "; ".join(f"{name} {progress}" for name, progress in self.running.items())
        if self.bar is not None:
            self.bar.set_postfix_str(running, refresh=False)
            return
        now = time.monotonic()
        if now - self.last >= self.seconds:
            said = f"{self.label}: {self.count}/{self.total} after {now - self.start:.0f} s"
            print(f"{said} ({running})" if running else said, file=sys.stderr, flush=True)
            self.last = now
