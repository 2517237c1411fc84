"""What a computation costs, in a process of its own: what ran before it counts neither in time nor in memory."""

import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cost:
    result: Any
    wall: float  # seconds
    processors: float  # seconds, with the processes that it started and waited for
    peak: float  # MiB that the process held at most
    rise: float  # MiB of these above what it held at most before


def apart(function: Callable, *arguments: Any) -> Any:
    """What function(*arguments) returns in a fresh process; both must be of a module."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def cost(run: Callable[[], Any]) -> Cost:
    """Of one call, in this process. Whatever it loads should be loaded already."""
    before, start, processors = _peak(), time.perf_counter(), _processors()
    result = run()
    wall, processors = time.perf_counter() - start, _processors() - processors
    return Cost(result, wall, processors, _peak(), _peak() - before)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _processors() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in (resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
