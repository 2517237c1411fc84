"""What layers such as dropout and stochastic depth draw in training, so that it does not depend on what ran before."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from hidden_structure.seeding import Name, seed_of


@contextmanager
def noise(device: torch.device, *names: Name) -> Iterator[Callable[[int], None]]:
    """Gives what is to be called at the beginning of each step, with its number: it seeds the global generators that
    layers draw from, on the CPU and on the device, by these names and the number. After the block they are as before.

    Every step is seeded, whether its network draws or not: that cannot be told beforehand, and takes microseconds.
    """
    generators = [torch.default_generator, *_of_device(device)]
    states = [generator.get_state() for generator in generators]

    def begin(step: int) -> None:
        seed = seed_of("noise", *names, step)
        for generator in generators:  # torch.manual_seed looks for all kinds of devices, which takes far longer
            generator.manual_seed(seed)

    try:
        yield begin
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def _of_device(device: torch.device) -> list[torch.Generator]:
    if device.type == "cuda":
        return [torch.cuda.default_generators[device.index]]
    return [torch.mps._get_default_mps_generator()] if device.type == "mps" else []
