"""Where the samples of a batch lie in the output of a layer: mostly along its first axis, but not always.

Networks that read sequences may have them along the second, and windows of an image, or the tokens of several, may lie
in one axis with the images.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Samples:
    """axis: along which the samples lie, each with so many entries `each`, which lie together unless `apart`."""

    axis: int = 0
    each: int = 1
    apart: bool = False

    def first(self, values: Tensor) -> Tensor:
        """The values (n, ...) with the samples along the first axis and nothing else in it: a view."""
        if self.each == 1:
            return values.movedim(self.axis, 0)
        sizes = (self.each, -1) if self.apart else (-1, self.each)
        return values.unflatten(self.axis, sizes).movedim(self.axis + self.apart, 0)


def samples_in(one: object, both: object) -> Samples | None:
    """Where they lie, from what a layer gives for one image and for two of which it is the first.

    None if these are no tensors of which one axis is twice as long for two images as for one, and all others alike.
    """
    if not (isinstance(one, Tensor) and isinstance(both, Tensor)) or one.dim() != both.dim():
        return None
    longer = [axis for axis, sizes in enumerate(zip(one.shape, both.shape, strict=True)) if sizes[0] != sizes[1]]
    if len(longer) != 1 or both.shape[longer[0]] != 2 * one.shape[longer[0]]:
        return None
    (axis,) = longer
    ways = [Samples(axis, one.shape[axis], apart) for apart in (False, True)]
    return min(ways, key=lambda way: torch.dist(way.first(both)[0].float(), way.first(one)[0].float()).item())
