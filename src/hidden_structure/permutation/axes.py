"""Which entries along the axes of a network's tensors are permuted together: nodes, and the ways of making them equal.

An axis is a concatenation of segments and a segment a product of factors, the first the slowest: concatenating
channels makes segments, flattening (channels, height, width) makes a product. A factor is a Node. Nodes that must be
permuted alike are merged; a node that turns out to be a product or a concatenation itself gets that as its content.
Whatever cannot be made equal is fixed, i.e. not permuted at all, which is always sound.
"""

from math import prod

from hidden_structure.frame.errors import InputError


class Node:
    """`size` entries that are permuted together.

    parent: each index of the parent has its own permutation of this node, as the units inside a head have; None: one
    permutation for all.
    """

    __slots__ = ("alone", "content", "fixed", "parent", "size")

    def __init__(self, size: int, parent: "Node | None" = None, fixed: bool = False) -> None:
        self.size, self.parent, self.fixed = size, parent, fixed
        self.content: Axis | None = None
        self.alone = False


Segment = tuple[Node, ...]
Axis = list[Segment]


def free_axis(size: int) -> Axis:
    return [(Node(size, fixed=size == 1),)]


def fixed_axis(size: int) -> Axis:
    return [(Node(size, fixed=True),)]


def length(segment: Segment) -> int:
    return prod(node.size for node in segment)


def size_of(axis: Axis) -> int:
    return sum(map(length, axis))


def expand(axis: Axis) -> Axis:
    """The axis in terms of nodes without content, factors of size 1 left out."""
    return [found for segment in axis for found in _expand_segment(segment)]


def _expand_segment(segment: Segment) -> Axis:
    segments: Axis = [()]
    for node in segment:
        content = [(node,)] if node.content is None else expand(node.content)
        if len(content) > 1 and segments != [()]:  # a concatenation below a factor is no concatenation of products
            fix(content)
            content = fixed_axis(node.size)
        segments = [left + right for left in segments for right in content]
    trimmed = [tuple(node for node in found if node.size > 1) for found in segments]
    return [found or (Node(1, fixed=True),) for found in trimmed]


def atoms(axis: Axis) -> list[Node]:
    return [node for segment in expand(axis) for node in segment]


def root(node: Node) -> Node | None:
    """What the node was merged into; None if it became several."""
    found = expand([(node,)])
    return found[0][0] if len(found) == 1 and len(found[0]) == 1 else None


def fix(axis: Axis) -> None:
    for node in atoms(axis):
        node.fixed = True


def is_fixed(axis: Axis) -> bool:
    return all(node.fixed for node in atoms(axis))


def unify(left: Axis, right: Axis) -> None:
    """Make both axes be permuted alike from now on."""
    left, right = expand(left), expand(right)
    if size_of(left) != size_of(right):
        raise InputError(f"axes of {size_of(left)} and {size_of(right)} entries cannot be permuted alike")
    if left == right:
        return
    for whole, other in ((left, right), (right, left)):
        if len(whole) == 1 and len(whole[0]) == 1:
            _substitute(whole[0][0], other)
            return
    while left and right:
        one, two = left.pop(0), right.pop(0)
        if length(one) == length(two):
            _unify_products(one, two)
        else:
            longer, shorter, rest = (one, two, left) if length(one) > length(two) else (two, one, right)
            parts = _cut(longer, length(shorter))
            if parts is None:
                fix([one, two, *left, *right])
                return
            _unify_products(parts[0], shorter)
            rest.insert(0, parts[1])
        left, right = expand(left), expand(right)


def _substitute(node: Node, axis: Axis) -> None:
    """Let an atomic node become the (expanded) axis."""
    others = [other for segment in axis for other in segment]
    if len(others) == 1:
        other = others[0]
        if other is not node:
            other.fixed |= node.fixed
            _share_parent(other, node)
            node.content = axis
    elif node.fixed or node in others:
        fix(axis)
        node.fixed = True
    else:
        if node.parent is not None:  # keeps every dependence one level deep
            for other in others:
                _share_parent(other, node)
        node.content = axis


def parent(node: Node) -> Node | None:
    return None if node.parent is None else root(node.parent)


def _share_parent(node: Node, other: Node) -> None:
    """Let a node have the parent of both. What never had one may get one: `alone` says of which that is not so."""
    one, two = parent(node), parent(other)
    if node.alone or other.alone or (one is not None and two is not None and one is not two):
        leave_parent(node)
    elif one is None:
        node.parent = two


