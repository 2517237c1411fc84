"""What layers such as dropout and stochastic depth draw in training, so that it does not depend on what ran before."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from hidden_structure.seeding import Name, global_seed


class Noise:
    """The steps of one epoch, in each of which layers draw from torch's global generators by a seed of that step.

    Few networks draw at all, and seeding takes as long as a small network's step: after a step that has drawn nothing
    none of the epoch is seeded.
    """

    def __init__(self, device: torch.device, *names: Name) -> None:
        """device: the network's. names: of the epoch."""
        self.device, self.names, self.drawing = device, names, True

    @contextmanager
    def step(self, number: int) -> Iterator[None]:
        if not self.drawing:
            yield
            return
        with global_seed("noise", *self.names, number):
            before = self._states()
            yield
            self.drawing = any(not torch.equal(*pair) for pair in zip(before, self._states(), strict=True))

    def _states(self) -> list[Tensor]:
        own = {"cuda": torch.cuda, "mps": torch.mps}.get(self.device.type)
        return [torch.get_rng_state(), *([own.get_rng_state()] if own else [])]
