"""What is measured of two vectors x and y, from their inner product and squared norms: float64, of every sample.

Of two that are both 0 the cosine and the coefficient are 1 and the distance 0; if one is, cosine and coefficient are 0
or as large, and the distance FAR.
"""

import numpy as np

FAR = 1e3


def cosine(inner: np.ndarray, xx: np.ndarray, yy: np.ndarray) -> np.ndarray:
    """<x, y> / (|x| |y|) from <x, y>, |x|^2 and |y|^2."""
    return _over(inner, _root(xx) * _root(yy), xx + yy, 1)


def coefficient(inner: np.ndarray, xx: np.ndarray, yy: np.ndarray) -> np.ndarray:
    """<x, y> / |y|^2."""
    return np.clip(_over(inner, yy, xx + yy, 1), -FAR, FAR)


def distance(inner: np.ndarray, xx: np.ndarray, yy: np.ndarray) -> np.ndarray:
    """|x - y|^2 / (|x| |y|)."""
    apart = np.maximum(xx + yy - 2 * inner, 0)
    return np.minimum(_over(apart, _root(xx) * _root(yy), xx + yy, 0), FAR)


def _root(squared: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(squared, 0))  # what was added up from products may be below 0 by rounding


def _over(numerator: np.ndarray, denominator: np.ndarray, size: np.ndarray, neutral: float) -> np.ndarray:
    """Their ratio; neutral where everything is 0."""
    return np.where(size == 0, neutral, numerator / np.maximum(denominator, np.finfo(np.float64).tiny))


FORMULAS = {  # of every quantity, from the inner product and the squared norms of what it compares
    "dissimilarity": lambda *products: 1 - cosine(*products),
    "exponential": lambda *products: 1 - cosine(*products),
    "coefficient": coefficient,
    "baseline": lambda *products: 1 - cosine(*products),
    "additivity": distance,
    "commutativity": distance,
    "inputs": distance,
}
