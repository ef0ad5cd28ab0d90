"""Checks of arrays and options, and the words in which errors name what does not fit.

Metrics take embeddings through `as_embeddings` and labels through `as_labels`: fp32 without a
gradient, finite, labels in host memory. Losses take tensors through `as_floats` and `as_index`:
their gradient, their device and any wider type are kept, and values are not read, which would wait
for the device in every step.
"""

import math
import operator
from collections.abc import Iterator
from typing import Any, TypeAlias, TypeVar, get_args

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

Array: TypeAlias = npt.NDArray[Any] | Tensor
"""What a caller may pass: a numpy array, or a torch tensor on any device."""
Floats: TypeAlias = npt.NDArray[np.float32]
Doubles: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

Choice = TypeVar("Choice", bound=str | int)

CELLS = 1 << 22
"""Cells held at once by what works row by row: 16 MiB in fp32."""


def as_embeddings(array: Array, name: str) -> Tensor:
    """Return `array` as a contiguous fp32 tensor without gradient, on the device it is on.

    Args:
        array: (n, d) of any floating type, n and d at least 1.
        name: what the caller calls the array, for the error.

    Raises:
        ValueError: if the array is not two-dimensional and floating, is empty, or holds a value
            that is not finite in fp32.
    """
    given = array if isinstance(array, Tensor) else np.asarray(array)
    if given.ndim != 2 or 0 in given.shape:
        raise ValueError(
            f"{name}: expected a non-empty array of shape (rows, width), found shape "
            f"{tuple(given.shape)}; pass one embedding per row"
        )
    if isinstance(given, Tensor):
        floating = given.is_floating_point()
    else:
        floating = np.issubdtype(given.dtype, np.floating)
    if not floating:
        raise ValueError(
            f"{name}: expected floating-point embeddings, found {given.dtype}; convert them with "
            "astype(numpy.float32) or .float()"
        )
    if isinstance(given, Tensor):
        embeddings = given.detach().to(torch.float32).contiguous()
    else:
        with np.errstate(over="ignore"):
            # torch shares memory only with arrays it may write to
            embeddings = torch.from_numpy(np.require(given, np.float32, ["C", "W"]))
    finite = torch.isfinite(embeddings).all(dim=1)
    if not bool(finite.all()):
        raise ValueError(
            f"{name}: expected finite values, found {int((~finite).sum())} rows with NaN or "
            "infinity; look for a diverged loss or a row divided by a zero norm"
        )
    return embeddings


def as_labels(labels: Array, name: str, rows: int, of: str) -> Integers:
    """Return `labels` as (rows,) int64 in host memory.

    Args:
        labels: (rows,) of any integer type; the values may be negative or have gaps.
        name: what the caller calls the labels, for the error.
        rows: how many labels are needed.
        of: the array whose rows are labelled, for the error.

    Raises:
        ValueError: if the labels are not one-dimensional integers or their number differs.
    """
    given = labels if isinstance(labels, Tensor) else np.asarray(labels)
    if tuple(given.shape) != (rows,):
        raise ValueError(
            f"{name}: expected shape ({rows},), one label per row of {of}, found shape "
            f"{tuple(given.shape)}; pass the labels in the order of the embeddings"
        )
    if isinstance(given, Tensor):
        kind = given.dtype
        integral = not (kind.is_floating_point or kind.is_complex or kind == torch.bool)
    else:
        integral = np.issubdtype(given.dtype, np.integer)
    if not integral:
        raise ValueError(
            f"{name}: expected integer labels, found {given.dtype}; number the classes, for "
            "instance with numpy.unique(names, return_inverse=True)"
        )
    host = given.cpu().numpy() if isinstance(given, Tensor) else given
    if host.dtype == np.uint64 and len(host) and host.max() > np.iinfo(np.int64).max:
        raise ValueError(
            f"{name}: expected labels below 2^63, found {host.max()}; number the classes, for "
            "instance with numpy.unique(names, return_inverse=True)"
        )
    return host.astype(np.int64, copy=False)


def as_floats(values: Array, name: str, *shape: int | str) -> Tensor:
    """Return `values` as a tensor of at least fp32, with its gradient.

    Args:
        values: a tensor, or an array.
        name: what the caller calls it, for the error.
        shape: per axis the length it must have, or a letter for any length above 0.

    Raises:
        ValueError: if the shape differs.
    """
    tensor = _shaped(values, name, shape)
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def as_index(values: Array, name: str, rows: int) -> Tensor:
    """Return (rows,) integers as an int64 tensor.

    Raises:
        ValueError: if the shape differs or the values are no integers.
    """
    tensor = _shaped(values, name, (rows,))
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"{name}: expected integers, got {tensor.dtype}")
    return tensor.long()


def _shaped(values: Array, name: str, shape: tuple[int | str, ...]) -> Tensor:
    tensor = torch.as_tensor(values)
    fits = tensor.ndim == len(shape) and all(
        length > 0 if isinstance(wanted, str) else length == wanted
        for length, wanted in zip(tensor.shape, shape, strict=True)
    )
    if not fits:
        expected = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise ValueError(f"{name}: expected shape ({expected}), got {tuple(tensor.shape)}")
    return tensor


def unit_rows(embeddings: Tensor) -> Tensor:
    """Scale each row of (n, d) `embeddings` to unit L2 norm; a zero row stays zero.

    For evaluation: rows of any finite scale, 1e-30 and 1e30 alike. What a method trains on and
    returns goes through `methods.base.normalise`, which is one operation and cheaper to
    differentiate, but leaves rows of a norm below 1e-12 short.
    """
    largest = embeddings.abs().amax(dim=1, keepdim=True)
    # first to a maximum of 1, so that no square under- or overflows
    return F.normalize(embeddings / largest.masked_fill(largest == 0, 1.0), dim=1)


def check_same_width(first: Tensor, first_name: str, second: Tensor, second_name: str) -> None:
    """Raise ValueError unless both arrays have the same number of columns."""
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"{second_name}: expected width {first.shape[1]} like {first_name}, found width "
            f"{second.shape[1]}; embed both with the same network"
        )


def check_count(value: int, name: str) -> int:
    """Return `value` as an int; raise ValueError unless it is an integer of at least 1."""
    try:
        count = operator.index(value)
    except TypeError:
        count = 0
    if count < 1:
        raise ValueError(f"{name}: expected an integer of at least 1, got {value!r}")
    return count


def check_positive(value: float, name: str) -> float:
    """Return `value`; raise ValueError unless it is finite and above 0."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name}: expected a finite number above 0, got {value!r}")
    return float(value)


def check_momentum(value: float, name: str) -> float:
    """Return the momentum of a running average; raise ValueError unless it lies in [0, 1)."""
    if not 0 <= value < 1:
        raise ValueError(f"{name}: expected a number from 0 to below 1, got {value!r}")
    return float(value)


def check_choice(value: Choice, name: str, allowed: object) -> Choice:
    """Return `value`; raise ValueError unless it is one of those of the Literal `allowed`."""
    if value not in get_args(allowed):
        expected = " or ".join(map(repr, get_args(allowed)))
        raise ValueError(f"{name}: expected {expected}, got {value!r}")
    return value


def percent(correct: npt.NDArray[np.bool_]) -> float:
    """Return the share of true entries, 0 to 100."""
    return 100.0 * int(np.count_nonzero(correct)) / correct.size


def row_chunks(rows: int, columns: int, cells: int = CELLS) -> Iterator[slice]:
    """Yield consecutive slices of `rows`, each of at most `cells` cells of so many columns.

    A slice has at least one row, however wide.
    """
    step = max(1, cells // columns)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
