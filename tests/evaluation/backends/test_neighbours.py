import numpy as np
import pytest
import torch

from evaluation.backends import neighbours
from evaluation.backends.neighbours import (
    _exact_float32,
    _search_device,
    _search_host,
    search,
)
from helpers.arrays import gaussian


def bank_of(rows, width, seed=0):
    return gaussian(rows, width, seed=seed).float().numpy()


def naive_search(bank, queries, k, exclude_self=False):
    products = queries.astype(np.float64) @ bank.astype(np.float64).T
    if exclude_self:
        np.fill_diagonal(products, -np.inf)
    order = np.argsort(-products, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(products, order, axis=1), order


@pytest.mark.parametrize("k", [1, 7, 120, 300])
@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_search_finds_what_a_full_sort_finds(k, make):
    bank, queries = bank_of(300, 16), bank_of(40, 16, seed=1)
    similarities, indices = search(make(bank), make(queries), k)
    expected_similarities, expected_indices = naive_search(bank, queries, k)
    assert (similarities.dtype, indices.dtype) == (np.float32, np.int64)
    np.testing.assert_allclose(similarities, expected_similarities, atol=1e-5)
    np.testing.assert_array_equal(indices, expected_indices)


def test_search_uses_raw_inner_products():
    similarities, indices = search(np.array([[1.0, 0.0], [9.0, 9.0]]), np.array([[1.0, 0.0]]), 2)
    assert indices.tolist() == [[1, 0]]
    assert similarities.tolist() == [[9.0, 1.0]]


@pytest.mark.parametrize("k", [1, 5, 59])
@pytest.mark.parametrize("scale", [1.0, 0.0], ids=["unit", "varied norms"])
def test_exclude_self_matches_a_masked_sort(k, scale):
    bank = bank_of(60, 5)
    if scale:
        bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    _, indices = search(bank, bank, k, exclude_self=True)
    np.testing.assert_array_equal(indices, naive_search(bank, bank, k, exclude_self=True)[1])


@pytest.mark.parametrize("copies", [2, 50, 300])
def test_exclude_self_keeps_copies_under_other_indices(copies):
    bank = np.tile(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), (copies, 1))
    similarities, indices = search(bank, bank, 1, exclude_self=True)
    own = np.arange(len(bank))
    assert (indices[:, 0] != own).all()
    assert (indices[:, 0] % 2 == own % 2).all()
    assert (similarities == 1.0).all()


def test_ties_come_in_order_of_index():
    bank = np.random.default_rng(0).integers(-1, 2, (80, 3)).astype(np.float32)
    similarities, indices = search(bank, bank, 80)
    np.testing.assert_array_equal(indices, naive_search(bank, bank, 80)[1])
    assert (np.diff(similarities, axis=1) <= 0).all()


@pytest.mark.parametrize("chunk", [1, 1000, 1 << 20], ids=["a row", "some rows", "all rows"])
def test_the_device_path_equals_faiss(chunk):
    bank, queries = torch.from_numpy(bank_of(500, 32)), torch.from_numpy(bank_of(70, 32, seed=1))
    similarities, indices = _search_device(bank, queries, 20, chunk)
    expected_similarities, expected_indices = _search_host(bank, queries, 20)
    assert (similarities.dtype, indices.dtype) == (np.float32, np.int64)
    np.testing.assert_allclose(similarities, expected_similarities, atol=1e-5)
    np.testing.assert_array_equal(indices, expected_indices)


@pytest.mark.parametrize("exclude_self", [False, True])
def test_search_is_the_same_on_either_path(monkeypatch, exclude_self):
    bank = bank_of(90, 6)
    expected = search(bank, bank, 9, exclude_self)
    monkeypatch.setattr(neighbours, "_search_host", _search_device)
    for found, wanted in zip(search(bank, bank, 9, exclude_self), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_autocast_does_not_reach_the_device_path():
    bank = torch.from_numpy(bank_of(200, 32))
    expected = _search_device(bank, bank, 10)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = _search_device(bank, bank, 10)
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("precision", ["high", "highest"])
def test_tf32_is_off_during_a_search_and_restored(precision):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        with _exact_float32("cpu"):
            state = getattr(torch.backends.cuda.matmul, "fp32_precision", None)
            assert state == "ieee" or not torch.backends.cuda.matmul.allow_tf32
        assert torch.backends.cuda.matmul.allow_tf32 == (precision == "high")
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("exclude_self", [False, True])
def test_cuda_tensors_give_the_host_result(exclude_self):
    bank = torch.from_numpy(bank_of(400, 32))
    expected = search(bank, bank, 15, exclude_self)
    for found, wanted in zip(
        search(bank.cuda(), bank, 15, exclude_self), expected, strict=True
    ):  # queries follow the bank
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_the_arguments_are_left_alone():
    bank = bank_of(30, 4)
    tensor = torch.from_numpy(bank.copy()).requires_grad_()
    search(tensor, tensor, 3, exclude_self=True)
    np.testing.assert_array_equal(tensor.detach().numpy(), bank)
    assert tensor.requires_grad


@pytest.mark.parametrize(
    ("rows", "queries", "k", "exclude_self", "message"),
    [
        ((5, 4), (2, 4), 6, False, "k: expected at most 5, the rows of the bank, got 6"),
        ((5, 4), (5, 4), 5, True, "k: expected at most 4, .* without the query itself, got 5"),
        ((1, 4), (1, 4), 1, True, "k: expected at most 0"),
        ((5, 4), (5, 4), 0, False, "k: expected an integer of at least 1, got 0"),
        ((5, 4), (4, 4), 2, True, "queries: expected the bank's 5 rows .* found 4"),
        ((5, 4), (5, 3), 2, False, "queries: expected width 4 like bank, found width 3"),
    ],
)
def test_bad_arguments(rows, queries, k, exclude_self, message):
    with pytest.raises(ValueError, match=message):
        search(bank_of(*rows), bank_of(*queries), k, exclude_self)
