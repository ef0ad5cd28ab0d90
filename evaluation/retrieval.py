"""Recall at k: does an image find another of its class among its nearest neighbours?"""

from collections.abc import Iterable

from evaluation.arrays import Array, as_embeddings, as_labels, check_count, percent, unit_rows
from evaluation.nearest import search


def recall_at_k(
    embeddings: Array, labels: Array, ks: Iterable[int] = (1, 2, 4, 8)
) -> dict[int, float]:
    """Return, for each k, the percentage of images with one of their class among the k nearest.

    Every image queries all the others by cosine similarity, exactly, itself left out. An image
    that is alone in its class always misses. Source: Song et al., CVPR 2016; Ye et al., CVPR
    2019, Tables 3 to 6.

    Args:
        embeddings: (n, d), n at least 2; rows are L2-normalised here, a zero row stays zero.
        labels: (n,) integers of any value.
        ks: how many neighbours count, each at least 1; from n - 1 on, all others do.

    Returns:
        {k: recall}, recall from 0 to 100, in the order of `ks`.

    Raises:
        ValueError: if shapes, values or `ks` do not fit.
    """
    bank = as_embeddings(embeddings, "embeddings")
    classes = as_labels(labels, "labels", len(bank), "embeddings")
    wanted = [check_count(k, "ks") for k in ks]
    if not wanted:
        raise ValueError("ks: expected at least one number of neighbours, got none; try (1, 2, 4)")
    if len(bank) < 2:
        raise ValueError("embeddings: expected at least 2 rows, found 1; an image queries others")
    bank = unit_rows(bank)
    _, indices = search(bank, bank, min(max(wanted), len(bank) - 1), exclude_self=True)
    hits = classes[indices] == classes[:, None]
    return {k: percent(hits[:, :k].any(axis=1)) for k in wanted}
