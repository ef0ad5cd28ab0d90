import faiss
import numpy as np
import pytest
import torch

from evaluation.backends.kmeans import kmeans
from helpers.arrays import blobs, gaussian


def points_of(rows, width):
    return gaussian(rows, width).float().numpy()


def best_of(points, clusters, seeds):
    def inertia(result):
        return np.square(points - result[0][result[1]]).sum()

    return min((kmeans(points, clusters, seed) for seed in seeds), key=inertia)


def test_kmeans_recovers_separated_blobs():
    points, truth = blobs(4, 30)
    centroids, assignment = best_of(points, 4, range(10))
    assert (centroids.dtype, centroids.shape) == (np.float32, (4, 8))
    assert (assignment.dtype, assignment.shape) == (np.int64, (120,))
    assert len({*zip(truth.tolist(), assignment.tolist(), strict=True)}) == 4
    for cluster in range(4):
        mean = points[assignment == cluster].mean(axis=0)
        np.testing.assert_allclose(centroids[cluster], mean, atol=1e-3)


def test_kmeans_assigns_to_the_nearest_centroid():
    points = points_of(500, 6)
    centroids, assignment = kmeans(torch.from_numpy(points), 12, seed=3)
    distances = np.linalg.norm(points[:, None] - centroids[None], axis=2)
    np.testing.assert_array_equal(assignment, distances.argmin(axis=1))


def test_kmeans_is_deterministic_and_depends_on_the_seed():
    points = points_of(400, 6)
    first, again, other = (kmeans(points, 20, seed=seed) for seed in (5, 5, 6))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[1], other[1])


@pytest.mark.parametrize("seed", [-1, 2**31, 2**40])
def test_kmeans_takes_any_seed(seed):
    assert kmeans(points_of(20, 3), 2, seed)[1].shape == (20,)


def test_kmeans_uses_every_point():
    # FAISS by default keeps 256 points a cluster; all 3,000 have one mean, a sample another
    points = points_of(3000, 3)
    centroids, _ = kmeans(points, 1, seed=0)
    np.testing.assert_allclose(centroids[0], points.mean(axis=0), atol=1e-5)
    assert faiss.ClusteringParameters().max_points_per_centroid < 3000


@pytest.mark.parametrize("clusters", [1, 2, 7, 10])
def test_kmeans_survives_fewer_distinct_points_than_clusters(clusters, capfd):
    centroids, assignment = kmeans(np.ones((10, 3), np.float32), clusters, seed=0)
    assert np.isfinite(centroids).all()
    assert assignment.min() >= 0
    assert assignment.max() < clusters
    assert capfd.readouterr() == ("", "")


def test_as_many_clusters_as_points_separates_them():
    points = points_of(9, 4)
    centroids, assignment = kmeans(points, 9, seed=0)
    np.testing.assert_allclose(centroids[assignment], points)


def test_more_iterations_never_loosen_the_clusters():
    points = points_of(2000, 8)
    results = [kmeans(points, 30, seed=0, iterations=count) for count in (1, 20)]
    first, last = (np.square(points - c[a]).sum() for c, a in results)
    assert last < first


@pytest.mark.parametrize(
    ("clusters", "iterations", "message"),
    [
        (11, 20, "clusters: expected at most 10, the number of embeddings, got 11"),
        (0, 20, "clusters: expected an integer of at least 1, got 0"),
        (2, 0, "iterations: expected an integer of at least 1, got 0"),
    ],
)
def test_bad_kmeans_arguments(clusters, iterations, message):
    with pytest.raises(ValueError, match=message):
        kmeans(points_of(10, 3), clusters, 0, iterations)