def leave_parent(node: Node) -> None:
    """One permutation for all of the parent's entries, from now on."""
    node.parent, node.alone = None, True


def _unify_products(left: Segment, right: Segment) -> None:
    left, right = _only(left), _only(right)
    while left and right:
        one, two = left[0], right[0]
        if one is two or one.size == two.size:
            _substitute(one, [(two,)])
            left, right = _only(left[1:]), _only(right[1:])  # a node may stand again further on
        else:
            larger, smaller = (one, two) if one.size > two.size else (two, one)
            if larger.size % smaller.size:
                fix([left, right])
                return
            split(larger, smaller.size)
            left, right = _only(left), _only(right)


def _only(segment: Segment) -> Segment:
    if not segment:
        return ()
    (found,) = expand([segment])
    return () if length(found) == 1 else found


def split(node: Node, outer: int) -> None:
    """Let an atomic node be `outer` blocks: they are permuted, and inside each its entries."""
    first = Node(outer, node.parent, node.fixed)
    inner = Node(node.size // outer, node.parent or first, node.fixed)
    node.content = [(first, inner)]


def _cut(segment: Segment, entries: int) -> tuple[Segment, Segment] | None:
    """The segment as two, the first of so many entries; None if that would cut through a product."""
    node, inner = segment[0], segment[1:]
    if entries % length(inner):
        return None
    first = Node(entries // length(inner), node.parent, node.fixed)
    second = Node(node.size - first.size, node.parent, node.fixed)
    node.content = [(first,), (second,)]
    return (first, *inner), (second, *inner)


def merged(axes: list[Axis]) -> Axis:
    """The axis that flattening several adjacent axes gives."""
    first, *rest = (expand(axis) for axis in axes)
    tail: Segment = ()
    for axis in rest:
        if len(axis) > 1:
            fix(axis)
            axis = fixed_axis(size_of(axis))
        tail += axis[0]
    return [segment + tail for segment in first]


def split_axis(axis: Axis, sizes: list[int]) -> list[Axis]:
    """The axes of those sizes that a view makes of one axis; fixed ones if it cuts where nothing ends."""
    axis = expand(axis)
    parts: list[Axis] = []
    remaining = axis[0] if len(axis) == 1 else None
    for size in sizes:
        taken: Segment = ()
        while remaining is not None and length(taken) < size:
            node, wanted = remaining[0], size // length(taken)
            if size % length(taken) or (node.size > wanted and node.size % wanted):
                remaining = None
            elif node.size > wanted:
                split(node, wanted)
                (remaining,) = expand([remaining])
            elif wanted % node.size:
                remaining = None
            else:
                taken, remaining = (*taken, node), remaining[1:] or (Node(1, fixed=True),)
        if remaining is None:
            fix(axis)
            return [fixed_axis(size) for size in sizes]
        parts.append([taken or (Node(1, fixed=True),)])
    return parts


def reshaped(axes: list[Axis], shape: list[int]) -> list[Axis]:
    """The axes of a contiguous tensor viewed in another shape."""
    sources = [axis for axis in axes if size_of(axis) > 1]
    result: list[Axis] = []
    position, pending = 0, [size for size in shape if size > 1]
    while pending:
        group, sizes = [sources[position]], [pending.pop(0)]
        position += 1
        while prod(map(size_of, group)) != prod(sizes):
            if prod(map(size_of, group)) < prod(sizes):
                group.append(sources[position])
                position += 1
            else:
                sizes.append(pending.pop(0))
        whole = merged(group) if len(group) > 1 else group[0]
        result += [whole] if len(sizes) == 1 else split_axis(whole, sizes)
    found = iter(result)
    return [next(found) if size > 1 else fixed_axis(1) for size in shape]


def sections(axis: Axis, sizes: list[int]) -> list[Axis]:
    """The parts of those sizes, in order, into which an axis is chunked; cutting a free node makes two of it."""
    remaining, parts = expand(axis), []
    for size in sizes:
        part: Axis = []
        while size_of(part) < size:
            segment = remaining.pop(0)
            wanted = size - size_of(part)
            if length(segment) > wanted:
                cut = _cut(segment, wanted)
                if cut is None:
                    fix(axis)
                    return [fixed_axis(size) for size in sizes]
                segment = cut[0]
                remaining = expand([cut[1], *remaining])  # where the node stands again it is cut as well
                part = expand(part)
            part.append(segment)
        parts.append(part)
    return parts
