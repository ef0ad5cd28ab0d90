"""Checks of hyper-parameters and arrays that `evaluation.validation` does not have."""

from typing import TypeVar, get_args

import torch
from torch import Tensor

from evaluation.validation import Array

Choice = TypeVar("Choice", bound=str | int)


def check_choice(value: Choice, name: str, allowed: object) -> Choice:
    """Return `value`; raise ValueError unless it is one of those of the Literal `allowed`."""
    if value not in get_args(allowed):
        expected = " or ".join(map(repr, get_args(allowed)))
        raise ValueError(f"{name}: expected {expected}, got {value!r}")
    return value


def check_momentum(value: float, name: str) -> float:
    """Return the momentum of a running average; raise ValueError unless it lies in [0, 1)."""
    if not 0 <= value < 1:
        raise ValueError(f"{name}: expected a number from 0 to below 1, got {value!r}")
    return float(value)


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
