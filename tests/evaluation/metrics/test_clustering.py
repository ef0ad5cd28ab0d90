from itertools import permutations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from evaluation.backends.kmeans import kmeans
from evaluation.metrics.clustering import (
    CLUSTERING_METRICS,
    adjusted_rand,
    agreement,
    best_clusters,
    clustering_accuracy,
    clustering_metrics,
    nmi,
)
from evaluation.undefined import Undefined

AVERAGES = ("arithmetic", "geometric")


def digits(rows=600):
    points, labels = load_digits(return_X_y=True)
    return points[:rows], labels[:rows]


def blobs(clusters=5, per_cluster=20):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(clusters), per_cluster)
    return 10.0 * np.eye(clusters)[labels] + rng.standard_normal((len(labels), clusters)), labels


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (10, 3), (50, 400), (1, 4), (4, 1), (1, 1)])
def test_agreement_equals_scikit_learn(average, rows, columns):
    rng = np.random.default_rng(rows * 1000 + columns)
    first = rng.integers(0, rows, 500)
    noise = rng.integers(0, columns, 500)
    second = np.where(rng.random(500) < 0.5, first % columns, noise)
    expected = normalized_mutual_info_score(first, second, average_method=average)
    assert agreement(first, second, average) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([0, 0, 1, 1], [1, 1, 0, 0], 1.0),
        ([-9, -9, 10**12], [4, 4, 3], 1.0),
        ([0, 0, 1, 1], [0, 1, 0, 1], 0.0),
        ([5, 5, 5], [7, 7, 7], 1.0),
        ([5, 5, 5], [1, 2, 3], 0.0),
        ([1, 2, 3], [5, 5, 5], 0.0),
        ([3], [8], 1.0),
    ],
)
def test_agreement_of_known_partitions(average, first, second, expected):
    assert agreement(first, second, average) == pytest.approx(expected, abs=1e-12)


def test_the_averages_differ_on_skewed_partitions():
    first, second = np.repeat([0, 1], [95, 5]), np.arange(100) % 10
    arithmetic, geometric = (agreement(first, second, average) for average in AVERAGES)
    assert 0.0 < arithmetic < geometric


def test_agreement_stays_between_zero_and_one():
    rng = np.random.default_rng(0)
    for count in range(2, 40):
        labels = rng.integers(0, count, 997)
        assert 0.0 <= agreement(labels, rng.permutation(count)[labels]) <= 1.0
        assert 0.0 <= agreement(np.arange(997) % count, np.arange(997) // count) <= 1.0


def test_agreement_takes_tensors():
    assert agreement(torch.tensor([0, 0, 1]), np.array([2, 2, 5], np.uint8)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("first", "second", "average", "message"),
    [
        ([0, 1], [0, 1, 2], "arithmetic", r"second: expected shape \(2,\).*found shape \(3,\)"),
        ([], [], "arithmetic", "first: expected at least 1 label"),
        ([0.0, 1.0], [0, 1], "arithmetic", "first: expected integer labels, found float64"),
        ([0, 1], [0, 1], "max", "average: expected 'arithmetic' or 'geometric', got 'max'"),
    ],
)
def test_bad_partitions(first, second, average, message):
    with pytest.raises(ValueError, match=message):
        agreement(first, second, average)


@pytest.mark.parametrize("average", AVERAGES)
def test_separated_classes_score_100(average):
    assert nmi(*blobs(), average=average) == pytest.approx(100.0)


@pytest.mark.parametrize("average", AVERAGES)
def test_nmi_is_the_score_of_its_clusters(average):
    points, labels = digits()
    expected = 100 * normalized_mutual_info_score(
        labels, best_clusters(points, 10), average_method=average
    )
    assert nmi(points, labels, average) == pytest.approx(expected)


def test_clusters_are_as_tight_as_those_of_scikit_learn():
    points, labels = digits()
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    reference = KMeans(10, n_init=10, random_state=0).fit(unit)
    clusters = best_clusters(points, 10)
    means = np.stack([unit[clusters == c].mean(axis=0) for c in range(10)])
    assert np.square(unit - means[clusters]).sum() <= 1.01 * reference.inertia_
    score = 100 * normalized_mutual_info_score(labels, reference.labels_)
    assert nmi(points, labels) == pytest.approx(score, abs=5.0)


def test_the_tightest_restart_counts():
    points, _ = digits()
    unit = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)

    def inertia(clusters):
        means = np.stack([unit[clusters == c].mean(axis=0) for c in range(10)])
        return np.square(unit - means[clusters]).sum()

    single = [inertia(kmeans(unit, 10, seed)[1]) for seed in range(20)]
    assert inertia(best_clusters(points, 10, restarts=30)) < np.median(single)
    assert inertia(best_clusters(points, 10, 30)) <= inertia(best_clusters(points, 10, 1))


