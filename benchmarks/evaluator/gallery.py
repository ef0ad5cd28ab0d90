"""Pictures of a few queries beside their nearest neighbours, after one epoch or after several."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.data.datasets.base import ImageData, Split
from benchmarks.runs import store
from benchmarks.training.recipe import Recipe
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


def gallery_keeper(
    folder: Path, data: ImageData, recipe: Recipe, epochs: int
) -> Callable[[int, np.ndarray], None] | None:
    """Return what adds to a run's gallery after an evaluation, for data of unseen classes.

    It takes the epoch and the test images' embeddings, whose neighbours are other test images. It
    keeps the first and the last evaluation and the first after each of `KEPT_AT` of the epochs.
    """
    test = data.test
    if not data.unseen or test is None:
        return None

    def keep(epoch: int, embeddings: np.ndarray) -> None:
        if epoch not in _kept_epochs(epochs, recipe.evaluate_every):
            return
        chosen = _chosen(test)
        found = search(embeddings, embeddings[chosen], min(EPOCH_NEIGHBOURS + 1, len(test)))
        cosines, others = drop_self(*found, chosen)
        fresh = _pictures(chosen, others, cosines, test, test, data)
        fresh = {name: values[None] for name, values in fresh.items()} | {
            "epochs": np.array([epoch])
        }
        earlier = store.read_arrays(folder, store.GALLERY)
        if earlier is not None and earlier.keys() == fresh.keys():
            before = earlier["epochs"] < epoch  # an interrupted epoch comes again
            fresh = {name: np.concatenate([earlier[name][before], fresh[name]]) for name in fresh}
        store.write_arrays(folder, store.GALLERY, fresh)

    return keep


def _kept_epochs(epochs: int, every: int) -> set[int]:
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
