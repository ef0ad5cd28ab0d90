from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from benchmarks.data.datasets.digits import MEAN, STD, Digits

DATA = Digits().load(Path("unused"))


def test_the_parts_are_the_whole():
    """Every original image is in exactly one part, with its label and its brightness."""
    found = sorted(
        (image[..., 0].tobytes(), int(label))
        for split in (DATA.train, DATA.test)
        for image, label in zip(split.images, split.labels, strict=True)
    )
    original = load_digits()
    expected = sorted(
        (np.rint(image / 16 * 255).astype(np.uint8).tobytes(), int(label))
        for image, label in zip(original.images, original.target, strict=True)
    )
    assert found == expected
    assert (len(DATA.train), len(DATA.test)) == (1347, 450)


def test_grey_is_repeated_over_the_full_range():
    for split in (DATA.train, DATA.test):
        assert (split.images == split.images[..., :1]).all()
    assert (DATA.train.images.min(), DATA.train.images.max()) == (0, 255)


def test_the_split_is_stratified():
    share = np.bincount(DATA.test.labels) / np.bincount(load_digits().target)
    np.testing.assert_allclose(share, 450 / 1797, atol=0.005)


def test_stated_normalisation_is_that_of_the_train_pixels():
    pixels = DATA.train.images / 255
    assert pytest.approx(MEAN, abs=1e-6) == pixels.mean()
    assert pytest.approx(STD, abs=1e-6) == pixels.std()
    assert (DATA.mean, DATA.std) == ((MEAN,) * 3, (STD,) * 3)


def test_the_split_is_the_same_on_every_machine():
    """A new digest means new records: scikit-learn changed its images or its split."""
    assert DATA.digest == Digits().load(Path("elsewhere")).digest
    assert DATA.digest == "818bd6810e3d48f78a0a6ceb132fcb704da1f2fb4facf680efa58f5bbf748bab"


def test_fetch_downloads_nothing(tmp_path):
    lines = []
    Digits().fetch(tmp_path, lines.append)
    assert lines == ["digits: 1,797 images come with scikit-learn; nothing to download"]
    assert not list(tmp_path.iterdir())
