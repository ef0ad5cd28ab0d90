"""Retrieval: are the nearest neighbours of an image of its class?"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

from evaluation.backends.neighbours import drop_self, fair_search
from evaluation.undefined import Metrics, Undefined
from evaluation.validation import (
    CELLS,
    Array,
    Doubles,
    Integers,
    as_embeddings,
    as_labels,
    check_count,
    percent,
    row_chunks,
    unit_rows,
)

Hits: TypeAlias = npt.NDArray[np.bool_]
"""(q, k): is the neighbour of rank k, the nearest first, of its query's class?"""


def recall_at_k(
    embeddings: Array, labels: Array, ks: Iterable[int] = (1, 2, 4, 8)
) -> dict[int, float]:
    """Return, for each k, the percentage of images with one of their class among the k nearest.

    Every image queries all the others by cosine similarity, exactly, itself left out. An image
    that is alone in its class cannot hit: it is no query, but others may find it. Ties are broken
    as by chance, see `neighbours.fair_search`. Source: Song et al., CVPR 2016; Ye et al., CVPR
    2019, Tables 3 to 6, on whose data sets no test image is alone.

    Args:
        embeddings: (n, d), n at least 2; rows are L2-normalised here, a zero row stays zero.
        labels: (n,) integers of any value.
        ks: how many neighbours count, each at least 1; from n - 1 on, all others do.

    Returns:
        {k: recall}, recall from 0 to 100, in the order of `ks`.

    Raises:
        ValueError: if shapes, values or `ks` do not fit.
        Undefined: if every image is alone in its class.

    >>> import numpy as np
    >>> points = np.array([[1.0, 0.0], [0.9, 0.1], [0.8, 0.3], [0.0, 1.0]])
    >>> recall_at_k(points, [0, 0, 1, 1], ks=(1, 3))
    {1: 75.0, 3: 100.0}
    """
    bank, classes = _checked(embeddings, labels)
    wanted, queries = _counts(ks), _queries(classes)
    ranks = np.concatenate([_first_hit(hits) for _, hits in _hits(bank, classes, max(wanted))])
    return {k: percent(ranks[queries] < k) for k in wanted}


def map_at_r(embeddings: Array, labels: Array) -> float:
    """Return MAP@R, in percent: how far up the images of its class stand in an image's ranking.

    An image with R others of its class queries all the others by cosine similarity, exactly,
    itself left out; its score is the mean over ranks 1 to R of the precision at the rank where
    that neighbour is of the class, and of 0 where it is not. Source: Musgrave et al., ECCV 2020.
    An image that is alone in its class has R = 0 and no score: it is left out of the mean, as in
    the authors' library, pytorch-metric-learning. Ties are broken as by chance, see
    `neighbours.fair_search`, so that a collapsed network scores near chance.

    Args:
        embeddings: (n, d), n at least 2; rows are L2-normalised here, a zero row stays zero.
        labels: (n,) integers of any value.

    Returns:
        From 0 to 100, where every image has its whole class ahead of all others.

    Raises:
        ValueError: if shapes or values do not fit.
        Undefined: if every image is alone in its class.
    """
    bank, classes = _checked(embeddings, labels)
    _queries(classes)
    return _measured(bank, classes, [1])["map_at_r"]


def retrieval_metrics(
    embeddings: Array, labels: Array, ks: Iterable[int] = (1, 2, 4, 8), *, cells: int = CELLS
) -> Metrics:
    """Return `recall_at_k` and `map_at_r`, in percent, from a single search.

    Args:
        embeddings: (n, d), n at least 2; rows are L2-normalised here, a zero row stays zero.
        labels: (n,) integers of any value.
        ks: how many neighbours count for recall, each at least 1.
        cells: neighbours held at once; bounds memory and changes no result.

    Returns:
        Keys `recall_at_1` and so on, in the order of `ks`, then `map_at_r`; none of them if every
        image is alone in its class. How many images are no queries for being alone is a caveat,
        and so is a k that takes in all other images.

    Raises:
        ValueError: if shapes, values or `ks` do not fit.
    """
    bank, classes = _checked(embeddings, labels)
    wanted = _counts(ks)
    names = [*(f"recall_at_{k}" for k in wanted), "map_at_r"]
    found = Metrics()
    try:
        queries = _queries(classes)
    except Undefined as reason:
        found.leave_out(names, str(reason))
        return found
    found.update(_measured(bank, classes, wanted, cells))
    lone = int(np.count_nonzero(~queries))
    if lone:
        found.warn(
            names,
            f"{lone} of {len(classes)} images are alone in their class and left out as queries: "
            "no other image could be found",
        )
    others = len(classes) - 1
    found.warn(
        (f"recall_at_{k}" for k in wanted if k >= others),
        f"100 whatever the embedding: there are only {others} other images",
    )
    return found


