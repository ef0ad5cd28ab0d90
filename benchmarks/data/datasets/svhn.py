"""SVHN, cropped digits, from the official MATLAB files (Netzer et al., NIPS workshop 2011)."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.errors import DataProblem
from benchmarks.common.memory import fits_in_memory
from benchmarks.data.basics import Report, silent
from benchmarks.data.datasets.base import Dataset, ImageData, LoadOptions, Split
from benchmarks.data.datasets.official import kind, not_official
from benchmarks.data.sources.decode_cache import Fill, open_images
from benchmarks.data.sources.download import download, exclusive, verify

IMAGE_SIZE = 32
IMAGE_BYTES = 3 * IMAGE_SIZE**2
FOLDER = "svhn"
PAGE = "http://ufldl.stanford.edu/housenumbers/"
TRAIN, TEST, EXTRA = "train_32x32.mat", "test_32x32.mat", "extra_32x32.mat"
CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ZERO = 10
"""The official label of the digit 0; every other digit is its own label."""
# The values of the AND code (Raymond-sci/AND, datasets/svhn.py), which Super-AND's table compares
# with; as of CIFAR-10, the standard deviation is a mean over images.
MEAN = (0.4377, 0.4438, 0.4728)
STD = (0.1201, 0.1231, 0.1052)


class MatFile(NamedTuple):
    """What is known of an official file."""

    images: int
    size: int
    """In bytes."""
    md5: str


class Svhn(Dataset):
    """99,289 colour images of 32 x 32 pixels, of digits of house numbers; 531,131 more to train on.

    "train" are the 73,257 training images; "train+extra" adds the 531,131 easier ones of
    extra_32x32.mat. The bank is the 73,257 with either, so that both splits are evaluated alike.

    No copy of the files other than the authors' own is known. `fetch` brings the training and test
    images (246 MB), and the 1.3 GB of extra ones only where the split asks for them or a part of
    them is already there.

    Memory: 305 MB of pixels for "train", 1.94 GB for "train+extra"; if that is more than half of
    what is free, the training images of the latter are decoded once into a memory-mapped file
    beside the official ones. Decoding extra_32x32.mat takes 1.63 GB either way.
    """

    name = "svhn"
    image_size = IMAGE_SIZE
    description = "SVHN: 73,257 + 26,032 digits of house numbers, 32x32, 10 classes (246 MB)"
    splits = ("train", "train+extra")
    refused_splits: ClassVar[Mapping[str, str]] = {
        "test": "its images are what the evaluation classifies.",
    }
    training_files: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "train": (TRAIN,),
        "train+extra": (TRAIN, EXTRA),
    }
    """The files of each split; the first one's images are the bank."""
    # MD5 and address: torchvision's datasets/svhn.py. Sizes: what the authors' host states.
    files: ClassVar[Mapping[str, MatFile]] = {
        TRAIN: MatFile(73_257, 182_040_794, "e26dedcc434d2e4c54c9b2d4a06d8373"),
        TEST: MatFile(26_032, 64_275_384, "eb5a983be6a315427106f1b164d9cef3"),
        EXTRA: MatFile(531_131, 1_329_278_602, "a93ce644f1a588dc4d68dda5feec44a7"),
    }
    mirrors: ClassVar[tuple[str, ...]] = (PAGE,)
    """Addresses below which the files can be had, in the order in which they are tried."""

    def folder(self, root: Path) -> Path:
        """Return where the official files are or belong: `root` itself or a folder in it."""
        is_root = root.name == FOLDER or any((root / name).is_file() for name in self.files)
        return root if is_root else root / FOLDER

    def read(self, root: Path, wanted: LoadOptions) -> ImageData:
        """Read the official files, each checked by its size and MD5.

        `root` holds the folder svhn, or is the folder with the files. extra_32x32.mat is only
        needed where it is used.
        """
        folder, names = self.folder(root), self.training_files[wanted.split]
        for name in (*names, TEST):
            self._whole(folder, name, root)
        notes: list[str] = []
        images = self._training_images(folder, wanted.split, root, notes.append)
        labels = np.concatenate([self._labels(folder / name, root) for name in names])
        test_images = np.ascontiguousarray(self._images(folder / TEST, root))
        first = self.files[TRAIN].images
        return ImageData(
            self.name,
            Split(images, labels),
            Split(test_images, self._labels(folder / TEST, root)),
            CLASSES,
            MEAN,
            STD,
            self._digest(*names, TEST),
            tuple(notes),
            Split(images[:first], labels[:first]) if len(names) > 1 else None,
            wanted.split,
        )

    def fetch(self, root: Path, report: Report = silent, split: str | None = None) -> None:
        """Download what is missing of the official files, and verify them.

        Args:
            root: the folder that holds the data.
            report: receives lines of progress.
            split: what is to be trained on; None means "train", and any part of the extra images
                that is already there.

        Raises:
            DataProblem: a file cannot be had.
            UsageProblem: there is no such split.
        """
        folder = self.folder(root)
        names = dict.fromkeys((*self.training_files[self.training_split(split)], TEST))
        if any((folder / name).exists() for name in (EXTRA, f"{EXTRA}.part")):
            names |= {EXTRA: None}
        if any(self._problem(folder, name, root) for name in names):
            with exclusive(folder, self.name, report):
                for name in names:  # another process may have brought it while this one waited
                    self._bring(folder, name, root, report)
        report(f"{self.name}: all {len(names)} files are whole in {folder}")

    def remedy(self, name: str, root: Path) -> str:
        """Return what the user can do about a file, as the end of the sentence "Delete it and"."""
        if name == EXTRA:
            size, folder = self.files[name].size, self.folder(root)
            return f"put {self.mirrors[0]}{name} ({size / 1e9:.1f} GB) into {folder}"
        return f"run `bench data {self.name} --data {root}` to fetch it again"

    def _whole(self, folder: Path, name: str, root: Path) -> None:
        """Raise a DataProblem unless an official file is here with its size and digest."""
        path, facts = folder / name, self.files[name]
        if not path.is_file():
            raise DataProblem(self._absent(path, root))
        if (size := path.stat().st_size) != facts.size:
            raise DataProblem(
                f"{path} is not the official file: expected {facts.size:,} bytes, found {size:,}. "
                f"Delete it and {self.remedy(name, root)}."
            )
        verify(path, facts.md5, self.remedy(name, root))

    def _absent(self, path: Path, root: Path) -> str:
        start = f"{self.name} is not here: looked for {path}. "
        if path.name == EXTRA:
            return f"{start}It is for split train+extra only: {self.remedy(EXTRA, root)}."
        return (
            f"{start}Run `bench data {self.name} --data {root}`, or put the official files there. "
            f"Their page is {PAGE}."
        )

    def _problem(self, folder: Path, name: str, root: Path) -> DataProblem | None:
        try:
            self._whole(folder, name, root)
        except DataProblem as problem:
            return problem
        return None

    def _bring(self, folder: Path, name: str, root: Path, report: Report) -> None:
        if not (problem := self._problem(folder, name, root)):
            return
        path, facts = folder / name, self.files[name]
        report(str(problem) if path.exists() else f"{self.name}: {name} is not in {folder} yet")
        download([url + name for url in self.mirrors], path, facts.md5, facts.size, report)

    def _digest(self, *names: str) -> str:
        return hashlib.sha256("".join(self.files[name].md5 for name in names).encode()).hexdigest()

    def _training_images(
        self, folder: Path, split: str, root: Path, note: Report
    ) -> NDArray[np.uint8]:
        """Return the (n, 32, 32, 3) images of a split, in memory or mapped from the cache."""
        names = self.training_files[split]
        shape = sum(self.files[name].images for name in names), IMAGE_SIZE, IMAGE_SIZE, 3
        fill = self._decoder([folder / name for name in names], root)
        if len(names) == 1 or fits_in_memory(IMAGE_BYTES * (shape[0] + self.files[TEST].images)):
            images = np.empty(shape, np.uint8)
            fill(images, 0)
            return images
        source = {"digest": self._digest(*names), "image_size": IMAGE_SIZE, "resize": None}
        return open_images(folder / f"{split}-{IMAGE_SIZE}.npy", shape, source, fill, note)

    def _decoder(self, paths: Sequence[Path], root: Path) -> Fill:
        """Return what decodes any part of the files' images, taken as one."""
        # Blocks come in order, so that one file at a time needs to be in memory.
        images = lru_cache(maxsize=1)(lambda path: self._images(path, root))

        def fill(block: NDArray[np.uint8], start: int) -> None:
            first = 0
            for path in paths:
                end = first + self.files[path.name].images
                low, high = max(start, first), min(start + len(block), end)
                if low < high:
                    block[low - start : high - start] = images(path)[low - first : high - first]
                first = end

        return fill

    def _images(self, path: Path, root: Path) -> NDArray[np.uint8]:
        """Return the (n, 32, 32, 3) images of a verified file, in MATLAB's order in memory."""
        pixels = self._variable(path, "X", root)
        expected = IMAGE_SIZE, IMAGE_SIZE, 3, self.files[path.name].images
        if pixels.dtype != np.uint8 or pixels.shape != expected:
            words = f"expected bytes of shape {expected} at X, found {kind(pixels)}"
            raise not_official(path, words, self.remedy(path.name, root))
        return pixels.transpose(3, 0, 1, 2)

    def _labels(self, path: Path, root: Path) -> NDArray[np.int64]:
        """Return the (n,) digits of a verified file: the official label 10 is the digit 0."""
        labels, count = self._variable(path, "y", root), self.files[path.name].images
        found = kind(labels)
        if labels.dtype.kind in "iuf" and labels.size:
            found += f", {labels.min()} to {labels.max()}"
        if labels.size != count or not np.isin(labels, range(1, ZERO + 1)).all():
            words = f"expected {count:,} labels, whole and from 1 to {ZERO}, at y, found {found}"
            raise not_official(path, words, self.remedy(path.name, root))
        return labels.ravel().astype(np.int64) % ZERO

    def _variable(self, path: Path, name: str, root: Path) -> NDArray[Any]:
        """Return what a MATLAB file holds under a name."""
        # Imported here: only data sets of MATLAB files need it.
        from scipy.io import loadmat

        try:
            value = loadmat(path, variable_names=(name,)).get(name)
        except MemoryError:
            raise
        except Exception as error:  # the decoder raises almost any type on a damaged file
            words = f"{type(error).__name__}: {error}"
            raise not_official(path, words, self.remedy(path.name, root)) from error
        if not isinstance(value, np.ndarray):
            words = f"expected an array at {name}, found {kind(value)}"
            raise not_official(path, words, self.remedy(path.name, root))
        return value
