"""Axes of concatenated products: what views, cuts and merges do to them keeps sizes, and equality is an equivalence."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hidden_structure.frame.errors import InputError
from hidden_structure.permutation import axes
from hidden_structure.permutation.axes import Node
from hidden_structure.permutation.operations import einsum


def entries(axis) -> list[tuple]:
    """Each entry of an axis by what moves it: for every factor, the node and which of its entries it is."""
    found = []
    for segment in axes.expand(axis):
        places = torch.cartesian_prod(*[torch.arange(node.size) for node in segment]).reshape(-1, len(segment))
        names = [node if not node.fixed else "fixed" for node in segment]
        found += [tuple(zip(names, place.tolist(), strict=True)) for place in places]
    return found


def concatenation(sizes) -> axes.Axis:
    return [segment for size in sizes for segment in axes.free_axis(size)]


@pytest.mark.parametrize(
    ("shape", "view"),
    [
        ((4, 6), (24,)),
        ((24,), (4, 6)),
        ((24,), (2, 3, 4)),
        ((4, 6), (2, 12)),
        ((4, 6), (8, 3)),
        ((2, 3, 4), (6, 4)),
        ((2, 3, 4), (2, 12)),
        ((2, 1, 6), (2, 2, 3, 1)),
        ((6, 4), (4, 6)),
        ((1, 5), (5,)),
        ((5,), (1, 5, 1)),
    ],
    ids=str,
)
def test_views_keep_the_sizes(shape, view):
    labels = [axes.free_axis(size) for size in shape]
    found = axes.reshaped(labels, list(view))
    assert [axes.size_of(axis) for axis in found] == list(view)
    back = axes.reshaped(found, list(shape))
    assert [axes.size_of(axis) for axis in back] == list(shape)
    for axis, other in zip(back, labels, strict=True):  # either the same again, or given up
        assert axes.expand(axis) == axes.expand(other) or axes.is_fixed(axis) or axes.size_of(axis) == 1


@pytest.mark.parametrize(("left", "right"), [((2, 4), (4, 2)), ((3, 5), (5, 3)), ((8,), (3, 5)), ((2, 2, 4), (4, 4))])
def test_equal_axes_have_equal_entries(left, right):
    one, two = concatenation(left), concatenation(right)
    axes.unify(one, two)
    assert entries(one) == entries(two)
    assert not axes.is_fixed(one)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.data())
def test_parts_of_an_axis_are_its_entries_in_order(sizes, data):
    axis = concatenation(sizes)
    total, parts = sum(sizes), []
    while sum(parts) < total:
        parts.append(data.draw(st.integers(1, total - sum(parts))))
    found = axes.sections(axis, parts)
    assert [axes.size_of(part) for part in found] == parts
    assert [entry for part in found for entry in entries(part)] == entries(axis)


@pytest.mark.parametrize("parts", [[8, 8], [3, 7, 6], [3, 8, 5], [5, 3, 5, 3], [1, 15]])
def test_parts_of_a_repeated_axis_are_its_entries_in_order(parts):
    """Also where the cuts do not meet, so that the second cuts a node that is cut already."""
    axis = axes.free_axis(8)
    found = axes.sections(axis + axis, parts)
    assert [entry for part in found for entry in entries(part)] == entries(axis + axis)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_equality_is_reached_whatever_the_segments(left, right):
    one, two = concatenation(left), concatenation(right)
    if sum(left) != sum(right):
        with pytest.raises(InputError, match="cannot be permuted alike"):
            axes.unify(one, two)
    else:
        axes.unify(one, two)
        assert entries(one) == entries(two)
        assert axes.size_of(one) == sum(left)


def test_a_fixed_axis_fixes_what_equals_it():
    free, product = axes.free_axis(6), [(Node(2), Node(3))]
    axes.unify(free, product)
    axes.unify(free, axes.fixed_axis(6))
    assert axes.is_fixed(product)
    assert axes.is_fixed(free)


@pytest.mark.parametrize("first", [True, False])
def test_products_of_equal_length_meet_in_their_common_factors(first):
    one, two = [(Node(2), Node(6))], [(Node(4), Node(3))]
    axes.unify(*((one, two) if first else (two, one)))
    assert entries(one) == entries(two)
    assert sorted(node.size for node in axes.atoms(one)) == [2, 2, 3]


def test_products_without_common_factors_are_fixed():
    one, two = [(Node(2), Node(3))], [(Node(3), Node(2))]
    axes.unify(one, two)
    assert axes.is_fixed(one)
    assert axes.is_fixed(two)


def test_an_axis_that_equals_its_own_reordering_is_fixed_or_equal():
    a, b = axes.free_axis(3), axes.free_axis(5)
    axes.unify(a + b, b + a)
    assert entries(a + b) == entries(b + a)


def test_joining_what_was_split_gives_it_back():
    axis = axes.free_axis(12)
    parts = axes.split_axis(axis, [3, 4])
    assert axes.expand(axes.merged(parts)) == axes.expand(axis)
    assert not axes.is_fixed(axis)


@pytest.mark.parametrize("equation", ["bii->bi", "...i,ij->...j", "bi,ij"])
def test_an_einsum_that_is_not_written_out_is_refused(equation):
    with pytest.raises(InputError, match="only einsum with an explicit output, no ellipsis and no diagonal"):
        einsum(equation, [[[(Node(3),)]] * len(term) for term in equation.partition("->")[0].split(",")])
