"""Metrics that need no labels: what the geometry of two views' embeddings tells of them."""

import math

import numpy as np
from torch import Tensor

from evaluation.backends.neighbours import search
from evaluation.undefined import Metrics, Undefined
from evaluation.validation import (
    CELLS,
    Array,
    Integers,
    as_embeddings,
    check_count,
    check_positive,
    check_same_width,
    row_chunks,
    unit_rows,
)

EPSILON = 1e-7
"""Added to each share of RankMe, the authors' value for fp32."""
NEIGHBOURS = 10
"""Of each image, that its two views are compared by."""
ROUNDING = 1e-6
"""By how much entries of unit rows differ that are equal but for the order of sums."""
REPRESENTATION_METRICS = ("alignment", "uniformity", "effective_rank", "view_agreement")
"""What `representation_metrics` returns."""


def alignment(first: Array, second: Array, power: float = 2.0) -> float:
    """Return the mean distance, to a power, between the embeddings of an image's two views.

    Source: Wang and Isola, ICML 2020. Lower is better.

    Args:
        first: (n, d) embeddings of one view of each image; rows are L2-normalised here, a zero
            row stays zero.
        second: (n, d) embeddings of another view, in the same order.
        power: of the distance, above 0.

    Returns:
        From 0 (the views coincide, as when all embeddings are equal) to 2 ** power.

    Raises:
        ValueError: if shapes, values or the power do not fit.
    """
    power = check_positive(power, "power")
    one, other = (view.cpu().numpy().astype(np.float64) for view in _views(first, second))
    return float(np.mean(np.linalg.norm(one - other, axis=1) ** power))


