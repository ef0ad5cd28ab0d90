"""Every public function that takes embeddings or labels refuses what it cannot measure."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch

from evaluation.backends.kmeans import kmeans
from evaluation.backends.neighbours import fair_search, search
from evaluation.metrics.clustering import (
    adjusted_rand,
    agreement,
    best_clusters,
    clustering_accuracy,
    clustering_metrics,
    nmi,
)
from evaluation.metrics.knn import knn_accuracy, knn_predict
from evaluation.metrics.linear_probe import cross_validated_c, linear_accuracy
from evaluation.metrics.representation import (
    alignment,
    effective_rank,
    representation_metrics,
    uniformity,
    view_agreement,
)
from evaluation.metrics.retrieval import (
    lone_images,
    map_at_r,
    recall_at_k,
    retrieval_metrics,
)
from evaluation.metrics.separation import auc, histogram, nearest_similarities, overlap

ROWS, WIDTH = 12, 4


class Call(NamedTuple):
    """A function with the places of its embeddings and of the labels of each."""

    function: Callable[..., object]
    embeddings: tuple[int, ...]
    labels: tuple[int, ...] = ()

    def arguments(self):
        rng, values = np.random.default_rng(0), []
        for place in range(len(self.embeddings) + len(self.labels)):
            if place in self.embeddings:
                values.append(rng.standard_normal((ROWS, WIDTH)))
            else:
                values.append(np.arange(ROWS) % 3)
        return values


CALLS = [
    Call(lambda bank, queries: search(bank, queries, 2), (0, 1)),
    Call(lambda bank, queries: fair_search(bank, queries, 2), (0, 1)),
    Call(lambda rows: kmeans(rows, 2, 0), (0,)),
    Call(lambda b, x, q: knn_predict(b, x, q, 2), (0, 2), (1,)),
    Call(lambda b, x, q, y: knn_accuracy(b, x, q, y, 2), (0, 2), (1, 3)),
    Call(recall_at_k, (0,), (1,)),
    Call(map_at_r, (0,), (1,)),
    Call(retrieval_metrics, (0,), (1,)),
    Call(nmi, (0,), (1,)),
    Call(clustering_metrics, (0,), (1,)),
    Call(lambda rows: best_clusters(rows, 2), (0,)),
    Call(linear_accuracy, (0, 2), (1, 3)),
    Call(cross_validated_c, (0,), (1,)),
    Call(nearest_similarities, (0,), (1,)),
    Call(alignment, (0, 1)),
    Call(view_agreement, (0, 1)),
    Call(representation_metrics, (0, 1)),
    Call(uniformity, (0,)),
    Call(effective_rank, (0,)),
]
NAMES = [
    "search", "fair_search", "kmeans", "knn_predict", "knn_accuracy", "recall_at_k", "map_at_r",
    "retrieval_metrics", "nmi", "clustering_metrics", "best_clusters", "linear_accuracy",
    "cross_validated_c", "nearest_similarities", "alignment", "view_agreement",
    "representation_metrics", "uniformity", "effective_rank",
]  # fmt: skip
every = pytest.mark.parametrize("call", CALLS, ids=NAMES)
PARTITIONS = (agreement, adjusted_rand, clustering_accuracy)


def refused(call, place, value, message):
    arguments = call.arguments()
    arguments[place] = value
    with pytest.raises(ValueError, match=message) as caught:
        call.function(*arguments)
    assert ": expected " in str(caught.value)
    assert "\n" not in str(caught.value)


@every
def test_what_is_well_formed_is_taken(call):
    call.function(*call.arguments())


@every
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_embeddings_that_are_not_finite(call, value, make):
    for place in call.embeddings:
        broken = call.arguments()[place].copy()
        broken[3, 1] = value
        refused(call, place, make(broken), "expected finite values, found 1 rows with NaN or inf")


@every
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones(ROWS), r"non-empty array of shape \(rows, width\)"),
        (np.ones((ROWS, WIDTH, 1)), r"non-empty array of shape \(rows, width\)"),
        (np.ones((0, WIDTH)), r"non-empty array of shape \(rows, width\)"),
        (np.ones((ROWS, 0)), r"non-empty array of shape \(rows, width\)"),
        (np.float64(3.0), r"non-empty array of shape \(rows, width\)"),
        (np.ones((ROWS, WIDTH), int), "expected floating-point embeddings"),
        (np.full((ROWS, WIDTH), "a"), "expected floating-point embeddings"),
    ],
)
def test_what_is_no_table_of_embeddings(call, value, message):
    for place in call.embeddings:
        refused(call, place, value, message)


@every
def test_embeddings_of_another_width(call):
    if len(call.embeddings) > 1:
        refused(call, call.embeddings[1], np.ones((ROWS, WIDTH + 1)), "expected width 4 .* width 5")


@every
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros(ROWS - 1, int), r"expected shape \(12,\), .* found shape \(11,\)"),
        (np.zeros(ROWS + 1, int), r"expected shape \(12,\), .* found shape \(13,\)"),
        (np.zeros((ROWS, 1), int), r"expected shape \(12,\), .* found shape \(12, 1\)"),
        (np.zeros(0, int), r"expected shape \(12,\), .* found shape \(0,\)"),
        (np.int64(3), r"expected shape \(12,\), .* found shape \(\)"),
        (np.zeros(ROWS), "expected integer labels, found float64"),
        (np.full(ROWS, "cat"), "expected integer labels, found <U3"),
        (np.full(ROWS, 2**63, np.uint64), r"expected labels below 2\^63"),
    ],
)
def test_labels_that_do_not_fit(call, value, message):
    for place in call.labels:
        refused(call, place, value, message)


@pytest.mark.parametrize("measure", PARTITIONS)
@pytest.mark.parametrize("value", [np.int64(3), np.zeros(0, int), np.zeros(2), np.zeros(3, int)])
def test_partitions_that_do_not_fit(measure, value):
    for arguments in ((value, np.zeros(2, int)), (np.zeros(2, int), value)):
        with pytest.raises(ValueError, match=": expected "):
            measure(*arguments)


@pytest.mark.parametrize("measure", [auc, overlap, histogram])
def test_similarities_that_are_not_finite(measure):
    for pair in (([0.1, np.inf], [0.2]), ([0.1], [-np.inf, 0.2])):
        with pytest.raises(ValueError, match="expected finite similarities, found infinity"):
            measure(*(np.array(side) for side in pair))


def test_lone_images_need_labels():
    with pytest.raises(ValueError, match="expected integer labels"):
        lone_images(np.zeros(3))
    assert lone_images(np.array([5, 5, -1, 7])) == 2
