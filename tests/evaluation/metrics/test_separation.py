import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from evaluation.metrics.separation import auc, histogram, nearest_similarities, overlap
from helpers import naive

CLASSES = np.array([-4, 3, 100])


def problem(rows=90, width=6, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, rows)
    points = rng.standard_normal((3, width))[codes] + rng.standard_normal((rows, width))
    return points, CLASSES[codes]


@pytest.mark.parametrize("n", [1, 5, 29, 90, 200])
def test_similarities_equal_a_naive_loop(n):
    points, labels = problem()
    for found, expected in zip(
        nearest_similarities(points, labels, n),
        naive.class_similarities(points, labels, n),
        strict=True,
    ):
        assert (found.dtype, found.shape) == (np.float32, (90, n))
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("cells", [1, 200, 1000])
def test_chunks_of_queries_do_not_matter(cells):
    points, labels = problem()
    expected = nearest_similarities(points, labels)
    for found, whole in zip(
        nearest_similarities(points, labels, cells=cells), expected, strict=True
    ):
        np.testing.assert_allclose(found, whole, atol=1e-6)


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy, np.ndarray.tolist])
def test_a_boolean_attribute_is_two_classes(make):
    points, labels = problem()
    has_it = labels > 0
    for found, expected in zip(
        nearest_similarities(points, make(has_it)),
        nearest_similarities(points, np.where(has_it, 7, -7)),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)


def test_an_image_leaves_itself_out_but_finds_its_copies():
    points = np.repeat(np.eye(4), 2, axis=0)
    positive, negative = nearest_similarities(points, np.repeat(np.arange(4), 2), n=2)
    np.testing.assert_allclose(positive, [[1.0, math.nan]] * 8)
    np.testing.assert_allclose(negative, np.zeros((8, 2)))


def test_rows_are_normalised_and_tensors_taken():
    points, labels = problem()
    norms = np.random.default_rng(1).uniform(0.01, 100.0, (len(points), 1))
    tensor = torch.from_numpy(points * norms).requires_grad_()
    for found, expected in zip(
        nearest_similarities(tensor, torch.from_numpy(labels)),
        nearest_similarities(points, labels),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_similarities_stay_within_minus_one_and_one():
    points = np.repeat(np.random.default_rng(0).standard_normal((200, 33)), 3, axis=0)
    points[::2] *= -1
    positive, negative = nearest_similarities(points, np.arange(600) % 2, n=599)
    assert np.nanmax(np.abs(positive)) <= 1.0
    assert np.nanmax(np.abs(negative)) <= 1.0


def test_a_single_class_has_no_negatives():
    points, _ = problem()
    positive, negative = nearest_similarities(points, np.ones(len(points), bool))
    assert np.isfinite(positive).all()
    assert np.isnan(negative).all()
    with pytest.raises(ValueError, match="negative: expected at least one similarity"):
        auc(positive, negative)


@pytest.mark.parametrize(("value", "cosine"), [(0.0, 0.0), (1.0, 1.0)], ids=["zero", "equal"])
def test_a_collapsed_network_tells_nothing(value, cosine):
    labels = np.arange(40) % 4
    positive, negative = nearest_similarities(np.full((40, 6), value), labels)
    np.testing.assert_allclose(positive, np.full((40, 5), cosine), atol=1e-6)
    np.testing.assert_allclose(negative, np.full((40, 5), cosine), atol=1e-6)
    assert overlap(positive, negative) == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0, 1, 0]}, r"labels: expected shape \(4,\)"),
        ({"labels": [0.0, 1.0, 0.0, 1.0]}, "labels: expected integer labels, found float64"),
        ({"embeddings": np.full((4, 2), np.nan)}, "expected finite values, found 4 rows"),
        ({"embeddings": np.ones((1, 2)), "labels": [0]}, "expected at least 2 rows, found 1"),
        ({"n": 0}, "n: expected an integer of at least 1, got 0"),
    ],
)
def test_bad_arguments(change, message):
    arguments = {"embeddings": np.ones((4, 2)), "labels": [0, 0, 1, 1], "n": 2}
    with pytest.raises(ValueError, match=message):
        nearest_similarities(**(arguments | change))


