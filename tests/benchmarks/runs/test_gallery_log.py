import numpy as np
import pytest

from benchmarks.data.datasets.base import ImageData, Split
from benchmarks.evaluator.gallery import EPOCH_NEIGHBOURS, epoch_gallery
from benchmarks.runs import store
from benchmarks.runs.gallery_log import GalleryLog

LABELS = np.repeat([2, 3], 4)


def images(unseen=True, tested=True):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3), dtype=np.uint8)
    test = Split(pixels, LABELS if unseen else LABELS - 2) if tested else None
    train = Split(255 - pixels, LABELS - 2)
    return ImageData(
        "made-up", train, test, tuple("abcd"), (0.5,) * 3, (0.2,) * 3, "0" * 16, unseen=unseen
    )


def embeddings(seed):
    rows = np.random.default_rng(seed).standard_normal((8, 5)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def logged(folder, data, epochs, wanted=8, every=2):
    log = GalleryLog(folder, data, wanted, every)
    for epoch in epochs:
        log(epoch, embeddings(epoch))
    return store.read_arrays(folder, store.GALLERY)


def test_the_kept_epochs_stand_in_their_order_as_they_were_made(tmp_path):
    data = images()
    found = logged(tmp_path, data, (1, 2, 3, 4, 6, 8))
    assert found["epochs"].tolist() == [1, 2, 4, 8]
    assert found["neighbours"].shape == (4, 2, EPOCH_NEIGHBOURS, 4, 4, 3)
    for place, epoch in enumerate(found["epochs"]):
        for name, values in epoch_gallery(embeddings(int(epoch)), data.test, data).items():
            np.testing.assert_array_equal(found[name][place], values)


def test_an_epoch_that_comes_again_after_a_kill_replaces_itself_and_what_followed(tmp_path):
    data = images()
    logged(tmp_path, data, (1, 2, 4))
    GalleryLog(tmp_path, data, 8, 2)(2, embeddings(99))
    found = store.read_arrays(tmp_path, store.GALLERY)
    assert found["epochs"].tolist() == [1, 2]
    again = epoch_gallery(embeddings(99), data.test, data)
    np.testing.assert_array_equal(found["similarities"][1], again["similarities"])


@pytest.mark.parametrize("options", [{"unseen": False}, {"unseen": False, "tested": False}])
def test_data_of_known_classes_or_without_test_images_have_none(tmp_path, options):
    assert logged(tmp_path, images(**options), (1, 2, 4, 8)) is None


def test_an_untrained_network_has_a_gallery_of_epoch_0(tmp_path):
    found = logged(tmp_path, images(), (0,), wanted=0)
    assert found["epochs"].tolist() == [0]


def test_an_earlier_gallery_of_other_arrays_is_replaced(tmp_path):
    store.write_arrays(tmp_path, store.GALLERY, {"queries": np.zeros(3)})
    assert logged(tmp_path, images(), (2,))["epochs"].tolist() == [2]
