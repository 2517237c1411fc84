"""Inner products of features, sample by sample: with each other, and with sums of them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.linalg import vecdot

CANCELLING = 1e-2  # an interpolated squared norm below this share of an end's is not added up from the ends' products
SMALL = 1e-30  # a squared norm below which squares are lost in float32
BLOCK = 2**18  # bytes of one tensor, of which a handful fit the cache of a core


def with_sum(p: float, q: float, x: Tensor, ends: tuple, products: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """<x, y>, |x|^2 and |y|^2 of y = p a + q b, sample by sample: from inner products where rounding leaves enough.

    ends: a and b, rows (n, d), and <a, a>, <a, b>, <b, b>; products: <x, x>, <x, a>, <x, b>.
    """
    a, b, aa, ab, bb = ends
    xx, xa, xb = products
    inner, squared = p * xa + q * xb, p**2 * aa + 2 * q * p * ab + q**2 * bb
    few = np.flatnonzero(squared < CANCELLING * np.maximum(p**2 * aa, q**2 * bb))
    if len(few):  # the ends point away from each other, and rounding would be all that is left
        x, a, b = (rows[few].cpu().double() for rows in (x, a, b))
        y = p * a + q * b
        inner[few], squared[few] = dots((x, y), (y, y))
    return inner, xx, squared


def dots(*pairs: tuple[Tensor, Tensor]) -> np.ndarray:
    """float64 (pairs, n): inner products of every row of x (n, d) with that of y, added up in their own precision,
    or in float64 where rows are so small that their squares have no place there.

    pairs: all of one shape, precision and device.
    """
    if pairs[0][0].device.type != "cpu":
        found = torch.stack([vecdot(x, y) for x, y in pairs]).cpu().double().numpy()
        return _with_small_rows(found, pairs)
    # One sweep over both; torch writes all the products and reads them again. A few rows at a time, of every pair, are
    # still in the cache when the next pair wants them.
    arrays = [(x.numpy(), y.numpy()) for x, y in pairs]
    (first, _), *_ = arrays
    found = np.empty((len(pairs), len(first)), first.dtype)
    rows = max(1, BLOCK // max(1, first[:1].nbytes))
    for start in range(0, len(first), rows):
        part = slice(start, start + rows)
        for (x, y), own in zip(arrays, found, strict=True):
            np.vecdot(x[part], y[part], out=own[part])
    return _with_small_rows(found.astype(np.float64), pairs)


def _with_small_rows(found: np.ndarray, pairs: Sequence[tuple[Tensor, Tensor]]) -> np.ndarray:
    small = np.zeros(found.shape[1], bool)
    for (x, y), squared in zip(pairs, found, strict=True):
        if x is y and x.dtype != torch.float64 and len(low := np.flatnonzero(squared < SMALL)):
            small[low] |= x[low].any(1).cpu().numpy()
    if small.any():
        rows = np.flatnonzero(small)
        found[:, rows] = [vecdot(*(both[rows].cpu().double() for both in pair)).numpy() for pair in pairs]
    return found
