"""Handwritten digits that come with scikit-learn: a data set that needs no download."""

import hashlib
from pathlib import Path

import numpy as np

from benchmarks.data.basics import Report, silent
from benchmarks.data.datasets.base import Dataset, ImageData, LoadOptions, Split

IMAGE_SIZE = 8
BRIGHTEST = 16
TEST_IMAGES = 450
SPLIT_SEED = 0
MEAN = 0.305275
STD = 0.375844
CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Digits(Dataset):
    """1,797 grey images of 8 x 8 pixels in 10 classes, from the UCI optical digits."""

    name = "digits"
    image_size = IMAGE_SIZE
    description = "1,797 handwritten digits, 8x8 grey, 10 classes; embedded, nothing to download"
    default_recipe = "digits"
    embedded = True

    def read(self, root: Path, options: LoadOptions) -> ImageData:
        """Read the digits from scikit-learn; `root` is not used."""
        # Imported here: scikit-learn takes a second, which listing the data sets need not pay.
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        digits = load_digits()
        grey = np.rint(digits.images * (255 / BRIGHTEST)).astype(np.uint8)
        images = np.repeat(grey[..., None], 3, axis=3)
        labels = digits.target.astype(np.int64)
        parts = train_test_split(
            np.arange(len(labels)),
            test_size=TEST_IMAGES,
            stratify=labels,
            random_state=SPLIT_SEED,
        )
        train, test = (Split(images[index], labels[index]) for index in map(np.sort, parts))
        content = hashlib.sha256()
        for array in (images, labels, *parts):
            content.update(array.tobytes())
        return ImageData(
            self.name, train, test, CLASSES, (MEAN,) * 3, (STD,) * 3, content.hexdigest()
        )

    def fetch(self, root: Path, report: Report = silent) -> None:
        """Verify that scikit-learn's copy can be read: there is nothing to download."""
        data = self.load(root)
        images = len(data.train) + TEST_IMAGES
        report(f"{self.name}: {images:,} images come with scikit-learn; nothing to download")
