"""Exact nearest neighbours and k-means: FAISS in host memory, torch on an accelerator."""

from collections.abc import Iterator
from contextlib import contextmanager

import faiss
import numpy as np
import torch
from torch import Tensor

from evaluation.arrays import (
    Array,
    Floats,
    Integers,
    as_embeddings,
    check_count,
    check_same_width,
)

CHUNK = 1 << 26
"""Similarities held at once on an accelerator: 256 MiB in fp32."""


def search(
    bank: Array, queries: Array, k: int, exclude_self: bool = False
) -> tuple[Floats, Integers]:
    """Find the k rows of the bank with the largest inner product with each query, exactly.

    Computed in fp32 on the bank's device. Neighbours of equal similarity come in the order of
    their index; which of several that tie for the last place is kept is not defined.

    Args:
        bank: (n, d) finite embeddings, used as they are; unit rows give cosine similarity.
        queries: (q, d) finite embeddings.
        k: neighbours per query, at most n, or n - 1 with `exclude_self`.
        exclude_self: the queries are the bank, and query i must not find row i. Its exact copies
            under other indices are found.

    Returns:
        Similarities (q, k) fp32, descending, and indices into the bank (q, k) int64.

    Raises:
        ValueError: if shapes, values or k do not fit.
    """
    bank, queries = as_embeddings(bank, "bank"), as_embeddings(queries, "queries")
    check_same_width(bank, "bank", queries, "queries")
    k = check_count(k, "k")
    if exclude_self and len(queries) != len(bank):
        raise ValueError(
            f"queries: expected the bank's {len(bank)} rows with exclude_self, found "
            f"{len(queries)}; pass the bank itself as queries, or exclude_self=False"
        )
    available = len(bank) - exclude_self
    if k > available:
        raise ValueError(
            f"k: expected at most {available}, the rows of the bank"
            f"{' without the query itself' if exclude_self else ''}, got {k}; lower k"
        )
    on_host = bank.device.type == "cpu"
    neighbours = _search_host if on_host else _search_device
    found = _order_ties(*neighbours(bank, queries.to(bank.device), k + exclude_self))
    return drop_self(*found, np.arange(len(bank))) if exclude_self else found


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


def _search_host(bank: Tensor, queries: Tensor, k: int) -> tuple[Floats, Integers]:
    similarities, indices = faiss.knn(
        queries.numpy(), bank.numpy(), k, metric=faiss.METRIC_INNER_PRODUCT
    )
    return similarities, indices


def _search_device(
    bank: Tensor, queries: Tensor, k: int, chunk: int = CHUNK
) -> tuple[Floats, Integers]:
    rows = max(1, chunk // len(bank))
    with _exact_float32(bank.device.type):
        found = [(part @ bank.T).topk(k) for part in torch.split(queries, rows)]
    similarities, indices = (torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))
    return similarities, indices


@contextmanager
def _exact_float32(device_type: str) -> Iterator[None]:
    """Keep a trainer's autocast and TF32 out: they would reorder near-duplicates."""
    matmul = torch.backends.cuda.matmul
    # torch 2.9 replaced the flag, and refuses to read the old one where the new one is in use
    settings: dict[str, str | bool] = {"fp32_precision": "ieee", "allow_tf32": False}
    setting = next(name for name in settings if hasattr(matmul, name))
    before = getattr(matmul, setting)
    setattr(matmul, setting, settings[setting])
    try:
        with torch.autocast(device_type, enabled=False):
            yield
    finally:
        setattr(matmul, setting, before)


def _order_ties(similarities: Floats, indices: Integers) -> tuple[Floats, Integers]:
    tied = (similarities[:, 1:] == similarities[:, :-1]).any(axis=1)
    order = np.lexsort((indices[tied], -similarities[tied]))
    indices[tied] = np.take_along_axis(indices[tied], order, axis=1)
    return similarities, indices


def drop_self(similarities: Floats, indices: Integers, own: Integers) -> tuple[Floats, Integers]:
    """Drop each query's `own` row of the bank from its neighbours, or the last if it is absent."""
    dropped = indices == own[:, None]
    dropped[~dropped.any(axis=1), -1] = True
    shape = (len(indices), -1)
    return similarities[~dropped].reshape(shape), indices[~dropped].reshape(shape)
