"""Ties are broken whatever the order of the data, and where there are none nothing changes."""

import numpy as np
import pytest
import torch

from evaluation.backends import neighbours
from evaluation.backends.neighbours import _search_device, drop_self, fair_search, search
from evaluation.metrics.knn import knn_accuracy, knn_predict
from evaluation.metrics.retrieval import recall_at_k, retrieval_metrics

CLASSES, PER_CLASS = 10, 60
SORTED = np.repeat(np.arange(CLASSES), PER_CLASS)


def unit(rows, width, seed=0):
    points = np.random.default_rng(seed).standard_normal((rows, width))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def orders(labels):
    """Return labels sorted, in reverse, dealt in turn and in any order."""
    return {
        "sorted": labels,
        "reversed": labels[::-1],
        "dealt": labels.reshape(CLASSES, -1).T.ravel(),
        "any": np.random.default_rng(3).permutation(labels),
    }


def chance_map_at_r(relevant, others):
    """Return MAP@R of a random ranking: the naive mean over ranks of its expectation."""
    share, rest = relevant / others, (relevant - 1) / (others - 1)
    ranks = range(1, relevant + 1)
    return 100 * sum(share * (1 + (i - 1) * rest) / i for i in ranks) / relevant


@pytest.mark.parametrize("k", [1, 7, 120, 299, 300])
def test_without_ties_it_is_the_search_bit_by_bit(k):
    bank, queries = unit(300, 32), unit(40, 32, seed=1)
    plain = search(bank, queries, k)
    untied = (np.diff(plain[0], axis=1) < 0).all(axis=1)  # two of 300 cosines may be equal in fp32
    assert untied.mean() > 0.8
    for found, expected in zip(fair_search(bank, queries, k), plain, strict=True):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(found[untied], expected[untied])


@pytest.mark.parametrize("order", ["sorted", "reversed", "dealt", "any"])
@pytest.mark.parametrize("collapse", ["zero", "equal", "up to rounding"])
def test_a_collapsed_network_scores_chance_in_any_order(order, collapse):
    labels = orders(SORTED)[order]
    points = np.full((len(labels), 64), 0.0 if collapse == "zero" else 0.125, np.float32)
    if collapse == "up to rounding":
        points *= 1 + 1e-7 * np.random.default_rng(0).standard_normal(points.shape)
    figures = retrieval_metrics(points, labels, (1, 4))
    assert figures["recall_at_1"] == pytest.approx(100 / CLASSES, abs=3.0)
    assert figures["recall_at_4"] == pytest.approx(100 * (1 - 0.9**4), abs=7.0)
    chance = chance_map_at_r(PER_CLASS - 1, len(labels) - 1)
    assert figures["map_at_r"] == pytest.approx(chance, abs=1.0)
    for k in (1, 20, 200):
        accuracy = knn_accuracy(points, labels, points, labels, k)
        assert accuracy == pytest.approx(100 / CLASSES, abs=4.0)


@pytest.mark.parametrize("order", ["sorted", "reversed", "any"])
def test_duplicates_of_two_classes_are_found_as_by_chance(order):
    # every image has a copy in each of four classes: the copies tie, and nothing else does
    images = np.repeat(np.arange(4), 250)
    points = unit(250, 16)[np.tile(np.arange(250), 4)]
    ways = {"sorted": slice(None), "reversed": slice(None, None, -1)}
    way = ways.get(order, np.random.default_rng(1).permutation(1000))
    points, labels = points[way], images[way]
    queries = unit(250, 16)
    _, found = fair_search(points, queries, 1)
    counts = np.bincount(labels[found[:, 0]], minlength=4)
    assert counts == pytest.approx(np.full(4, 62.5), abs=30)
    # rank 2 of 4 is as likely any class's
    _, found = fair_search(points, queries, 6)
    counts = np.bincount(labels[found[:, 1]], minlength=4)
    assert counts == pytest.approx(np.full(4, 62.5), abs=30)
    for row, query in zip(found, queries, strict=True):
        assert points[row[:4]] == pytest.approx(np.tile(query, (4, 1)))
        assert len(set(row.tolist())) == 6


