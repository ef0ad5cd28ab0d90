"""Images of a few queries beside their nearest neighbours, after one epoch or after several."""

import numpy as np

from benchmarks.data.datasets.base import ImageData, Split
from evaluation.backends.neighbours import drop_self, search

QUERIES, NEIGHBOURS = 6, 6
EPOCH_NEIGHBOURS = 4
"""Of a gallery that is made at several epochs, as in the paper's Figures 4 and 7."""
KEPT_AT = (0.25, 0.5)
"""Shares of the training at whose first evaluation a gallery is made, beside first and last."""

Arrays = dict[str, np.ndarray]


def gallery(
    bank_embeddings: np.ndarray, bank: Split, queries: np.ndarray, test: Split, data: ImageData
) -> Arrays:
    """Return a query of each of the first classes with its nearest neighbours in the bank.

    Args:
        bank_embeddings: (n, d), of unit rows.
        bank: the images that are searched.
        queries: (q, d), of the test images.
        test: the images that the queries are chosen from.
        data: what both are of.
    """
    chosen = _chosen(test)
    cosines, found = search(bank_embeddings, queries[chosen], min(NEIGHBOURS, len(bank)))
    return _pictures(chosen, found, cosines, bank, test, data)


def epoch_gallery(embeddings: np.ndarray, test: Split, data: ImageData) -> Arrays:
    """Return a query of each of the first classes with its nearest other test images.

    Args:
        embeddings: (q, d), unit rows of the test images.
        test: the images that queries and neighbours are chosen from.
        data: what they are of.
    """
    chosen = _chosen(test)
    found = search(embeddings, embeddings[chosen], min(EPOCH_NEIGHBOURS + 1, len(test)))
    cosines, others = drop_self(*found, chosen)
    return _pictures(chosen, others, cosines, test, test, data)


def kept_epochs(epochs: int, every: int) -> set[int]:
    """Return the epochs, counted from 1, whose galleries are kept.

    Args:
        epochs: of the run.
        every: epochs between two evaluations.

    Returns:
        The first and the last evaluation, and the first after each of `KEPT_AT` of the epochs.
    """
    marks = [int(np.ceil(share * epochs / every)) * every for share in KEPT_AT]
    return {min(1, epochs), *(mark for mark in marks if mark <= epochs), epochs}


def _chosen(test: Split) -> np.ndarray:
    """Return the first image of each of the first classes."""
    chosen: np.ndarray = np.unique(np.asarray(test.labels), return_index=True)[1][:QUERIES]
    return chosen


def _pictures(
    chosen: np.ndarray,
    found: np.ndarray,
    cosines: np.ndarray,
    bank: Split,
    test: Split,
    data: ImageData,
) -> Arrays:
    truth, bank_truth = np.asarray(test.labels), np.asarray(bank.labels)
    names = np.asarray(data.classes)
    return {
        "queries": test.images[chosen],
        "neighbours": bank.images[found],
        "correct": bank_truth[found] == truth[chosen, None],
        "similarities": cosines,
        "query_classes": names[truth[chosen]],
        "neighbour_classes": names[bank_truth[found]],
    }
