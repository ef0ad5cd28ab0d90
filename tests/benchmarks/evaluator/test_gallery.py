import numpy as np
import pytest

from benchmarks.data.datasets.base import ImageData, Split
from benchmarks.evaluator.gallery import (
    EPOCH_NEIGHBOURS,
    NEIGHBOURS,
    QUERIES,
    epoch_gallery,
    gallery,
    kept_epochs,
)

CLASSES = tuple("abcdefgh")


def split(labels, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 4, 4, 3), dtype=np.uint8)
    return Split(pixels, np.asarray(labels))


def unit(count, seed):
    rows = np.random.default_rng(seed).standard_normal((count, 5)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def images(trained, tested):
    return ImageData(
        "x", split(trained, 0), split(tested, 1), CLASSES, (0.5,) * 3, (0.2,) * 3, "00"
    )


def nearest(bank, query, count, without=None):
    """Return the nearest rows by a plain sort of float64 cosines."""
    cosines = bank.astype(np.float64) @ query.astype(np.float64)
    order = [int(i) for i in np.argsort(-cosines) if i != without][:count]
    return order, cosines[order]


def test_queries_are_the_first_images_of_the_first_classes_with_their_neighbours():
    data = images([0, 1, 2, 3] * 5, [3, 1, 1, 0, 3, 0, 5])
    bank, queries = unit(20, 3), unit(7, 4)
    found = gallery(bank, data.train, queries, data.test, data)
    for place, (query, label) in enumerate([(3, 0), (1, 1), (0, 3), (6, 5)]):
        order, cosines = nearest(bank, queries[query], NEIGHBOURS)
        np.testing.assert_array_equal(found["queries"][place], data.test.images[query])
        np.testing.assert_array_equal(found["neighbours"][place], data.train.images[order])
        np.testing.assert_allclose(found["similarities"][place], cosines, atol=1e-6)
        truth = data.train.labels[order]
        assert found["correct"][place].tolist() == (truth == label).tolist()
        assert found["neighbour_classes"][place].tolist() == [CLASSES[t] for t in truth]
    assert found["query_classes"].tolist() == ["a", "b", "d", "f"]


def test_many_classes_have_no_more_queries_than_stated_and_a_small_bank_all_its_images():
    data = images([0, 1], list(range(8)))
    found = gallery(unit(2, 3), data.train, unit(8, 4), data.test, data)
    assert found["queries"].shape == (QUERIES, 4, 4, 3)
    assert found["neighbours"].shape == (QUERIES, 2, 4, 4, 3)


def test_a_query_is_no_neighbour_of_its_own_but_its_copy_is():
    data = images([0], [0, 1] * 5)
    embeddings = unit(10, 5)
    embeddings[7] = embeddings[0]  # a copy of the first query
    found = epoch_gallery(embeddings, data.test, data)
    assert found["neighbours"].shape == (2, EPOCH_NEIGHBOURS, 4, 4, 3)
    np.testing.assert_array_equal(found["neighbours"][0, 0], data.test.images[7])
    for query in (0, 1):
        order, cosines = nearest(embeddings, embeddings[query], EPOCH_NEIGHBOURS, without=query)
        np.testing.assert_array_equal(found["neighbours"][query], data.test.images[order])
        np.testing.assert_allclose(found["similarities"][query], cosines, atol=1e-6)


def test_fewer_test_images_than_neighbours_are_all_shown():
    data = images([0], [0, 0, 1])
    found = epoch_gallery(unit(3, 5), data.test, data)
    assert found["neighbours"].shape == (2, 2, 4, 4, 3)


@pytest.mark.parametrize(
    ("epochs", "every", "kept"),
    [
        (0, 1, {0}),
        (1, 1, {1}),
        (8, 1, {1, 2, 4, 8}),
        (8, 3, {1, 3, 6, 8}),
        (100, 10, {1, 30, 50, 100}),
        (3, 5, {1, 3}),
        (200, 7, {1, 56, 105, 200}),
    ],
)
def test_kept_are_the_first_the_last_and_those_after_a_quarter_and_a_half(epochs, every, kept):
    assert kept_epochs(epochs, every) == kept
