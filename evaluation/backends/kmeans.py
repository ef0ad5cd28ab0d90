"""k-means clustering, by FAISS in host memory."""

import numpy as np

from evaluation.validation import Array, Floats, Integers, as_embeddings, check_count


def kmeans(
    embeddings: Array, clusters: int, seed: int, iterations: int = 20
) -> tuple[Floats, Integers]:
    """Partition embeddings by Euclidean k-means (Lloyd's algorithm on all points, in host memory).

    Starts from `clusters` random points. A cluster that empties during training is refilled by
    splitting a large one; the final assignment may still leave some empty, above all where there
    are fewer distinct points than clusters.

    Args:
        embeddings: (n, d) finite embeddings, used as they are.
        clusters: number of centroids, at most n.
        seed: the same seed gives the same partition.
        iterations: Lloyd iterations; the default is that of DeepCluster (Caron et al., ECCV 2018).

    Returns:
        Centroids (clusters, d) fp32 and the nearest centroid of each row (n,) int64.

    Raises:
        ValueError: if there are more clusters than embeddings, or an argument does not fit.
    """
    points = as_embeddings(embeddings, "embeddings").cpu().numpy()
    clusters, iterations = check_count(clusters, "clusters"), check_count(iterations, "iterations")
    if clusters > len(points):
        raise ValueError(
            f"clusters: expected at most {len(points)}, the number of embeddings, got {clusters}; "
            "lower the number of clusters"
        )
    import faiss  # at need: a method's class can be looked at without it

    trainer = faiss.Kmeans(
        points.shape[1],
        clusters,
        niter=iterations,
        seed=seed % 2**31,
        min_points_per_centroid=1,
        max_points_per_centroid=len(points),  # never reached, hence no sub-sampling
    )
    trainer.train(points)
    _, assignment = trainer.index.search(points, 1)
    return np.asarray(trainer.centroids, np.float32), assignment[:, 0]
