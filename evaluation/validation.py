"""What every protocol accepts, and the words it uses to refuse the rest."""

import math
import operator
from collections.abc import Iterator
from typing import Any, TypeAlias

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


def unit_rows(embeddings: Tensor) -> Tensor:
    """Scale each row of (n, d) `embeddings` to unit L2 norm; a zero row stays zero."""
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


def percent(correct: npt.NDArray[np.bool_]) -> float:
    """Return the share of true entries, 0 to 100."""
    return 100.0 * int(np.count_nonzero(correct)) / correct.size


def row_chunks(rows: int, columns: int) -> Iterator[slice]:
    """Yield consecutive slices of `rows`, each of at most `CELLS` cells of so many columns."""
    step = max(1, CELLS // columns)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
