import math
from typing import Literal

import numpy as np
import pytest
import torch

from evaluation.validation import (
    as_embeddings,
    as_floats,
    as_index,
    as_labels,
    check_choice,
    check_count,
    check_momentum,
    check_positive,
    check_same_width,
    percent,
    row_chunks,
    unit_rows,
)

Fruit = Literal["apple", "pear"]
VALUES = np.random.default_rng(0).standard_normal((6, 4))


@pytest.mark.parametrize(
    "given",
    [
        VALUES,
        VALUES.astype(np.float32),
        VALUES.astype(">f8"),
        np.asfortranarray(VALUES),
        VALUES[::-1][::-1],
        VALUES.tolist(),
        torch.from_numpy(VALUES),
        torch.from_numpy(VALUES).float().requires_grad_(),
        torch.nn.Parameter(torch.from_numpy(VALUES).float()),
        torch.from_numpy(VALUES.T.copy()).T,
    ],
    ids=[
        "float64", "float32", "big-endian", "fortran", "reversed", "list", "double", "grad",
        "parameter", "transposed",
    ],
)  # fmt: skip
def test_embeddings_become_contiguous_fp32_without_gradient(given):
    embeddings = as_embeddings(given, "bank")
    assert embeddings.dtype == torch.float32
    assert embeddings.is_contiguous()
    assert not embeddings.requires_grad
    np.testing.assert_array_equal(embeddings.numpy(), VALUES.astype(np.float32))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_floats_keep_their_values(dtype):
    given = torch.from_numpy(VALUES).to(dtype)
    assert torch.equal(as_embeddings(given, "bank"), given.float())


def test_fp32_is_not_copied():
    tensor, array = torch.ones(2, 3), np.ones((2, 3), np.float32)
    assert as_embeddings(tensor, "bank").data_ptr() == tensor.data_ptr()
    assert as_embeddings(array, "bank").data_ptr() == array.ctypes.data


def test_a_read_only_array_raises_no_warning(recwarn):
    array = VALUES.astype(np.float32)
    array.flags.writeable = False
    as_embeddings(array, "bank")
    assert not recwarn.list


@pytest.mark.parametrize("make", [np.asarray, torch.tensor], ids=["numpy", "torch"])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.0], r"bank: expected .* \(rows, width\), found shape \(2,\)"),
        ([[[1.0]]], r"found shape \(1, 1, 1\)"),
        ([[], []], r"found shape \(2, 0\)"),
        ([[1, 2]], r"bank: expected floating-point embeddings, found (torch\.)?int64"),
        ([[True]], r"found (torch\.)?bool"),
        ([[1.0 + 2.0j]], r"found (torch\.)?complex"),
        (
            [[math.nan, 1.0], [0.0, 1.0], [math.inf, 0.0], [0.0, -math.inf]],
            r"bank: expected finite values, found 3 rows with NaN or infinity; ",
        ),
    ],
)
def test_bad_embeddings_say_what_was_found(make, values, message):
    with pytest.raises(ValueError, match=message):
        as_embeddings(make(values), "bank")


def test_no_rows_is_an_error():
    with pytest.raises(ValueError, match=r"found shape \(0, 8\)"):
        as_embeddings(np.empty((0, 8), np.float32), "queries")


def test_values_beyond_fp32_count_as_infinite(recwarn):
    with pytest.raises(ValueError, match="found 1 rows"):
        as_embeddings(np.array([[1e300], [1.0]]), "bank")
    assert not recwarn.list


@pytest.mark.parametrize(
    "given",
    [
        np.array([-3, 7, 0], np.int16),
        [-3, 7, 0],
        torch.tensor([-3, 7, 0], dtype=torch.int8),
        torch.tensor([-3, 7, 0]),
    ],
)
def test_labels_become_int64(given):
    labels = as_labels(given, "labels", 3, "bank")
    assert labels.dtype == np.int64
    assert labels.tolist() == [-3, 7, 0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.arange(4), r"labels: expected shape \(3,\), one label per row of bank, found .*\(4,\)"),
        (torch.zeros(3, 1, dtype=torch.long), r"found shape \(3, 1\)"),
        (np.ones(3), "labels: expected integer labels, found float64"),
        (np.ones(3, bool), "found bool"),
        (np.array(["cat", "dog", "cat"]), "numpy.unique"),
        (torch.ones(3, dtype=torch.bfloat16), "found torch.bfloat16"),
        (torch.ones(3, dtype=torch.bool), "found torch.bool"),
    ],
)
def test_bad_labels_say_what_was_found(given, message):
    with pytest.raises(ValueError, match=message):
        as_labels(given, "labels", 3, "bank")


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_unit_rows_at_any_scale(scale):
    rows = torch.from_numpy(VALUES * scale).float()
    expected = VALUES / np.linalg.norm(VALUES, axis=1, keepdims=True)
    np.testing.assert_allclose(unit_rows(rows).numpy(), expected, atol=3e-7)


def test_zero_rows_stay_zero():
    rows = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert torch.allclose(unit_rows(rows), torch.tensor([[0.0, 0.0], [0.6, 0.8]]))


def test_widths_must_match():
    check_same_width(torch.ones(2, 3), "bank", torch.ones(5, 3), "queries")
    with pytest.raises(ValueError, match="queries: expected width 3 like bank, found width 4"):
        check_same_width(torch.ones(2, 3), "bank", torch.ones(5, 4), "queries")


@pytest.mark.parametrize("value", [0, -1, 2.5, "3", None])
def test_bad_counts(value):
    with pytest.raises(ValueError, match=f"k: expected an integer of at least 1, got {value!r}"):
        check_count(value, "k")


def test_numpy_integers_count():
    assert check_count(np.int32(5), "k") == 5


@pytest.mark.parametrize("value", [0.0, -0.1, math.nan, math.inf])
def test_bad_positive_numbers(value):
    with pytest.raises(ValueError, match="temperature: expected a finite number above 0"):
        check_positive(value, "temperature")


def test_percent_is_the_nearest_float():
    assert percent(np.arange(10_000) < 5_682) == 56.82


@pytest.mark.parametrize(("rows", "columns"), [(10, 3), (1, 100), (7, 1), (12, 4)])
def test_chunks_cover_every_row_once(rows, columns):
    parts = list(row_chunks(rows, columns, cells=12))
    assert [i for part in parts for i in range(rows)[part]] == list(range(rows))
    assert all((part.stop - part.start) * columns <= max(12, columns) for part in parts)


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
