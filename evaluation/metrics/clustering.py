"""Do clusters of embeddings agree with the classes?"""

import math
from typing import Literal, TypeAlias

import numpy as np

from evaluation.backends.kmeans import kmeans
from evaluation.undefined import Metrics, Undefined, check_several_classes
from evaluation.validation import (
    Array,
    Integers,
    as_embeddings,
    as_labels,
    check_choice,
    check_count,
    unit_rows,
)

Average: TypeAlias = Literal["arithmetic", "geometric"]
"""The mean of the two entropies that normalises the information: papers differ."""

LLOYD_ITERATIONS = 100
"""Enough for k-means to settle on every data set of the suite."""

CLUSTERING_METRICS = ("nmi", "nmi_geometric", "ari", "clustering_accuracy")
"""What `clustering_metrics` returns."""


def nmi(
    embeddings: Array,
    labels: Array,
    average: Average = "arithmetic",
    restarts: int = 10,
    seed: int = 0,
) -> float:
    """Return the NMI, in percent, between the classes and as many clusters of the embeddings.

    Source: Song et al., CVPR 2016, with the arithmetic mean; Ye et al., CVPR 2019,
    Tables 3 to 5, whose library took the geometric mean, with 10 restarts of k-means. For both
    means at the price of one, see `clustering_metrics`.

    Args:
        embeddings: (n, d); rows are L2-normalised here, a zero row stays zero.
        labels: (n,) integers of any value.
        average: mean of the two entropies by which the mutual information is divided.
        restarts: runs of k-means, of which the tightest counts.
        seed: at least 0; the same seed gives the same value.

    Returns:
        From 0 (independent) to 100 (the same partition).

    Raises:
        ValueError: if shapes, values or an option do not fit.
        Undefined: if there is one class, or every image is alone in its class: any network scores
            100 then.
    """
    check_choice(average, "average", Average)
    points = as_embeddings(embeddings, "embeddings")
    classes = as_labels(labels, "labels", len(points), "embeddings")
    _check_classes(classes)
    clusters = best_clusters(points, len(np.unique(classes)), restarts, seed)
    return 100.0 * agreement(classes, clusters, average)


def clustering_metrics(
    embeddings: Array, labels: Array, restarts: int = 10, seed: int = 0
) -> Metrics:
    """Return every metric of this file, in percent, from one set of `best_clusters`.

    Args:
        embeddings: (n, d); rows are L2-normalised here, a zero row stays zero.
        labels: (n,) integers of any value. There are as many clusters as classes.
        restarts: runs of k-means, of which the tightest counts.
        seed: at least 0; the same seed gives the same values.

    Returns:
        `nmi` (arithmetic mean), `nmi_geometric`, `ari` and `clustering_accuracy`; none of them
        if there is one class, or every image is alone in its class.

    Raises:
        ValueError: if shapes, values or an option do not fit.
    """
    points = as_embeddings(embeddings, "embeddings")
    classes = as_labels(labels, "labels", len(points), "embeddings")
    check_count(restarts, "restarts")
    found = Metrics()
    try:
        _check_classes(classes)
    except Undefined as reason:
        found.leave_out(CLUSTERING_METRICS, str(reason))
        return found
    clusters = best_clusters(points, len(np.unique(classes)), restarts, seed)
    values = (
        100.0 * agreement(classes, clusters),
        100.0 * agreement(classes, clusters, "geometric"),
        adjusted_rand(classes, clusters),
        clustering_accuracy(classes, clusters),
    )
    found.update(zip(CLUSTERING_METRICS, values, strict=True))
    return found


def best_clusters(embeddings: Array, clusters: int, restarts: int = 10, seed: int = 0) -> Integers:
    """Return the (n,) int64 k-means assignment of smallest inertia among several restarts.

    Args:
        embeddings: (n, d); rows are L2-normalised here, a zero row stays zero.
        clusters: number of clusters, at most n.
        restarts: runs of k-means from different random points.
        seed: at least 0; the same seed gives the same assignment.

    Raises:
        ValueError: if shapes, values or an option do not fit.
    """
    points = unit_rows(as_embeddings(embeddings, "embeddings")).cpu()
    restarts = check_count(restarts, "restarts")
    best, smallest = np.empty(0, np.int64), math.inf
    for start in np.random.SeedSequence(seed).generate_state(restarts):
        centroids, assignment = kmeans(points, clusters, int(start), LLOYD_ITERATIONS)
        offsets = points.numpy() - centroids[assignment]
        inertia = float(np.einsum("nd,nd->", offsets, offsets, dtype=np.float64))
        if inertia < smallest:
            best, smallest = assignment, inertia
    return best


