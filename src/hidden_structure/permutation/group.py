"""The permutation symmetries of a network as data: groups of entries, and where in which tensors they lie."""

from dataclasses import dataclass, field
from math import prod

from torch import Tensor, fx


@dataclass(frozen=True)
class Group:
    """`size` entries permuted together; with a parent, on their own for each of the parent's entries."""

    size: int
    parent: str | None = None


@dataclass(frozen=True)
class Factor:
    """One factor of a product of entries; `group` is None where nothing is permuted."""

    size: int
    group: str | None


Segment = tuple[Factor, ...]
Layout = tuple[Segment, ...]  # of one axis: segments one after the other, each a product, its first factor the slowest


@dataclass(frozen=True)
class Reading:
    """Activations that weights read: dimension `dimension` of what a node of the graph gives has that layout.

    attention: None, or the attention module that computes them from the node's output, and "q", "k" or "v". parents:
    None, or the dimension along which the parents of its units lie, as heads do; the layout is of both, theirs first.
    crossed: whether units of another group lie along other dimensions of these activations.
    """

    node: str
    dimension: int
    layout: Layout
    attention: tuple[str, str] | None
    parents: int | None = None
    crossed: bool = False


@dataclass(frozen=True)
class Symmetry:
    """groups: by name. layouts: of every tensor of the state dict that has a permuted axis, one layout an axis.

    frozen: groups that stay as they are but are the parent of others. across: tensors in which a group and its parent
    lie on different axes, as in grouped convolutions. read: of each such tensor the axes along which the network sums
    its products with activations; the others are units that it makes. stays: tensors of the state dict without a
    permuted axis, each with the operations that leave it none. readings, graph, and its constants, which no network
    holds: for matching of activations.
    """

    groups: dict[str, Group]
    layouts: dict[str, tuple[Layout, ...]]
    frozen: dict[str, int] = field(default_factory=dict)
    across: frozenset[str] = frozenset()
    read: dict[str, frozenset[int]] = field(default_factory=dict)
    stays: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False)
    readings: tuple[Reading, ...] = ()
    graph: fx.Graph | None = field(default=None, compare=False, repr=False)
    constants: dict[str, Tensor] = field(default_factory=dict, compare=False, repr=False)


def segment_length(segment: Segment) -> int:
    return prod(factor.size for factor in segment)


def layout_length(layout: Layout) -> int:
    return sum(map(segment_length, layout))


def crossed(symmetry: Symmetry) -> bool:
    """Whether some activations hold units of several groups at once, or of one twice, each unit at each of another."""
    for reading in symmetry.readings:
        for segment in reading.layout:
            names = [factor.group for factor in segment if factor.group in symmetry.groups]
            parents = {symmetry.groups[name].parent for name in names}
            if reading.crossed or sum(name not in parents for name in names) > 1:  # a group may lie across itself
                return True
    return False
