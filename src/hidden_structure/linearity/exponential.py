"""Layerwise exponentially weighted connectivity (LEWC), the rival law of features on a line: which mean they are.

Ito et al. 2025, arXiv 2510.08023: f_l(alpha) = (1 - alpha)^l f_l(A) + alpha^l f_l(B), l the layer's depth. It is what
remains of l interpolated layers whose cross terms, weights of one network on features of the other, vanish.
"""

from collections.abc import Collection, Iterable
from operator import attrgetter

from torch import Tensor, fx, nn

from hidden_structure.linearity.in_step import function_of

PRODUCTS = frozenset(
    """linear bilinear matmul bmm mm imatmul addmm baddbmm einsum conv1d conv2d conv3d convtranspose1d convtranspose2d
    convtranspose3d tensordot inner mv addmv addbmm scaleddotproductattention multiheadattentionforward""".split()
)
NORMS = (nn.LayerNorm, nn.RMSNorm)  # whose scales have as many dimensions as what they norm


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


def weighted(nodes: Iterable[fx.Node], module: nn.Module, of_images: Collection[fx.Node]) -> set[fx.Node]:
    """Those of a graph's nodes that multiply by trained weights: modules of torch's own that have a weight of two or
    more dimensions, whatever they do inside, and sums of products with what the network makes of such weights itself.

    Filters that are given, as those of `speedrun` are, are the same all along a line.

    of_images: the nodes whose values depend on the images.
    """
    found, trained = set(), set()
    for node in nodes:
        if node.op == "call_module":
            called = module.get_submodule(node.target)
            trained_ones = (parameter for parameter in called.parameters() if parameter.requires_grad)
            if not isinstance(called, NORMS) and any(parameter.dim() > 1 for parameter in trained_ones):
                found.add(node)
        elif node.op == "get_attr":
            value = attrgetter(node.target)(module)
            if isinstance(value, Tensor) and value.requires_grad and value.dim() > 1:
                trained.add(node)
        elif not trained.isdisjoint(node.all_input_nodes):
            if node not in of_images:
                trained.add(node)
            elif function_of(node) in PRODUCTS:
                found.add(node)
    return found


def exponential_weights(alpha: float, depth: int) -> tuple[float, float]:
    """(1 - alpha)^depth and alpha^depth, over the larger of the two: deep layers' own are too small for squares."""
    a, b = 1 - alpha, alpha
    larger = max(a, b)
    return (a / larger) ** depth, (b / larger) ** depth
