"""What functions of the library are called with, arrays of NumPy's or tensors: one place looks at it, in one line."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hidden_structure.frame.errors import InputError

Array = np.ndarray | Tensor
CHUNK_VALUES = 2**18  # numbers looked at at once


def tensor_of(name: str, given: Any, shape: tuple[int | None, ...] | None = None) -> Tensor:
    """A tensor as it is, or an array or lists as one: copied if it is read-only, strided or of the other byte order.

    shape: that it must have, None being any number.

    Raises InputError, which begins with the name, if it holds anything but numbers, or is of another shape.
    """
    try:
        if isinstance(given, np.ndarray):
            given = torch.from_numpy(np.require(given, given.dtype.newbyteorder("="), ["C_CONTIGUOUS", "WRITEABLE"]))
        found = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _no_numbers(name, given) from error
    if shape is not None and (
        found.ndim != len(shape) or any(own not in (None, size) for own, size in zip(shape, found.shape, strict=True))
    ):
        asked = ", ".join("any" if size is None else str(size) for size in shape)
        raise InputError(f"{name} must be ({asked}), got {tuple(found.shape)}")
    return found


def array_of(name: str, given: Any) -> np.ndarray:
    """An array as it is, or a tensor or lists as one: tensors may be on any device, wait for gradients, or be of
    bfloat16, which NumPy lacks and which becomes float32.

    Raises InputError, which begins with the name, if it holds anything but real numbers.
    """
    if isinstance(given, Tensor):
        given = given.detach().cpu()
        given = given.float() if given.dtype == torch.bfloat16 else given
    try:
        array = np.asarray(given)
    except ValueError as error:  # rows of unequal length
        raise _no_numbers(name, given) from error
    if array.dtype.kind not in "biuf":
        raise _no_numbers(name, array)
    return array


def check_rows(name: str, rows: Array, width: int | None = None) -> None:
    """Raises InputError unless these are real numbers (N, d), with d the width where one is given, and 1 or more."""
    if rows.ndim != 2 or not rows.shape[1] or width not in (None, rows.shape[1]) or _kind(rows) == "c":
        raise InputError(f"{name} must be real numbers (rows, {width or 'd'}), got {_told(rows)}")


def check_finite(name: str, numbers: Array) -> None:
    """Raises InputError if a number is not finite."""
    finite = torch.isfinite if isinstance(numbers, Tensor) else np.isfinite
    rows = max(1, CHUNK_VALUES // max(1, math.prod(numbers.shape[1:])))
    if not all(finite(numbers[start : start + rows]).all() for start in range(0, len(numbers), rows)):
        raise InputError(f"{name} hold NaN or infinity: did a network diverge? then train it at a lower rate")


def check_range(name: str, numbers: Array, count: int) -> None:
    """Raises InputError if one is not in 0..count-1."""
    if len(numbers) and (int(numbers.min()) < 0 or int(numbers.max()) >= count):
        raise InputError(f"{name} must lie in 0..{count - 1}, got {int(numbers.min())} to {int(numbers.max())}")


def whole_numbers(name: str, given: Array, samples: int) -> Array:
    """One for each sample, such as labels, as int64 (samples,).

    Raises InputError if they are no whole numbers, or not as many.
    """
    if _kind(given) not in "iu" or tuple(given.shape) != (samples,):
        one_hot = ": of one-hot rows give argmax(1)" if given.ndim == 2 and len(given) == samples else ""
        raise InputError(f"{name} must be int64 ({samples},), one for each row, got {_told(given)}{one_hot}")
    return given.long() if isinstance(given, Tensor) else given.astype(np.int64, copy=False)


def samples_of(features: Any, labels: Any, classes: int) -> tuple[Tensor, Tensor]:
    """Features (N, d) as they are and labels as int64 (N,), both as tensors.

    Raises InputError if they are of other shapes, there are none, or a label is not in 0..classes-1.
    """
    features = tensor_of("features", features)
    check_rows("features", features)
    labels = whole_numbers("labels", tensor_of("labels", labels), len(features))
    if not len(labels):
        raise InputError("there are none: give samples and a label for each")
    check_range("labels", labels, classes)
    return features, labels


def _kind(given: Array) -> str:
    """b, i, u, f, c as numpy's kinds."""
    if not isinstance(given, Tensor):
        return given.dtype.kind
    if given.dtype == torch.bool:
        return "b"
    return "c" if given.is_complex() else "f" if given.is_floating_point() else "i"


def _told(given: Array) -> str:
    return f"{given.dtype} {tuple(given.shape)}"


def _no_numbers(name: str, given: Any) -> InputError:
    told = _told(given) if isinstance(given, Array) else type(given).__name__
    return InputError(f"{name} must be an array or a tensor of numbers, got {told}")