def test_the_seed_decides():
    points, labels = digits()
    assert nmi(points, labels, restarts=1, seed=4) == nmi(points, labels, restarts=1, seed=4)
    assert len({nmi(points, labels, restarts=1, seed=seed) for seed in range(6)}) > 1


def test_rows_are_normalised():
    points, labels = blobs()
    norms = np.random.default_rng(1).uniform(0.01, 100.0, (len(points), 1))
    assert nmi(points * norms, labels) == pytest.approx(100.0)


def test_degenerate_embeddings_have_a_value():
    points, labels = blobs()
    assert nmi(np.ones_like(points), labels) == pytest.approx(0.0, abs=1e-6)
    assert nmi(np.zeros_like(points), labels) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("value", ["one class", "each image alone"])
@pytest.mark.parametrize("rows", [1, 2, 100])
def test_what_any_network_agrees_with_has_no_value(value, rows):
    points = np.random.default_rng(0).standard_normal((rows, 4))
    labels = np.zeros(rows, int) if value == "one class" else np.arange(rows) * 3
    reason = "of one class" if value == "one class" or rows == 1 else "alone in its class"
    with pytest.raises(Undefined, match=reason):
        nmi(points, labels)
    found = clustering_metrics(points, labels)
    assert found == {}
    assert found.undefined.keys() == {"nmi", "nmi_geometric", "ari", "clustering_accuracy"}
    assert all(reason in text for text in found.undefined.values())


def test_a_single_pair_of_a_class_is_enough():
    points = np.random.default_rng(0).standard_normal((20, 4))
    assert clustering_metrics(points, [0, *range(19)]).keys() == set(CLUSTERING_METRICS)


def test_bf16_tensors_with_gradient():
    points, labels = blobs()
    tensor = torch.from_numpy(points).bfloat16().requires_grad_()
    assert nmi(tensor, torch.from_numpy(labels)) == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.zeros(3, int)}, r"labels: expected shape \(4,\)"),
        ({"average": "mean"}, "average: expected 'arithmetic' or 'geometric', got 'mean'"),
        ({"restarts": 0}, "restarts: expected an integer of at least 1, got 0"),
        ({"embeddings": np.full((4, 2), np.inf)}, "embeddings: expected finite values"),
    ],
)
def test_bad_arguments(change, message):
    arguments = {"embeddings": np.ones((4, 2)), "labels": np.array([0, 0, 1, 1])}
    with pytest.raises(ValueError, match=message):
        nmi(**(arguments | change))


def brute_force_accuracy(labels, clusters):
    """Try every naming of the clusters; names beyond the classes are wrong."""
    classes, found = sorted(set(labels)), sorted(set(clusters))
    names = classes + [None] * max(0, len(found) - len(classes))

    def accuracy(naming):
        named = dict(zip(found, naming, strict=True))
        return 100 * np.mean([named[c] == x for x, c in zip(labels, clusters, strict=True)])

    return max(accuracy(naming) for naming in permutations(names, len(found)))


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (10, 3), (50, 400), (1, 4), (4, 1), (1, 1)])
def test_adjusted_rand_equals_scikit_learn(rows, columns):
    rng = np.random.default_rng(rows * 1000 + columns)
    first = rng.integers(0, rows, 500)
    second = np.where(rng.random(500) < 0.5, first % columns, rng.integers(0, columns, 500))
    expected = 100 * adjusted_rand_score(first, second)
    assert adjusted_rand(first, second) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([0, 0, 1, 1], [1, 1, 0, 0], 100.0),
        ([-9, -9, 10**12], [4, 4, 3], 100.0),
        ([0, 0, 1, 1], [0, 1, 0, 1], -50.0),
        ([5, 5, 5], [7, 7, 7], 100.0),
        ([1, 2, 3], [3, 1, 2], 100.0),
        ([5, 5, 5], [1, 2, 3], 0.0),
        ([1, 2, 3], [5, 5, 5], 0.0),
        ([3], [8], 100.0),
    ],
)
def test_adjusted_rand_of_known_partitions(first, second, expected):
    assert adjusted_rand(first, second) == pytest.approx(expected)


