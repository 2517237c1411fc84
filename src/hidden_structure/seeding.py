"""Named random generators: every draw comes from one, and its seed depends on its name alone.

Names are hashed with SHA-256, because Python's `hash` of a string differs between processes.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch  # below where it is used: stages that draw with numpy alone start in half the time

Name = str | int


def seed_of(*names: Name) -> int:
    """A seed in [0, 2**32) that depends on the sequence of names, e.g. seed_of("order", seed, epoch)."""
    digest = hashlib.sha256(json.dumps(names).encode()).digest()
    return int.from_bytes(digest[:4], "little")


def torch_generator(*names: Name) -> "torch.Generator":
    """A CPU generator, so that the same names give the same draws whichever device computes."""
    import torch

    return torch.Generator().manual_seed(seed_of(*names))


def numpy_generator(*names: Name) -> np.random.Generator:
    return np.random.default_rng(seed_of(*names))


@contextmanager
def global_seed(*names: Name) -> Iterator[None]:
    """Seed torch's global CPU generator inside the block only: module constructors draw from nothing else."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(*names))
        yield