def agreement(first: Array, second: Array, average: Average = "arithmetic") -> float:
    """Return the NMI of two partitions of the same items: I(first, second) / mean(H, H).

    Source: Strehl and Ghosh, JMLR 2002, equation 3 (geometric); Manning, Raghavan and Schütze,
    Introduction to Information Retrieval, section 16.3 (arithmetic).

    Args:
        first: (n,) integers of any value, n at least 1.
        second: (n,) integers of any value.
        average: mean of the two entropies by which the mutual information is divided.

    Returns:
        From 0 (independent) to 1 (the same partition up to names). Two partitions of one cluster
        each agree fully; one against several clusters scores 0.

    Raises:
        ValueError: if shapes, values or the average do not fit.

    >>> agreement([0, 0, 1, 1], [5, 5, 9, 9])
    1.0
    """
    check_choice(average, "average", Average)
    rows, columns = _codes(first, second, "first", "second")
    entropies = _entropy(rows), _entropy(columns)
    if min(entropies) == 0.0:
        return float(max(entropies) == 0.0)
    information = sum(entropies) - _entropy(rows * (columns.max() + 1) + columns)
    mean = sum(entropies) / 2 if average == "arithmetic" else math.sqrt(math.prod(entropies))
    return min(max(information / mean, 0.0), 1.0)


def adjusted_rand(first: Array, second: Array) -> float:
    """Return the adjusted Rand index, in percent, of two partitions of the same items.

    The share of pairs of items on which the partitions agree, relative to its expectation under
    random partitions with clusters of the same sizes. Source: Hubert and Arabie, Journal of
    Classification 1985.

    Args:
        first: (n,) integers of any value, n at least 1.
        second: (n,) integers of any value.

    Returns:
        100 for the same partition up to names, about 0 for unrelated ones, below 0, never below
        -50, for worse. One cluster against several scores 0.

    Raises:
        ValueError: if shapes or values do not fit.
    """
    rows, columns = _codes(first, second, "first", "second")
    both = _pairs(rows * (columns.max() + 1) + columns)
    one, other, all_pairs = _pairs(rows), _pairs(columns), math.comb(len(rows), 2)
    # in integers: no rounding, and zero only where both partitions are alike and trivial
    above_chance = 2 * (both * all_pairs - one * other)
    largest = (one + other) * all_pairs - 2 * one * other
    return 100.0 * above_chance / largest if largest else 100.0


def clustering_accuracy(labels: Array, clusters: Array) -> float:
    """Return the accuracy, in percent, of clusters each named after the class that fits best.

    No two clusters take the same class: the assignment of the most correct items counts, found
    by the Hungarian method (Kuhn, 1955). Clusters in excess of the classes have no name and are
    wrong. For up to some thousands of classes: time may grow with the cube of their number.

    Args:
        labels: (n,) integers of any value, n at least 1.
        clusters: (n,) integers of any value.

    Returns:
        From above 0 to 100 (the same partition up to names).

    Raises:
        ValueError: if shapes or values do not fit.

    >>> clustering_accuracy([0, 0, 1, 1], [7, 7, 7, 3])
    75.0
    """
    rows, columns = _codes(labels, clusters, "labels", "clusters")
    shape = rows.max() + 1, columns.max() + 1
    counts = np.bincount(rows * shape[1] + columns, minlength=math.prod(shape)).reshape(shape)
    from scipy.optimize import linear_sum_assignment  # at need: it takes long to load

    matched = counts[linear_sum_assignment(counts, maximize=True)]
    return 100.0 * int(matched.sum()) / len(rows)


def _codes(
    first: Array, second: Array, first_name: str, second_name: str
) -> tuple[Integers, Integers]:
    """Return two partitions of the same items, at least one, with clusters numbered from 0 on."""
    if np.ndim(first) == 0 or len(first) == 0:
        raise ValueError(
            f"{first_name}: expected at least 1 label, found none; pass one label per item"
        )
    _, rows = np.unique(as_labels(first, first_name, len(first), first_name), return_inverse=True)
    _, columns = np.unique(
        as_labels(second, second_name, len(first), first_name), return_inverse=True
    )
    return rows, columns


def _pairs(codes: Integers) -> int:
    """Return how many pairs of items share a code."""
    _, counts = np.unique(codes, return_counts=True)
    return int((counts * (counts - 1) // 2).sum())


def _entropy(codes: Integers) -> float:
    """Return the entropy, in nats, of the distribution of the codes."""
    _, counts = np.unique(codes, return_counts=True)
    shares = counts / len(codes)
    return float(-(shares @ np.log(shares)))


def _check_classes(classes: Integers) -> None:
    """Raise Undefined unless there are several classes, and fewer than there are images.

    A single cluster, or as many clusters as images, agrees with the classes whatever the network.
    """
    check_several_classes(classes, "images")
    if len(np.unique(classes)) == len(classes):
        raise Undefined(
            f"every image is alone in its class: {len(classes)} clusters of {len(classes)} images "
            "agree with the classes whatever the embedding"
        )