def test_unrelated_partitions_score_about_nothing():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 10, (2, 100_000))
    assert adjusted_rand(first, second) == pytest.approx(0.0, abs=0.1)
    assert clustering_accuracy(first, second) == pytest.approx(10.0, abs=1.0)


@pytest.mark.parametrize(("classes", "clusters"), [(2, 2), (4, 4), (5, 3), (3, 5), (1, 4), (4, 1)])
def test_clustering_accuracy_equals_every_naming_tried(classes, clusters):
    rng = np.random.default_rng(classes * 10 + clusters)
    for noise in (0.2, 0.6, 1.0):
        labels = rng.integers(0, classes, 60) * 7 - 3
        wild = rng.integers(0, clusters, 60)
        found = np.where(rng.random(60) < noise, wild, (labels + 3) // 7 % clusters)
        assert clustering_accuracy(labels, found) == pytest.approx(
            brute_force_accuracy(labels.tolist(), found.tolist())
        )


@pytest.mark.parametrize(
    ("labels", "clusters", "expected"),
    [
        ([0, 0, 1, 1], [8, 8, -2, -2], 100.0),
        ([0, 0, 1, 1], [0, 1, 2, 3], 50.0),
        ([0, 0, 1, 1], [6, 6, 6, 6], 50.0),
        ([5, 5, 5, 5], [0, 1, 2, 2], 50.0),
        ([3], [8], 100.0),
    ],
)
def test_clustering_accuracy_of_known_clusters(labels, clusters, expected):
    assert clustering_accuracy(labels, clusters) == expected


@pytest.mark.parametrize("judge", [adjusted_rand, clustering_accuracy])
@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([0, 1], [0, 1, 2], r"expected shape \(2,\).*found shape \(3,\)"),
        ([], [], "expected at least 1 label"),
        ([0.0, 1.0], [0, 1], "expected integer labels, found float64"),
    ],
)
def test_what_cannot_be_compared(judge, first, second, message):
    with pytest.raises(ValueError, match=message):
        judge(first, second)


def test_one_clustering_gives_every_figure():
    points, labels = digits()
    clusters = best_clusters(points, 10, restarts=3, seed=5)
    assert clustering_metrics(points, labels, restarts=3, seed=5) == {
        "nmi": nmi(points, labels, "arithmetic", 3, 5),
        "nmi_geometric": nmi(points, labels, "geometric", 3, 5),
        "ari": pytest.approx(100 * adjusted_rand_score(labels, clusters)),
        "clustering_accuracy": clustering_accuracy(labels, clusters),
    }


def test_figures_of_separated_classes():
    points, labels = blobs()
    perfect = dict.fromkeys(("nmi", "nmi_geometric", "ari", "clustering_accuracy"), 100.0)
    assert clustering_metrics(points, labels) == pytest.approx(perfect)


@pytest.mark.parametrize("value", [0.0, 1.0], ids=["all zero", "all equal"])
def test_figures_of_a_collapsed_network(value):
    points, labels = blobs()
    figures = clustering_metrics(np.full_like(points, value), labels)
    expected = {"nmi": 0.0, "nmi_geometric": 0.0, "ari": 0.0, "clustering_accuracy": 20.0}
    assert figures == pytest.approx(expected, abs=1e-6)


def test_figures_refuse_nan():
    with pytest.raises(ValueError, match="embeddings: expected finite values, found 1 rows"):
        clustering_metrics(np.array([[np.nan, 1.0], [0.0, 1.0]]), [0, 1])
