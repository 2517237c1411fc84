"""Layerwise exponentially weighted connectivity (LEWC), the rival law of features on a line: which mean they are.

Ito et al. 2025, arXiv 2510.08023: f_l(alpha) = (1 - alpha)^l f_l(A) + alpha^l f_l(B), l the layer's depth. It is what
remains of l interpolated layers whose cross terms, weights of one network on features of the other, vanish.
"""

from collections.abc import Collection, Iterable

from torch import fx


def depths(nodes: Iterable[fx.Node], weighted: Collection[fx.Node]) -> dict[fx.Node, int]:
    """How many operations with weights lie on the longest path from the images to each node, it included.

    A shortcut is shorter than the block that it passes, so what a block adds up has the depth of its longer branch
    (our reading). Norms count for nothing, a module that is called twice counts twice.

    nodes: of a graph, in order of execution. weighted: those with weights that differ between networks.
    """
    found: dict[fx.Node, int] = {}
    for node in nodes:
        found[node] = max((found[before] for before in node.all_input_nodes), default=0) + (node in weighted)
    return found


def exponential_weights(alpha: float, depth: int) -> tuple[float, float]:
    """(1 - alpha)^depth and alpha^depth, over the larger of the two: deep layers' own are too small for squares."""
    a, b = 1 - alpha, alpha
    larger = max(a, b)
    return (a / larger) ** depth, (b / larger) ** depth