@pytest.mark.parametrize("device", [False, True], ids=["host", "device"])
def test_ties_keep_similarities_and_never_repeat_a_row(monkeypatch, device):
    if device:
        monkeypatch.setattr(neighbours, "_search_host", _search_device)
    rng = np.random.default_rng(0)
    bank = unit(40, 3)[rng.integers(0, 40, 500)]  # about a dozen copies of each
    queries = torch.from_numpy(bank[:90])
    for k in (1, 5, 13, 100, 500):
        similarities, indices = fair_search(bank, queries, k)
        products = queries.numpy().astype(np.float64) @ bank.astype(np.float64).T
        expected = -np.sort(-products, axis=1)[:, :k]
        np.testing.assert_allclose(similarities, expected, atol=1e-6)
        picked = np.take_along_axis(products, indices, axis=1)
        np.testing.assert_allclose(picked, expected, atol=1e-6)
        assert all(len(set(row)) == k for row in indices.tolist())
        again = fair_search(bank, queries, k)
        np.testing.assert_array_equal(indices, again[1])


def test_a_query_with_ties_leaves_the_others_alone():
    bank = unit(200, 16)
    bank[50:60] = bank[50]
    queries = np.concatenate([unit(30, 16, seed=4), bank[50:51]])
    plain, fair = search(bank, queries, 5), fair_search(bank, queries, 5)
    untied = [row for row in range(30) if not set(plain[1][row]) & set(range(50, 60))]
    assert len(untied) > 9
    for expected, found in zip(plain, fair, strict=True):
        np.testing.assert_array_equal(found[untied], expected[untied])
    assert set(fair[1][30]) <= set(range(50, 60))


def test_copies_of_a_query_are_no_matter_of_its_place():
    # pairs of copies, one of each class: none finds its own class first
    points, labels = unit(80, 8)[np.arange(160) // 2], np.arange(160) % 2
    own = np.arange(160)
    _, others = drop_self(*fair_search(points, points, 2), own)
    assert (others[:, 0] == own ^ 1).all()
    assert recall_at_k(points, labels, (1,)) == {1: 0.0}


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_data_changes_nothing_without_ties(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 6, 150)
    points = unit(6, 8)[labels] + 0.5 * rng.standard_normal((150, 8))
    shuffled = rng.permutation(150)
    assert retrieval_metrics(points, labels) == pytest.approx(
        retrieval_metrics(points[shuffled], labels[shuffled])
    )
    queries, truth = points[:40], labels[:40]
    for k in (1, 10, 150):
        np.testing.assert_array_equal(
            knn_predict(points, labels, queries, k),
            knn_predict(points[shuffled], labels[shuffled], queries, k),
        )
        once, again = rng.permutation(40), slice(None)
        assert knn_accuracy(points, labels, queries[once], truth[once], k) == knn_accuracy(
            points, labels, queries[again], truth[again], k
        )


def test_a_class_of_copies_at_the_border_wins_by_its_share_alone():
    # 1 image of class 9 is near; 60 copies tie for the other votes, 50 of class 0 and 10 of class 1
    bank = np.zeros((61, 2), np.float32)
    bank[:, 0], bank[0] = 1.0, (0.9, 0.1)
    labels = np.array([9] + [1] * 10 + [0] * 50)
    queries = np.tile(np.array([[1.0, 0.0]], np.float32), (160, 1))
    for given in (labels, np.concatenate([labels[:1], labels[:0:-1]])):
        predicted = knn_predict(bank, given, queries, k=1)
        assert np.mean(predicted == 0) == pytest.approx(50 / 60, abs=0.25)


def test_rows_that_differ_in_rounding_alone_tie_and_others_do_not():
    angles = np.array([0.0, 2e-7, 5e-3])  # cosines to the first: 1, 1 and 1 - 1.25e-5
    bank = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = fair_search(bank, np.tile(bank[:1], (64, 1)), 3)[1]
    assert (found[:, 2] == 2).all()
    assert 8 < (found[:, 0] == 0).sum() < 56
    # equally similar to the query, though on two sides of it
    bank = np.array([[0.6, 0.8], [0.6, -0.8]], np.float32)
    found = fair_search(bank, np.tile(np.array([[1.0, 0.0]], np.float32), (64, 1)), 1)[1]
    assert 8 < (found[:, 0] == 0).sum() < 56
