from typing import Literal

import numpy as np
import pytest
import torch

from methods.blocks.arguments import as_floats, as_index, check_choice, check_momentum

Fruit = Literal["apple", "pear"]


def test_check_choice_returns_an_allowed_value():
    assert check_choice("pear", "fruit", Fruit) == "pear"


def test_check_choice_lists_what_is_allowed():
    with pytest.raises(ValueError, match=r"fruit: expected 'apple' or 'pear', got 'fig'"):
        check_choice("fig", "fruit", Fruit)


@pytest.mark.parametrize("value", [0, 0.5, 0.999])
def test_check_momentum_accepts(value):
    assert check_momentum(value, "momentum") == value


@pytest.mark.parametrize("value", [1, -0.1, float("nan")])
def test_check_momentum_refuses(value):
    with pytest.raises(ValueError, match="momentum: expected"):
        check_momentum(value, "momentum")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
        (torch.int64, torch.float32),
    ],
)
def test_as_floats_widens_to_at_least_fp32(given, kept):
    assert as_floats(torch.ones(2, 3, dtype=given), "rows", "n", 3).dtype == kept


def test_as_floats_keeps_the_gradient_and_takes_arrays():
    leaf = torch.ones(2, 3, requires_grad=True)
    assert as_floats(leaf, "rows", 2, "d").requires_grad
    assert as_floats(np.ones((2, 3)), "rows", 2, 3).dtype == torch.float64


@pytest.mark.parametrize(
    ("shape", "wanted", "message"),
    [
        ((2, 3), (2, 4), r"rows: expected shape \(2, 4\), got \(2, 3\)"),
        ((2, 3), ("n",), r"rows: expected shape \(n,\), got \(2, 3\)"),
        ((0, 3), ("n", "d"), r"rows: expected shape \(n, d\), got \(0, 3\)"),
    ],
)
def test_as_floats_says_which_shape_it_expected(shape, wanted, message):
    with pytest.raises(ValueError, match=message):
        as_floats(torch.zeros(shape), "rows", *wanted)


def test_as_index():
    assert as_index(np.array([1, 2], np.int32), "index", 2).dtype == torch.int64
    with pytest.raises(ValueError, match=r"index: expected integers, got torch.float32"):
        as_index(torch.zeros(2), "index", 2)
    with pytest.raises(ValueError, match=r"index: expected shape \(3,\), got \(2,\)"):
        as_index(torch.zeros(2, dtype=torch.long), "index", 3)
