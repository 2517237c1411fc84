"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def track(items: Iterable[Item], label: str, total: int | None = None, seconds: float = 15.0) -> Iterator[Item]:
    """Yield items while showing how many are done; off a terminal one line every so many seconds and at the end."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=label, total=total, leave=False)
        return
    total = total if total is not None else len(items)  # type: ignore[arg-type]
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= seconds or (done == total and now - start >= seconds):
            print(f"{label}: {done}/{total} after {now - start:.0f} s", file=sys.stderr, flush=True)
            last = now
