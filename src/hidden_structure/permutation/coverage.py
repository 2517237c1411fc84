"""How much of a network a symmetry moves, and what keeps the rest in place."""

from collections import defaultdict
from collections.abc import Mapping

from torch import Tensor

from hidden_structure.permutation.group import Symmetry


def movable_share(symmetry: Symmetry, state: Mapping[str, Tensor]) -> float:
    """The share of a state dict's floating-point entries that lie in tensors with a permuted axis."""
    sizes = _sizes(state)
    return sum(size for name, size in sizes.items() if name in symmetry.layouts) / max(sum(sizes.values()), 1)


def kept_in_place(symmetry: Symmetry, state: Mapping[str, Tensor]) -> dict[str, float]:
    """Of each operation that leaves tensors no permuted axis: the share of the entries that it keeps, largest first.

    A tensor that several operations keep counts for the first one.
    """
    sizes, kept = _sizes(state), defaultdict(int)
    for name in sorted(sizes.keys() - symmetry.layouts.keys()):
        reasons = symmetry.stays.get(name, ("no part in the forward pass",))
        kept[reasons[0] if reasons else "their own shape"] += sizes[name]
    total = max(sum(sizes.values()), 1)
    return {reason: size / total for reason, size in sorted(kept.items(), key=lambda item: -item[1]) if size}


def unread(symmetry: Symmetry) -> list[str]:
    """Groups whose activations no sum of products reads: matching of activations leaves them in place."""
    read = {factor.group for reading in symmetry.readings for segment in reading.layout for factor in segment}
    return [name for name in symmetry.groups if name not in read]


def summary(symmetry: Symmetry, state: Mapping[str, Tensor]) -> str:
    """One line: the share that can move, the operations that keep the most of the rest, and what nothing reads."""
    reasons = [f"{share:.0%} by {reason}" for reason, share in kept_in_place(symmetry, state).items() if share >= 0.005]
    parts = [f"{movable_share(symmetry, state):.0%} of the weights lie in tensors that permutations move"]
    parts += [f"kept in place: {', '.join(reasons[:3])}"] if reasons else []
    left = unread(symmetry)
    return "; ".join([*parts, f"activations do not match {', '.join(left)}, which nothing reads"] if left else parts)


def _sizes(state: Mapping[str, Tensor]) -> dict[str, int]:
    tensors = {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}  # some modules keep more
    return {name: tensor.numel() for name, tensor in tensors.items() if tensor.is_floating_point()}
