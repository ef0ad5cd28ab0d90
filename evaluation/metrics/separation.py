"""How far the cosine similarities within a class or attribute lie above those between."""

import numpy as np
import torch
from torch import Tensor

from evaluation.undefined import Undefined
from evaluation.validation import (
    CELLS,
    Array,
    Doubles,
    Floats,
    Integers,
    as_embeddings,
    as_labels,
    check_count,
    row_chunks,
    unit_rows,
)

BINS = 80
"""Bins of a histogram of cosine similarities, each 0.025 wide."""
ROUNDING = 1e-3
"""How far beyond 1 the cosine of two vectors in fp32 or bf16 may come out."""


def nearest_similarities(
    embeddings: Array, labels: Array, n: int = 5, *, cells: int = CELLS
) -> tuple[Floats, Floats]:
    """Return each image's cosine to its n nearest of the same class and of all other classes.

    Every image queries all the others, exactly, itself left out. Source: Ye et al., CVPR 2019,
    Figure 5 (classes, n = 5) and Figure 6 (an attribute instead of the class).

    Args:
        embeddings: (q, d), q at least 2; rows are L2-normalised here, a zero row stays zero.
        labels: (q,) integers of any value, or (q,) booleans: has the image the attribute? Those
            without it are a class too.
        n: neighbours of each kind.
        cells: similarities held at once; bounds memory and changes the result by rounding only.

    Returns:
        Positive and negative similarities, (q, n) fp32 each, from -1 to 1, descending in a row.
        Where a class, or all the others together, have fewer than n images, the rest of the row
        is NaN; with a single class, all negatives are.

    Raises:
        ValueError: if shapes, values or n do not fit.
    """
    points = unit_rows(as_embeddings(embeddings, "embeddings")).cpu().numpy()
    classes = as_labels(_as_integers(labels), "labels", len(points), "embeddings")
    n = check_count(n, "n")
    if len(points) < 2:
        raise ValueError("embeddings: expected at least 2 rows, found 1; an image queries others")
    positive, negative = (np.full((len(points), n), np.nan, np.float32) for _ in range(2))
    for part in row_chunks(len(points), len(points), cells):
        cosines = np.clip(points[part] @ points.T, -1.0, 1.0)
        same = classes[part, None] == classes
        _keep_largest(np.where(same, -np.inf, cosines), negative[part])
        np.fill_diagonal(same[:, part], False)  # the image itself
        _keep_largest(np.where(same, cosines, -np.inf), positive[part])
    return positive, negative


def overlap(positive: Array, negative: Array, bins: int = BINS) -> float:
    """Return the overlap, 0 to 1, of the distributions of positive and negative similarities.

    The intersection of the two histograms from -1 to 1, each of total 1: the share of either
    that the other covers. Source: Swain and Ballard, IJCV 1991.

    Args:
        positive: cosine similarities of any shape; NaN is left out.
        negative: cosine similarities of any shape; NaN is left out.
        bins: equal bins from -1 to 1; more of them see finer differences and need more values.

    Raises:
        ValueError: if a value is no cosine, or `bins` does not fit.
        Undefined: if a side has no values.
    """
    counts, _ = _histogram(positive, negative, check_count(bins, "bins"))
    shares = counts / counts.sum(axis=1, keepdims=True)
    return float(shares.min(axis=0).sum())


def auc(positive: Array, negative: Array) -> float:
    """Return the probability, 0 to 1, that a positive similarity is above a negative one.

    A tie counts half: equal distributions score 0.5. The area under the ROC curve, by the
    statistic of Mann and Whitney (Ann. Math. Statist. 1947).

    Args:
        positive: similarities of any shape; NaN is left out.
        negative: similarities of any shape; NaN is left out.

    Raises:
        ValueError: if a side has an infinite value.
        Undefined: if a side has no values: all images are of one class, or each is alone in its.
    """
    above, below = _values(positive, "positive"), np.sort(_values(negative, "negative"))
    wins = np.searchsorted(below, above, "left").sum()
    wins_and_ties = np.searchsorted(below, above, "right").sum()
    return (int(wins) + int(wins_and_ties)) / (2 * len(above) * len(below))


def histogram(positive: Array, negative: Array) -> tuple[Integers, Doubles]:
    """Count positive and negative similarities in 80 equal bins from -1 to 1.

    Args:
        positive: cosine similarities of any shape; NaN is left out.
        negative: cosine similarities of any shape; NaN is left out.

    Returns:
        Counts (2, 80) int64, the positives first, and the edges (81,) of the bins. A value on an
        edge belongs to the bin above it; 1 belongs to the last.

    Raises:
        ValueError: if a value is no cosine.
        Undefined: if a side has no values.
    """
    return _histogram(positive, negative, BINS)


def _as_integers(labels: Array) -> Array:
    """Return booleans as 0 and 1, and anything else as it is."""
    if isinstance(labels, Tensor):
        return labels.to(torch.int64) if labels.dtype == torch.bool else labels
    given = np.asarray(labels)
    return given.astype(np.int64) if given.dtype == np.bool_ else given


def _keep_largest(candidates: Floats, rows: Floats) -> None:
    """Write the largest finite values of each row into `rows`, descending; leave the rest."""
    width = min(rows.shape[1], candidates.shape[1])
    # several times faster than numpy.partition, which stumbles over many equal values
    largest = torch.from_numpy(candidates).topk(width, dim=1).values.numpy()
    np.copyto(rows[:, :width], largest, where=np.isfinite(largest))


def _histogram(positive: Array, negative: Array, bins: int) -> tuple[Integers, Doubles]:
    edges = np.linspace(-1.0, 1.0, bins + 1)
    counts = [
        np.histogram(_cosines(side, name), edges)[0]
        for side, name in ((positive, "positive"), (negative, "negative"))
    ]
    return np.stack(counts).astype(np.int64), edges


def _cosines(array: Array, name: str) -> Doubles:
    values = _values(array, name)
    if np.abs(values).max() > 1.0 + ROUNDING:
        raise ValueError(
            f"{name}: expected cosine similarities from -1 to 1, found values from "
            f"{values.min():g} to {values.max():g}; normalise the embeddings"
        )
    return np.clip(values, -1.0, 1.0)


def _values(array: Array, name: str) -> Doubles:
    """Return the values that are not NaN, in one dimension."""
    host = array.detach().cpu().double().numpy() if isinstance(array, Tensor) else array
    values = np.asarray(host, np.float64).ravel()
    values = values[~np.isnan(values)]
    if len(values) == 0:
        raise Undefined(
            f"{name}: expected at least one similarity that is not NaN, found none; evaluate at "
            "least two classes, with two images in one of them"
        )
    if np.isinf(values).any():
        raise ValueError(f"{name}: expected finite similarities, found infinity")
    return values
