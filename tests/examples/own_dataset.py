"""A data set of one's own: stripes and checks, drawn, not read. `--plugin own_dataset.py`."""

import hashlib
from pathlib import Path

import numpy as np

from benchmarks.data.datasets import Dataset, ImageData, LoadOptions, Split

CLASSES = ("rows", "columns", "checks")


class Stripes(Dataset):
    """Grey patterns of 16 x 16 pixels in noise: 180 to train on and 60 to test on."""

    name = "stripes"
    description = "240 striped and checked patterns, 16x16, 3 classes; drawn, nothing to download"
    default_recipe = "digits"
    image_size = 16
    embedded = True

    def read(self, root: Path, options: LoadOptions) -> ImageData:
        """Draw the same images whenever it is asked to."""
        random = np.random.default_rng(0)
        labels = np.arange(240, dtype=np.int64) % len(CLASSES)
        row, column = np.indices((16, 16)) // 2 % 2
        patterns = np.stack([row, column, row ^ column])[labels]  # (240, 16, 16) of 0 and 1
        noisy = 60 + 120 * patterns + random.normal(0, 20, patterns.shape)
        grey = np.clip(noisy, 0, 255).astype(np.uint8)
        images = np.repeat(grey[..., None], 3, axis=3)  # (240, 16, 16, 3)
        mean, std = images[:180].mean() / 255, images[:180].std() / 255
        return ImageData(
            self.name,
            Split(images[:180], labels[:180]),
            Split(images[180:], labels[180:]),
            CLASSES,
            (mean,) * 3,
            (std,) * 3,
            digest=hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest(),
        )

    def fetch(self, root: Path, report=print) -> None:
        """There is nothing to bring."""
        report(f"{self.name}: drawn by the plug-in")
