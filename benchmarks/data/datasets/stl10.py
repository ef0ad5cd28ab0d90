"""STL-10 from the official binary files (Coates, Ng and Lee, AISTATS 2011)."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.errors import DataProblem
from benchmarks.common.memory import fits_in_memory
from benchmarks.data.basics import Report, silent
from benchmarks.data.datasets.archive import ArchiveDataset, ArchiveFacts
from benchmarks.data.datasets.base import ImageData, LoadOptions, Split
from benchmarks.data.sources.decode_cache import Fill, open_images
from benchmarks.data.sources.download import verify

IMAGE_SIZE = 96
IMAGE_BYTES = 3 * IMAGE_SIZE * IMAGE_SIZE
CLASSES = 10
FOLDS = 10
CLASS_NAMES = "class_names.txt"
FOLD_INDICES = "fold_indices.txt"
LABELLED, UNLABELLED = "train_X.bin", "unlabeled_X.bin"
# The values of the InvaSpread code, which are CIFAR-10's (docs/fidelity.md, "Data and
# augmentation").
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2023, 0.1994, 0.2010)
STL10 = ArchiveFacts(
    folder="stl10_binary",
    archive="stl10_binary.tar.gz",
    archive_md5="91f7769df0f17e558f3565bffb0c7dfb",
    archive_size=2_640_397_119,
    # Both are the authors' own hosts; no other copy of the archive is known.
    mirrors=(
        "https://cs.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
        "https://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    ),
    source="Its page is https://cs.stanford.edu/~acoates/stl10/.",
)


class BinaryFile(NamedTuple):
    """What is known of an official file: its records, their size and its digest."""

    records: int
    record_bytes: int
    md5: str

    @property
    def unit(self) -> str:
        """What a record is."""
        return "labels" if self.record_bytes == 1 else "images"


def memory_budget(train_images: int, test_images: int, cached: bool = False) -> int:
    """Return how many bytes of pixels a loaded data set keeps in memory.

    The bank is a part of the training images and takes none of its own; training images in the
    cache take none either.
    """
    return IMAGE_BYTES * (test_images + (0 if cached else train_images))


class Stl10(ArchiveDataset):
    """113,000 colour images of 96 x 96 pixels, 13,000 of them labelled in 10 classes.

    "train" are the 5,000 labelled training images; "train+unlabeled" adds the 100,000 others and
    leaves all labels out. The bank is the 5,000 labelled ones with either. Some of the unlabelled
    images are said to be copies of test images (arXiv:2506.03582), which the paper's figures with
    105,000 share.

    Memory (`memory_budget`): 359 MB of pixels for "train", 3.12 GB for "train+unlabeled". The
    latter stay in memory if that is at most half of what is free (`memory.fits_in_memory`), so
    from 6.25 GB on; else the 105,000 are decoded once into a memory-mapped file of 2.90 GB
    beside the official ones, 67 MB at a time, and 221 MB stay in memory.
    """

    name = "stl10"
    image_size = IMAGE_SIZE
    description = "STL-10: 5,000 + 8,000 photos, 96x96, 10 classes, 100,000 unlabelled (2.6 GB)"
    default_recipe = "stl10"
    facts = STL10
    splits = ("train", "train+unlabeled")
    refused_splits: ClassVar[Mapping[str, str]] = {
        "unlabeled": "its images have no labels to compare the test images with.",
        "test": "its images are what the evaluation classifies.",
    }
    training_files: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "train": (LABELLED,),
        "train+unlabeled": (LABELLED, UNLABELLED),
    }
    """The image files of each split; the first one's are the bank."""
    files: ClassVar[Mapping[str, BinaryFile]] = {
        LABELLED: BinaryFile(5_000, IMAGE_BYTES, "918c2871b30a85fa023e0c44e0bee87f"),
        "train_y.bin": BinaryFile(5_000, 1, "5a34089d4802c674881badbb80307741"),
        "test_X.bin": BinaryFile(8_000, IMAGE_BYTES, "7f263ba9f9e0b06b93213547f721ac82"),
        "test_y.bin": BinaryFile(8_000, 1, "36f9794fa4beb8a2c72628de14fa638e"),
        UNLABELLED: BinaryFile(100_000, IMAGE_BYTES, "5242ba1fed5e4be9e1e742405eb56ca4"),
    }
    fold_images: ClassVar[int] = 1_000
    """Labelled images of each of the official folds."""

    @property
    def marker_files(self) -> Collection[str]:
        """The binary files: others have names that a user's own may have."""
        return self.files

    def read(self, root: Path, options: LoadOptions) -> ImageData:
        """Read the official files, each checked by its size and MD5.

        `root` holds the official folder or archive, or is the official folder. An archive
        without its folder is unpacked once. unlabeled_X.bin is only needed where it is used.
        """
        folder = self.unpack(root)
        classes = self._classes(folder, root)
        self._folds(folder, root)
        labels = self._labels(folder, "train_y.bin", root)
        test_labels = self._labels(folder, "test_y.bin", root)
        notes: list[str] = []
        split = options.split
        images = self._training_images(folder, split, root, notes.append)
        bank = Split(images[: len(labels)], labels)
        names = self.training_files[split]
        adds_unlabelled = len(names) > 1
        return ImageData(
            self.name,
            Split(images, None) if adds_unlabelled else bank,
            Split(self._images(folder, ("test_X.bin",), root), test_labels),
            classes,
            MEAN,
            STD,
            self._digest(*names, "train_y.bin", "test_X.bin", "test_y.bin"),
            tuple(notes),
            bank if adds_unlabelled else None,
            split,
        )

    def folds(self, root: Path) -> NDArray[np.int64]:
        """Return the official folds: (10, 1,000) indices of the labelled training images.

        The paper's tables do not use them: their bank is all 5,000.

        Raises:
            DataProblem: the file is missing or broken.
        """
        return self._folds(self.folder(root), root)

    def fetch(self, root: Path, report: Report = silent) -> None:
        """Download and unpack the official archive unless all its files are here and whole."""
        folder = self.bring(root, report)
        names = (*self.files, CLASS_NAMES, FOLD_INDICES)
        report(f"{self.name}: all {len(names)} files are whole in {folder}")

    def check(self, target: Path, root: Path) -> None:
        """Raise a DataProblem that names the first file that is missing or damaged."""
        for name in self.files:
            self._whole(target, name, root)
        self._classes(target, root)
        self._folds(target, root)

    def _whole(self, folder: Path, name: str, root: Path) -> Path:
        """Return the path of an official file whose size and digest are right."""
        path, facts = folder / name, self.files[name]
        expected = facts.records * facts.record_bytes
        if path.is_file() and (size := path.stat().st_size) != expected:
            count, rest = divmod(size, facts.record_bytes)
            found = f"no whole number of {facts.unit}" if rest else f"{count:,}"
            raise DataProblem(
                f"{path} is not the official file: expected {facts.records:,} {facts.unit} "
                f"({expected:,} bytes), found {found} ({size:,} bytes). "
                f"Delete it and {self.remedy(root)}."
            )
        verify(path, facts.md5, self.remedy(root))
        return path

    def _digest(self, *names: str) -> str:
        return hashlib.sha256("".join(self.files[name].md5 for name in names).encode()).hexdigest()

    def _training_images(
        self, folder: Path, split: str, root: Path, note: Report
    ) -> NDArray[np.uint8]:
        """Return the (n, 96, 96, 3) images of a split, in memory or mapped from the cache."""
        names = self.training_files[split]
        count = self._count(names)
        if len(names) == 1 or fits_in_memory(memory_budget(count, self._count(["test_X.bin"]))):
            return self._images(folder, names, root)
        return open_images(
            folder / f"{split}-{IMAGE_SIZE}.npy",
            (count, IMAGE_SIZE, IMAGE_SIZE, 3),
            {"digest": self._digest(*names), "image_size": IMAGE_SIZE, "resize": None},
            self._decoder(folder, names, root),
            note,
        )

    def _images(self, folder: Path, names: Sequence[str], root: Path) -> NDArray[np.uint8]:
        images = np.empty((self._count(names), IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
        self._decoder(folder, names, root)(images, 0)
        return images

    def _count(self, names: Iterable[str]) -> int:
        return sum(self.files[name].records for name in names)

    def _decoder(self, folder: Path, names: Sequence[str], root: Path) -> Fill:
        """Return what decodes any part of the named files, taken as one."""

        @cache  # opened and verified with the first block: a whole cache needs none of them
        def files() -> list[NDArray[np.uint8]]:
            shapes = {name: (self.files[name].records, 3, IMAGE_SIZE, IMAGE_SIZE) for name in names}
            paths = {name: self._whole(folder, name, root) for name in names}
            return [np.memmap(paths[name], np.uint8, "r", shape=shapes[name]) for name in names]

        def fill(block: NDArray[np.uint8], start: int) -> None:
            first = 0
            for images in files():
                low, high = max(start, first), min(start + len(block), first + len(images))
                if low < high:
                    # Official order: colour, column, row.
                    pixels = images[low - first : high - first].transpose(0, 3, 2, 1)
                    block[low - start : high - start] = pixels
                first += len(images)

        return fill

    def _labels(self, folder: Path, name: str, root: Path) -> NDArray[np.int64]:
        path = self._whole(folder, name, root)
        labels = np.fromfile(path, np.uint8)
        if labels.min() < 1 or labels.max() > CLASSES:
            raise self._broken(
                path, f"expected labels 1..{CLASSES}, found {labels.min()}..{labels.max()}", root
            )
        return labels.astype(np.int64) - 1

    def _classes(self, folder: Path, root: Path) -> tuple[str, ...]:
        names = tuple(" ".join(words) for words in self._words(folder / CLASS_NAMES, root))
        if len(set(names)) != CLASSES or len(names) != CLASSES:
            found = ", ".join(names) or "none"
            raise self._broken(
                folder / CLASS_NAMES, f"expected {CLASSES} different names, found {found}", root
            )
        return names

    def _folds(self, folder: Path, root: Path) -> NDArray[np.int64]:
        path = folder / FOLD_INDICES
        lines = self._words(path, root)
        if len(lines) != FOLDS:
            raise self._broken(path, f"expected {FOLDS} folds, found {len(lines)}", root)
        for number, words in enumerate(lines, 1):
            if flaw := _fold_flaw(words, self.fold_images, self.files[LABELLED].records):
                raise self._broken(path, f"fold {number}: {flaw}", root)
        return np.array([[int(word) for word in words] for words in lines], np.int64)

    def _words(self, path: Path, root: Path) -> list[list[str]]:
        """Return the words of each line that has any."""
        try:
            text = path.read_text(encoding="ascii")
        except FileNotFoundError:
            raise DataProblem(f"{path} is missing. To repair, {self.remedy(root)}.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise self._broken(path, f"cannot be read ({error})", root) from error
        return [words for line in text.splitlines() if (words := line.split())]

    def _broken(self, path: Path, reason: str, root: Path) -> DataProblem:
        return DataProblem(f"{path} is broken: {reason}. Delete it and {self.remedy(root)}.")


def _fold_flaw(words: Sequence[str], length: int, images: int) -> str | None:
    """Return what is wrong with one line of indices."""
    if strange := [word for word in words if not word.isdigit()]:
        return f"expected indices from 0 on, found {strange[0]!r}"
    if len(words) != length:
        return f"expected {length:,} indices, found {len(words):,}"
    indices = {int(word) for word in words}
    if max(indices) >= images:
        return f"expected indices 0..{images - 1}, found {max(indices)}"
    if len(indices) != length:
        return f"expected different indices, found {length - len(indices)} of them repeated"
    return None