@pytest.mark.parametrize("digits", [1, 2, 9], ids=["many ties", "some ties", "no ties"])
def test_auc_equals_scikit_learn(digits):
    rng = np.random.default_rng(digits)
    positive = np.round(rng.normal(0.3, 0.3, (70, 5)), digits)
    negative = np.round(rng.normal(0.0, 0.3, (60, 5)), digits)
    truth = np.repeat([1, 0], [350, 300])
    scores = np.concatenate([positive.ravel(), negative.ravel()])
    assert auc(positive, negative) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert auc(negative, positive) == pytest.approx(1.0 - auc(positive, negative), abs=1e-12)


@pytest.mark.parametrize(
    ("positive", "negative", "area", "shared"),
    [
        ([0.9, 0.8], [0.1, -1.0], 1.0, 0.0),
        ([-0.3], [0.9, 1.0], 0.0, 0.0),
        ([0.51, 0.51], [0.51], 0.5, 1.0),
        ([0.51, 0.91], [0.51, 0.11], 0.875, 0.5),
        ([0.51, math.nan], [math.nan, 0.51, 0.11, 0.11], 5 / 6, 1 / 3),
    ],
)
def test_auc_and_overlap_by_hand(positive, negative, area, shared):
    for make in (np.array, torch.tensor):
        assert auc(make(positive), make(negative)) == pytest.approx(area)
        assert overlap(make(positive), make(negative)) == pytest.approx(shared)


@pytest.mark.parametrize("bins", [4, 20, 80])
def test_overlap_equals_a_naive_intersection(bins):
    rng = np.random.default_rng(bins)
    positive, negative = np.tanh(rng.normal(0.5, 0.5, 400)), np.tanh(rng.normal(0.0, 0.5, 300))

    def share(values, low, high):
        return sum(low <= v < high for v in values) / len(values)

    edges = [-1 + 2 * i / bins for i in range(bins + 1)]
    expected = sum(
        min(share(positive, low, high), share(negative, low, high)) for low, high in pairwise(edges)
    )
    assert overlap(positive, negative, bins) == pytest.approx(expected)
    assert overlap(negative, positive, bins) == overlap(positive, negative, bins)
    assert 0.2 < expected < 0.9


def test_overlap_of_a_distribution_with_itself():
    values = np.random.default_rng(0).uniform(-1, 1, 1000)
    assert overlap(values, values) == pytest.approx(1.0)
    assert overlap(values, np.tile(values, 3)) == pytest.approx(1.0)


def test_the_histogram_counts_every_value_on_a_fixed_grid():
    counts, edges = histogram([-1.0, -0.99, 1.0, math.nan], [[0.0, 0.024], [0.026, 1.0 + 1e-6]])
    assert (counts.dtype, counts.shape, edges.shape) == (np.int64, (2, 80), (81,))
    np.testing.assert_allclose(np.diff(edges), 0.025)
    assert (edges[0], edges[-1]) == (-1.0, 1.0)
    assert {i: int(x) for i, x in enumerate(counts[0]) if x} == {0: 2, 79: 1}
    assert {i: int(x) for i, x in enumerate(counts[1]) if x} == {40: 2, 41: 1, 79: 1}


@pytest.mark.parametrize("judge", [auc, overlap, histogram])
@pytest.mark.parametrize(
    ("positive", "negative", "message"),
    [
        ([], [0.1], "positive: expected at least one similarity that is not NaN"),
        ([0.1], [math.nan], "negative: expected at least one similarity that is not NaN"),
        ([math.inf], [0.1], "positive: expected finite similarities, found infinity"),
    ],
)
def test_sides_without_values(judge, positive, negative, message):
    with pytest.raises(ValueError, match=message):
        judge(positive, negative)


@pytest.mark.parametrize("judge", [overlap, histogram])
def test_what_is_no_cosine(judge):
    with pytest.raises(ValueError, match=r"negative: expected cosine similarities .* -0.5 to 2;"):
        judge([0.1], [2.0, -0.5])


def test_bad_bins():
    with pytest.raises(ValueError, match="bins: expected an integer of at least 1, got 0"):
        overlap([0.1], [0.2], bins=0)
