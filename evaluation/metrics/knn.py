"""The weighted k-nearest-neighbour classifier by which instance discrimination is evaluated."""

import numpy as np

from evaluation.backends.neighbours import fair_search
from evaluation.validation import (
    CELLS,
    Array,
    Floats,
    Integers,
    as_embeddings,
    as_labels,
    check_count,
    check_positive,
    percent,
    row_chunks,
    unit_rows,
)


def knn_predict(
    bank: Array,
    bank_labels: Array,
    queries: Array,
    k: int = 200,
    temperature: float = 0.1,
    *,
    cells: int = CELLS,
) -> Integers:
    """Classify each query by the votes of its k most similar bank rows.

    A neighbour of cosine similarity s votes for its class with weight exp(s / temperature); the
    class with the largest sum wins, the smallest label among equals. Source: Wu et al., CVPR 2018,
    section 3.4; Ye et al., CVPR 2019, section 4.1, where k = 200 and the temperature is 0.1. Which
    of several rows that tie for the last vote has it does not depend on the bank's order: see
    `neighbours.fair_search`.

    Args:
        bank: (n, d) labelled embeddings; rows are L2-normalised here, a zero row stays zero.
        bank_labels: (n,) integers of any value.
        queries: (q, d) embeddings, likewise normalised.
        k: neighbours that vote; never more than the n rows of the bank.
        temperature: above 0; small values let the nearest neighbours decide.
        cells: array cells held at once; bounds memory and changes no result.

    Returns:
        Predicted labels (q,) int64, each one of `bank_labels`.

    Raises:
        ValueError: if shapes, values, k or the temperature do not fit.

    >>> import numpy as np
    >>> bank = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> knn_predict(bank, [4, 4, 7], np.array([[0.0, 2.0]]), k=3).tolist()
    [7]
    """
    bank, queries = as_embeddings(bank, "bank"), as_embeddings(queries, "queries")
    labels, codes = np.unique(
        as_labels(bank_labels, "bank_labels", len(bank), "bank"), return_inverse=True
    )
    k = min(check_count(k, "k"), len(bank))
    temperature = check_positive(temperature, "temperature")
    similarities, indices = fair_search(unit_rows(bank), unit_rows(queries), k, cells=cells)
    return labels[_vote(similarities, codes[indices], len(labels), temperature, cells)]


def knn_accuracy(
    bank: Array,
    bank_labels: Array,
    queries: Array,
    query_labels: Array,
    k: int = 200,
    temperature: float = 0.1,
) -> float:
    """Return the percentage (0 to 100) of queries that `knn_predict` classifies correctly.

    Args:
        bank: (n, d) labelled embeddings.
        bank_labels: (n,) integers.
        queries: (q, d) embeddings.
        query_labels: (q,) integers; a label that the bank lacks counts as an error.
        k: neighbours that vote; never more than the n rows of the bank.
        temperature: above 0.

    Raises:
        ValueError: if shapes, values, k or the temperature do not fit.
    """
    queries = as_embeddings(queries, "queries")
    truth = as_labels(query_labels, "query_labels", len(queries), "queries")
    predicted = knn_predict(bank, bank_labels, queries, k, temperature)
    return percent(predicted == truth)


def _vote(
    similarities: Floats, codes: Integers, classes: int, temperature: float, cells: int
) -> Integers:
    """Return the winning class code (q,) from (q, k) descending similarities and their codes."""
    winners = np.empty(len(codes), np.int64)
    for part in row_chunks(len(codes), classes, cells):
        close = similarities[part].astype(np.float64)
        # relative to the nearest neighbour: no temperature, however small, overflows
        weights = np.exp((close - close[:, :1]) / temperature)
        places = codes[part] + classes * np.arange(len(close))[:, None]  # into (c, classes), flat
        scores = np.bincount(places.ravel(), weights.ravel(), minlength=len(close) * classes)
        winners[part] = scores.reshape(-1, classes).argmax(axis=1)
    return winners