def uniformity(embeddings: Array, temperature: float = 2.0, *, cells: int = CELLS) -> float:
    """Return how evenly embeddings cover the sphere: log mean exp(-temperature distance²).

    The mean is over all pairs of different images. Source: Wang and Isola, ICML 2020, where the
    temperature, their t, is 2. Lower is better.

    Args:
        embeddings: (n, d), n at least 2; rows are L2-normalised here, a zero row stays zero.
        temperature: above 0; large values let the closest pairs decide.
        cells: distances held at once; bounds memory and changes the result by rounding only.

    Returns:
        From -4 * temperature to 0 (all embeddings equal); about -2 * temperature, and a little
        above, for points spread evenly over a sphere of many dimensions.

    Raises:
        ValueError: if shapes, values or the temperature do not fit.
        Undefined: if there is a single row.
    """
    temperature = check_positive(temperature, "temperature")
    points = unit_rows(as_embeddings(embeddings, "embeddings")).cpu().numpy()
    count = len(points)
    if count < 2:
        raise Undefined("embeddings: expected at least 2 rows, found 1; distances need two")
    squares = np.einsum("nd,nd->n", points, points)
    sums = []
    for part in row_chunks(count - 1, count, cells):
        ahead = slice(part.start + 1, None)
        distances = squares[part, None] + squares[ahead] - 2.0 * (points[part] @ points[ahead].T)
        # row i stands for image i and column j for the j-th after the chunk's first
        once = distances[np.triu(np.ones(distances.shape, np.bool_))]
        exponents = -temperature * np.maximum(once, 0.0)
        largest = float(exponents.max())
        total = np.exp(exponents - largest).sum(dtype=np.float64)
        sums.append(largest + math.log(total))
    from scipy.special import logsumexp  # at need: it takes long to load

    return float(logsumexp(sums)) - math.log(count * (count - 1) // 2)


def effective_rank(embeddings: Array) -> float:
    """Return RankMe: how many dimensions the embeddings use, as a smooth number.

    exp of the entropy of the singular values divided by their sum, to each of which the authors
    add 1e-7. Source: Garrido et al., ICML 2023. Higher is better.

    Args:
        embeddings: (n, d), used as they are, neither centred nor normalised.

    Returns:
        From 1 (all rows multiples of one) to min(n, d), either exceeded a little because of the
        authors' addition.

    Raises:
        ValueError: if the shape or a value does not fit.
        Undefined: if every row is zero.
    """
    points = as_embeddings(embeddings, "embeddings").cpu().numpy().astype(np.float64)
    values = np.linalg.svd(points, compute_uv=False)
    if values[0] == 0.0:
        raise Undefined("every row is zero: there are no shares of singular values")
    shares = values / values.sum() + EPSILON
    return float(np.exp(-(shares @ np.log(shares))))


def view_agreement(first: Array, second: Array, k: int = NEIGHBOURS) -> float:
    """Return the percentage of its k nearest images that an image's two views have in common.

    Neighbours are found by cosine similarity among the same view of the other images, exactly.
    Unrelated views agree by chance on 100 k / (n - 1). Of neighbours that tie, as in a collapsed
    network, the two searches prefer opposite ends of the data set: a tie is no agreement.

    Args:
        first: (n, d) embeddings of one view of each image, n at least 2; rows are L2-normalised
            here, a zero row stays zero.
        second: (n, d) embeddings of another view, in the same order.
        k: neighbours compared; never more than the n - 1 others, at which all views agree.

    Returns:
        From 0 to 100; higher is better.

    Raises:
        ValueError: if shapes, values or k do not fit.
        Undefined: if there is a single row.

    >>> import numpy as np
    >>> first = np.random.default_rng(0).standard_normal((30, 8))
    >>> view_agreement(first, first, k=5)
    100.0
    """
    one, other = _views(first, second)  # (n, d) unit rows
    last = len(one) - 1
    k = min(check_count(k, "k"), last)
    if k < 1:
        raise Undefined("first: expected at least 2 rows, found 1; an image queries others")
    _, ahead = search(one, one, k, exclude_self=True)  # (n, k); of ties, the first rows
    # The second view is searched in reverse order, so that of ties it finds the last rows. In the
    # same order two collapsed views would find the same arbitrary neighbours, and agree fully.
    backwards = other.flip(0)  # (n, d) row i is image last - i
    _, found = search(backwards, backwards, k, exclude_self=True)
    behind = last - found[::-1]  # (n, k) images again, in the order of the images
    return 100.0 * _shared(ahead, behind) / ahead.size


def _shared(first: Integers, second: Integers) -> int:
    """Return how many entries of (n, k) `first` stand in the same row of (n, k) `second`.

    No row of either has an entry twice.
    """
    both = np.sort(np.concatenate([first, second], axis=1), axis=1)  # (n, 2k)
    # what both have stands twice, and after sorting next to itself
    return int(np.count_nonzero(both[:, 1:] == both[:, :-1]))


def representation_metrics(first: Array, second: Array) -> Metrics:
    """Return every metric of this file, with its defaults, for two views of the same images.

    None has a value for a single image, nor for embeddings that are all equal: a network that has
    collapsed would have the best alignment, and its neighbours would be arbitrary. The functions
    of the single metrics give their limits there.

    Args:
        first: (n, d) embeddings of one view of each image.
        second: (n, d) embeddings of another view, in the same order.

    Returns:
        `alignment`, `uniformity`, `effective_rank` and `view_agreement` (in percent); uniformity
        and effective rank are the means of the two views'.

    Raises:
        ValueError: if shapes or values do not fit.
    """
    one, other = _views(first, second)
    found = Metrics()
    if len(one) < 2:
        found.leave_out(REPRESENTATION_METRICS, "there is a single image: these need several")
    elif _constant(one) and _constant(other):
        found.leave_out(
            REPRESENTATION_METRICS, "all embeddings are equal: the network has collapsed"
        )
    else:
        found.measure("alignment", lambda: alignment(first, second))
        found.measure("uniformity", lambda: (uniformity(first) + uniformity(second)) / 2)
        found.measure(
            "effective_rank", lambda: (effective_rank(first) + effective_rank(second)) / 2
        )
        found.measure("view_agreement", lambda: view_agreement(first, second))
        others = len(one) - 1
        if others <= NEIGHBOURS:
            found.warn(
                ("view_agreement",),
                f"100 whatever the embedding: there are only {others} other images",
            )
    return found


def _constant(rows: Tensor) -> bool:
    """Return whether (n, d) unit rows are all the same up to the rounding of fp32."""
    return bool((rows - rows[0]).abs().max() <= ROUNDING)


def _views(first: Array, second: Array) -> tuple[Tensor, Tensor]:
    """Return the unit rows of two views of the same images."""
    one, other = as_embeddings(first, "first"), as_embeddings(second, "second")
    check_same_width(one, "first", other, "second")
    if len(one) != len(other):
        raise ValueError(
            f"second: expected {len(one)} rows like first, found {len(other)}; pass two views of "
            "the same images, in the same order"
        )
    return unit_rows(one), unit_rows(other)


def spread(embeddings: Array) -> float:
    """Return how far unit rows are spread over the sphere, from 0 to about 1.

    The mean over features of their standard deviation, times sqrt(d): 1 for rows that are uniform
    on the sphere, 0 where all rows are equal (Chen and He, CVPR 2021, section 4.1).

    Args:
        embeddings: (n, d), of any length; rows of zeros stay zeros.

    Raises:
        ValueError: if they are not two-dimensional or not finite.
    """
    rows = unit_rows(as_embeddings(embeddings, "embeddings"))  # (n, d)
    return float(rows.std(0, correction=0).mean() * rows.shape[1] ** 0.5)