def lone_images(labels: Array) -> int:
    """Return how many of (n,) integer labels, n at least 1, no other one equals."""
    classes = as_labels(labels, "labels", len(labels), "labels")
    return int(np.count_nonzero(_others_of_class(classes) == 0))


def _measured(
    bank: Tensor, classes: Integers, ks: Sequence[int], cells: int = CELLS
) -> dict[str, float]:
    """Return R@K and MAP@R of unit rows, over the images that have others of their class."""
    relevant = _others_of_class(classes)
    queries, ranks, scores = relevant > 0, [], []
    for part, hits in _hits(bank, classes, max(*ks, int(relevant.max())), cells):
        ranks.append(_first_hit(hits))
        scores.append(_average_precision(hits, relevant[part]))
    first = np.concatenate(ranks)[queries]
    recalls = {f"recall_at_{k}": percent(first < k) for k in ks}
    total = float(np.concatenate(scores).sum())
    return {**recalls, "map_at_r": 100.0 * total / int(np.count_nonzero(queries))}


def _queries(classes: Integers) -> npt.NDArray[np.bool_]:
    """Return (n,) which images have another of their class; raise Undefined if none has."""
    queries: npt.NDArray[np.bool_] = _others_of_class(classes) > 0
    if not queries.any():
        raise Undefined("every image is alone in its class: none has another to find")
    return queries


def _checked(embeddings: Array, labels: Array) -> tuple[Tensor, Integers]:
    """Return unit rows and int64 labels, at least two of them."""
    bank = as_embeddings(embeddings, "embeddings")
    classes = as_labels(labels, "labels", len(bank), "embeddings")
    if len(bank) < 2:
        raise ValueError("embeddings: expected at least 2 rows, found 1; an image queries others")
    return unit_rows(bank), classes


def _counts(ks: Iterable[int]) -> list[int]:
    wanted = [check_count(k, "ks") for k in ks]
    if not wanted:
        raise ValueError("ks: expected at least one number of neighbours, got none; try (1, 2, 4)")
    return wanted


def _others_of_class(classes: Integers) -> Integers:
    """Return R (n,): how many other images each image's class has."""
    _, codes, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    return (sizes[codes] - 1).astype(np.int64)


def _hits(
    bank: Tensor, classes: Integers, k: int, cells: int = CELLS
) -> Iterator[tuple[slice, Hits]]:
    """Yield some images at a time, with the hits among their k nearest, or all the others."""
    k = min(k, len(bank) - 1)
    for part in row_chunks(len(bank), k + 1, cells):
        own = np.arange(part.start, part.stop)
        _, others = drop_self(*fair_search(bank, bank[part], k + 1, cells=cells), own)
        yield part, classes[others] == classes[part, None]


def _first_hit(hits: Hits) -> Doubles:
    """Return the rank (q,) of the first hit, from 0 on; infinity where there is none."""
    return np.where(hits.any(axis=1), hits.argmax(axis=1), np.inf)


def _average_precision(hits: Hits, relevant: Integers) -> Doubles:
    """Return the average precision at R (q,), 0 to 1; 0 where R is 0."""
    ranks = np.arange(1, hits.shape[1] + 1)
    counted = hits & (ranks <= relevant[:, None])
    precisions = counted.cumsum(axis=1) / ranks
    scores: Doubles = precisions.sum(axis=1, where=counted) / np.maximum(relevant, 1)
    return scores
