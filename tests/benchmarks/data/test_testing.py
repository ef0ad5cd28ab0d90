"""Each check of a data set refuses the one that it is there for."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from benchmarks.common.errors import DataProblem
from benchmarks.data.datasets import Dataset, ImageData, Split
from benchmarks.data.testing import DatasetCheckError, check_dataset


class Sound(Dataset):
    """Reads images.npy; a broken one changes a part of it."""

    description = "eight squares in two classes"
    image_size = 8
    side = 8
    facts: dict = {}  # noqa: RUF012

    def read(self, root, options):
        file = root / "images.npy"
        if not file.is_file():
            raise DataProblem(f"{self.name}: expected {file}, found none")
        images = self.images(file, options.image_size)
        labels = self.labels(len(images))
        parts = Split(images[:6], labels[:6]), Split(images[6:], labels[6:])
        digest = hashlib.sha256(images.tobytes()).hexdigest()
        known = {"classes": ("a", "b"), "mean": (0.5,) * 3, "std": (0.2,) * 3, "digest": digest}
        known |= {"split": options.split, "name": self.name, **self.facts}
        return ImageData(train=parts[0], test=parts[1], **known)

    def images(self, file, side):
        return np.ascontiguousarray(np.load(file)[:, :side, :side])

    def labels(self, count):
        return np.arange(count, dtype=np.int64) % 2

    def fetch(self, root, report=print):
        self.load(root)
        report("eight images")


Sound.name = "sound"  # after the class is made, so that it is not registered


def changed(**members):
    return type("Changed", (Sound,), {"__module__": __name__, **members})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)
    np.save(tmp_path / "images.npy", images)
    return tmp_path


def test_a_sound_data_set_passes(root):
    check_dataset(Sound, root)
    check_dataset(Sound(), root)
    check_dataset(changed(resized=True), root)


class Random(Sound):
    def images(self, file, side):
        images = super().images(file, side)
        return images[np.random.default_rng().permutation(len(images))]


class Shuffled(Random):
    facts = {"digest": "ab" * 32}  # noqa: RUF012


class Careless(Sound):
    def read(self, root, options):
        root.mkdir(exist_ok=True)
        return super().read(root, options)


def writes(self, root, report=print):
    (root / "marker").touch()
    report("done")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (changed(description="short"), "description: expected one line of 10 characters"),
        (changed(splits=("a", "a")), "splits: expected distinct names"),
        (changed(refused_splits={"train": "why"}), "refused_splits: expected none of `splits`"),
        (changed(image_size=None), "image_size: expected a whole number"),
        (changed(__init__=lambda self, root: None), "constructor: TypeError"),
        (changed(read=lambda self, root, options: None), "expected an ImageData, found NoneType"),
        (changed(read=lambda self, root, options: 1 / 0), "ZeroDivisionError"),
        (changed(labels=lambda self, n: np.arange(n) % 2.0), "labels: expected int64"),
        (changed(labels=lambda self, n: np.arange(n - 1) % 2), r"labels: .*shape \(6,\).*|shape"),
        (changed(labels=lambda self, n: np.arange(n)), r"labels: expected 0\.\.1, got 0\.\.5"),
        (changed(labels=lambda self, n: np.arange(n) % 2 - 1), r"expected 0\.\.1, got -1\.\.0"),
        (changed(facts={"classes": ["a", "b"]}), "classes: expected a tuple of names"),
        (changed(facts={"classes": (0, 1)}), "classes: expected a tuple of names"),
        (changed(facts={"classes": ("a", "a")}), "classes: expected distinct names"),
        (changed(facts={"mean": (127.0,) * 3}), "mean: expected values between 0 and 1"),
        (changed(facts={"std": (0.0,) * 3}), "std: expected numbers above 0"),
        (changed(facts={"std": (0.1,) * 2}), "std: expected 3 finite numbers"),
        (changed(facts={"digest": "v1"}), "digest: expected 32 hexadecimal digits"),
        (changed(facts={"name": "other"}), "name: expected 'sound', found 'other'"),
        (changed(facts={"split": "other"}), "split: expected 'train', found 'other'"),
        (changed(unseen_classes=True), "unseen: expected True, found False"),
        (changed(splits=("train", "all")), "splits train and all: expected two digests"),
        (changed(image_size=12, images=lambda self, file, side: np.load(file)), "image_size"),
        (changed(images=lambda self, file, side: np.zeros((8, 8, 8, 3), np.uint8)), "one colour"),
        (changed(images=lambda self, file, side: np.load(file)[..., 0]), "images: expected uint8"),
        (Random, "twice: expected the same facts"),
        (Shuffled, "same train images and labels in the same order"),
        (Careless, "expected no new folder|expected a DataProblem that names it"),
        (changed(fetch=lambda self, root, report: None), "fetch: expected lines that say"),
        (changed(fetch=writes), "fetch: expected no change"),
        (changed(resized=True, images=lambda self, file, side: np.load(file)[:, :8, :8].copy()),
         "image_size: expected 16, found 8"),
    ],
)  # fmt: skip
def test_a_broken_data_set_is_refused(broken, words, root):
    with pytest.raises(DatasetCheckError, match=words):
        check_dataset(broken, root)


def test_a_missing_folder_must_be_named_by_a_data_problem(root):
    def read(self, place, options):
        if not place.is_dir():
            raise RuntimeError("boom")
        return Sound.read(self, place, options)

    with pytest.raises(DatasetCheckError, match=r"names it, found DataProblem: .*boom"):
        check_dataset(changed(read=read), root)
