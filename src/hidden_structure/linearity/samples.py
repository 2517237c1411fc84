"""Where the samples of a batch lie in the output of a layer: mostly along its first axis, but not always.

Networks that read sequences may have them along the second, and windows of an image, or the tokens of several, may lie
in one axis with the images.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hidden_structure.frame.errors import InputError

FEW = 2  # samples, and twice as many: of one alone a network may drop the axis
TOLERANCE = 1e-3  # relative: another number of samples may be added up in another order


@dataclass(frozen=True)
class Samples:
    """axis: along which the samples lie, within an order of `before` x samples x `after` entries."""

    axis: int = 0
    before: int = 1
    after: int = 1

    def first(self, values: Tensor) -> Tensor:
        """The values (n, ...) with the samples along the first axis and nothing else in it: a view."""
        if self.before * self.after == 1:
            return values.movedim(self.axis, 0)
        return values.unflatten(self.axis, (self.before, -1, self.after)).movedim(self.axis + 1, 0)


def samples_in(few: object, twice: object, layer: str) -> Samples | None:
    """Where they lie, from what a layer gives for FEW samples and for twice as many, of which these are the first.

    None if these are no tensors of which one axis is twice as long for twice the samples, and all others alike.

    Raises InputError, which names the layer, if samples share an axis with other entries in no order that is known.
    """
    if not (isinstance(few, Tensor) and isinstance(twice, Tensor)) or few.dim() != twice.dim():
        return None
    longer = [axis for axis, sizes in enumerate(zip(few.shape, twice.shape, strict=True)) if sizes[0] != sizes[1]]
    if len(longer) != 1 or twice.shape[longer[0]] != 2 * few.shape[longer[0]] or few.shape[longer[0]] % FEW:
        return None
    (axis,) = longer
    each = few.shape[axis] // FEW
    if each == 1:
        return Samples(axis)
    for before in (divisor for divisor in range(1, each + 1) if each % divisor == 0):
        order = Samples(axis, before, each // before)
        if _alike(order.first(few), order.first(twice)[:FEW]):
            return order
    raise InputError(
        f"the output of {layer} holds its samples in no order that is known: give them an axis of their own"
    )


def _alike(x: Tensor, y: Tensor) -> bool:
    x, y = (each if each.is_complex() else each.double() for each in (x, y))
    return bool(torch.linalg.vector_norm(x - y) <= TOLERANCE * torch.linalg.vector_norm(x))
