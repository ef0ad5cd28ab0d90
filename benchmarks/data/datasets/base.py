"""What a data set is: a few facts and a reader that returns uint8 arrays once."""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.errors import BenchError, DataProblem, UsageProblem, unknown_name
from benchmarks.data.basics import SMALLEST_SIDE, Report, default_root, silent
from benchmarks.data.duplicates import duplicate_notes
from methods.base.code import code_of
from methods.base.registry import Registry, in_one_line

DEFAULT_SPLIT = "train"
"""The training split that a data set has unless it states others."""
RECALLS = (1, 2, 4, 8)
"""How many neighbours count for recall, unless a data set states others."""


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set.

    Attributes:
        images: (n, h, w, 3) uint8 RGB, C-contiguous, n of 1 or more; it may be a read-only memory
            map.
        labels: (n,) int64, or None when unlabelled.

    Raises:
        ValueError: a shape, type or layout is not as said above.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not len(images):
            raise ValueError(
                "images: expected uint8 of shape (n, h, w, 3) with n of 1 or more, "
                f"got {images.dtype} of shape {images.shape}"
            )
        if not images.flags.c_contiguous:
            raise ValueError("images: expected C-contiguous; call np.ascontiguousarray first")
        if labels is not None and (labels.dtype != np.int64 or labels.shape != (len(images),)):
            raise ValueError(
                f"labels: expected int64 of shape ({len(images)},), "
                f"got {labels.dtype} of shape {labels.shape}"
            )

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class ImageData:
    """What a reader returns.

    Attributes:
        name: the data set's name on the command line.
        train: what methods learn from; unless `bank` is given, the labelled bank of the evaluation.
        test: the queries of the evaluation; None when there is nothing to evaluate on.
        classes: class names in the order of the labels; empty when unlabelled.
        mean: of the training pixels' red, green and blue, in 0..1.
        std: likewise, above 0.
        digest: identifies the content (hexadecimal); part of a run's key.
        notes: what a reader of the results should know, such as files left out.
        bank: the labelled images that the kNN bank and the linear classifier use when they are not
            those of `train`, which may then be unlabelled.
        split: the name of the training split.
        unseen: whether the test images are of classes not seen in training, so that they are
            retrieved from among themselves and never classified by the bank.
        partial: whether these are fewer images than the data set officially has.
        recalls: how many neighbours count for recall in the published tables.
        understood: lines that say how files were read whose layout no data set prescribes.
        left_out: how many files are not used, by reason.
        path: the folder that was read, where it is the user's own; else "".

    Raises:
        ValueError: the parts do not fit together.
    """

    name: str
    train: Split
    test: Split | None
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    digest: str
    notes: tuple[str, ...] = ()
    bank: Split | None = None
    split: str = DEFAULT_SPLIT
    unseen: bool = False
    partial: bool = False
    recalls: tuple[int, ...] = RECALLS
    understood: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    path: str = ""

    def __post_init__(self) -> None:
        self._require_facts()
        parts = [part for part in (self.train, self.bank, self.test) if part is not None]
        sizes = {part.images.shape[1:] for part in parts}
        if len(sizes) > 1:
            raise ValueError(f"train, bank and test images: expected one size, got {sorted(sizes)}")
        if self.bank is not None and self.bank.labels is None:
            raise ValueError("bank: expected None or labelled images, got unlabelled ones")
        if self.test is not None and (not self.labelled or self.test.labels is None):
            raise ValueError("test: expected None or labels in both parts, got unlabelled ones")
        for part in parts:
            if part.labels is None:
                continue
            if part.labels.min() < 0 or part.labels.max() >= len(self.classes):
                raise ValueError(
                    f"labels: expected 0..{len(self.classes) - 1}, "
                    f"got {part.labels.min()}..{part.labels.max()}"
                )
        if self.unseen:
            self._require_unseen_classes()

    def _require_facts(self) -> None:
        names = self.classes
        if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"classes: expected a tuple of names, got {names!r:.80}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3 or not np.isfinite(values).all():
                raise ValueError(f"{name}: expected 3 finite numbers, got {values!r:.80}")
        if min(self.std) <= 0:
            raise ValueError(f"std: expected numbers above 0, got {self.std!r:.80}")
        if not isinstance(self.digest, str) or not self.digest:
            raise ValueError(f"digest: expected hexadecimal digits, got {self.digest!r:.80}")

    def _require_unseen_classes(self) -> None:
        if self.test is None or self.test.labels is None or self.labelled_bank.labels is None:
            raise ValueError("unseen: expected labelled training and test images")
        shared = np.intersect1d(self.labelled_bank.labels, self.test.labels)
        if len(shared):
            raise ValueError(
                f"unseen: expected no class in both training and test images, got {len(shared)} "
                f"such as {self.classes[shared[0]]}"
            )

    @property
    def image_size(self) -> int:
        """Height of an image, in pixels."""
        return int(self.train.images.shape[1])

    @property
    def labelled_bank(self) -> Split:
        """What the kNN classifier votes with and the linear classifier learns from."""
        return self.train if self.bank is None else self.bank

    @property
    def labelled(self) -> bool:
        """Whether `labelled_bank` has labels, so that test images can be classified."""
        return self.labelled_bank.labels is not None

    def facts(self) -> dict[str, Any]:
        """Return what a run's record keeps, ready for JSON; `classes` is their number.

        A run's key is a digest of this, so `split`, `bank_images`, `unseen` and `partial` are
        there only when they differ from what every data set had before they existed.
        """
        facts: dict[str, Any] = {
            "name": self.name,
            "digest": self.digest,
            "train_images": len(self.train),
            "test_images": len(self.test) if self.test else 0,
            "classes": len(self.classes),
            "image_size": self.image_size,
            "labelled": self.labelled,
        }
        if self.split != DEFAULT_SPLIT:
            facts["split"] = self.split
        if self.bank is not None:
            facts["bank_images"] = len(self.bank)
        facts |= {name: True for name in ("unseen", "partial") if getattr(self, name)}
        return facts

    def reading(self) -> dict[str, Any]:
        """Return what a record keeps of how the images were read, ready for JSON.

        It is no part of a run's key: the digest says which images these are, wherever they lie.
        """
        return {
            "understood": list(self.understood),
            "notes": list(self.notes),
            "left_out": dict(self.left_out),
            "path": self.path,
        }

    @property
    def told(self) -> tuple[str, ...]:
        """All that is said before training: what was understood, then the notes."""
        return (*self.understood, *self.notes)


def with_copies_noted(data: ImageData) -> ImageData:
    """Return the data with notes of images that are copies of others, see `duplicates`."""
    bank, test = (part.images if part else None for part in (data.bank, data.test))
    return replace(data, notes=data.notes + duplicate_notes(data.train.images, bank, test))


class LoadOptions(NamedTuple):
    """How a reader is to load a data set, with nothing left open."""

    image_size: int
    """Height and width in pixels."""
    split: str
    partial: bool
    size_given: bool = True
    """Whether the user asked for `image_size`; else it is the data set's own, and a reader of
    images without a common size may choose a better one."""


def _own() -> Iterator[str]:
    """Yield the suite's modules that define data sets: those of this folder, and `dataset.py`s."""
    import benchmarks.data.datasets as package

    for module in pkgutil.iter_modules(package.__path__):
        inside = ".dataset" if module.ispkg else ""
        yield f"{package.__name__}.{module.name}{inside}"


DATASETS: "Registry[Dataset]" = Registry(
    "data set",
    "benchmarks.data.datasets.Dataset",
    "instbench.datasets",
    _own,
    {"all": "stands for every one of a kind on the command line"},
)


class Dataset(ABC):
    """A named data set: how to get it and how to read it.

    A subclass with a `name` of its own is known by it from then on. It is made without arguments,
    and keeps nothing of what it reads.
    """

    name: str
    """Name on the command line."""
    description: str
    """One line for `bench list datasets`."""
    default_recipe: ClassVar[str] = "paper"
    """The recipe of a run that names none."""
    splits: ClassVar[tuple[str, ...]] = (DEFAULT_SPLIT,)
    """What can be trained on; the first is the default."""
    refused_splits: ClassVar[Mapping[str, str]] = {}
    """Parts of the data set that cannot be trained on and evaluated, with the reason."""
    unseen_classes: ClassVar[bool] = False
    """Whether the test images are of classes not seen in training; such a data set may be taken in
    part."""
    image_size: int
    """Height and width of its images in pixels, or what they are resized to by default."""
    embedded: ClassVar[bool] = False
    """Whether its images come with the suite or its package, so that it needs no folder."""
    resized: ClassVar[bool] = False
    """Whether its images can be had in any size."""
    origin: ClassVar[str] = "not registered"
    """File and class name; set when the data set registers."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in cls.__dict__:
            DATASETS.register(cls)

    def load(
        self,
        root: Path,
        image_size: int | None = None,
        split: str | None = None,
        partial: bool = False,
    ) -> ImageData:
        """Read the images below `root`.

        Args:
            root: the folder that holds the data.
            image_size: wanted height and width in pixels; None means the data set's own.
            split: what to train on, one of `splits`; None means the first.
            partial: take a copy that lacks images of the data set, which is an error otherwise.

        Raises:
            DataProblem: the data is missing, incomplete or damaged, or a plug-in's data set does
                not return what it should.
            UsageProblem: the data set cannot be had in this size, has no such split, or has no
                partial form.
        """
        if partial and not self.unseen_classes:
            raise UsageProblem(
                f"Data set {self.name!r} has no partial form. Leave --partial out: it is for "
                "large data sets of which you have only some classes, such as cub200."
            )
        side, part = self._side(image_size), self.training_split(split)
        options = LoadOptions(side, part, partial, image_size is not None)
        with readable(self.name, root), _foreign(self):
            return self._checked(self.read(root, options), options)

    @abstractmethod
    def read(self, root: Path, options: LoadOptions) -> ImageData:
        """Read what `load` was asked for and has found to make sense.

        Raises:
            DataProblem: the data is missing, incomplete or damaged.
        """

    @abstractmethod
    def fetch(self, root: Path, report: Report = silent) -> None:
        """Download below `root` what is missing, and verify all of it.

        Raises:
            DataProblem: it cannot be had, or is damaged and cannot be repaired.
        """

    def _checked(self, data: ImageData, options: LoadOptions) -> ImageData:
        """Return what was read if it is what was asked for.

        Raises:
            ValueError: it is not.
        """
        if not isinstance(data, ImageData):
            raise ValueError(f"read: expected an ImageData, found {type(data).__name__}")
        _expect("name", self.name, data.name)
        _expect("split", options.split, data.split)
        if self.unseen_classes:
            _expect("unseen", True, data.unseen)
        if options.size_given or not self.resized:
            _expect("image_size", options.image_size, data.image_size)
        return data

    def training_split(self, split: str | None) -> str:
        """Return the split that is asked for, by default the first of `splits`.

        Raises:
            UsageProblem: there is none of this name, or it cannot be evaluated.
        """
        if split is None:
            return self.splits[0]
        if split in self.refused_splits:
            raise UsageProblem(
                f"Data set {self.name!r} cannot be trained on split {split!r} and evaluated: "
                f"{self.refused_splits[split]} Choose among {', '.join(self.splits)}."
            )
        if split not in self.splits:
            raise unknown_name(f"split of {self.name}", split, self.splits)
        return split

    def _side(self, image_size: int | None) -> int:
        """Return the height and width that images are wanted in."""
        side = self.image_size if image_size is None else image_size
        if not self.resized and side != self.image_size:
            raise UsageProblem(
                f"Data set {self.name!r} has images of {self.image_size} x {self.image_size} "
                f"pixels only; got image size {side}. Leave the image size out."
            )
        if side < SMALLEST_SIDE:
            raise UsageProblem(f"Image size: expected at least {SMALLEST_SIDE} pixels, got {side}.")
        return side


def _expect(what: str, expected: object, found: object) -> None:
    if found != expected:
        raise ValueError(f"read: {what}: expected {expected!r}, found {found!r}")


@contextmanager
def _foreign(dataset: Dataset) -> Iterator[None]:
    """Turn whatever a plug-in's data set raises into one line, but for what it says on purpose."""
    try:
        yield
    except (BenchError, OSError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if code_of(type(dataset)).own or isinstance(error, MemoryError):
            raise
        # What is raised as a ValueError here says what was expected and found.
        text = str(error) if type(error) is ValueError else in_one_line(error)
        raise DataProblem(
            f"data set {dataset.name} ({type(dataset).origin}): {' '.join(text.split())}; mend the "
            "plug-in, check_dataset of benchmarks.data.testing helps"
        ) from error


@contextmanager
def readable(name: str, root: Path) -> Iterator[None]:
    """Turn an error of the operating system while data set `name` is read into a DataProblem."""
    try:
        yield
    except OSError as error:
        place = error.filename or root
        raise DataProblem(
            f"{name}: {place} cannot be read: {error.strerror or error}. Expected a folder that "
            "you may read; give it with --data DIR."
        ) from error


def root_of(dataset: Dataset, given: Path | None) -> Path:
    """Return the folder that a data set is read from: the given one, else the default.

    Raises:
        UsageProblem: none is given and there is no default.
    """
    if given is not None:
        return given
    if dataset.embedded:
        return Path()  # not used; a home folder is then not needed either
    return default_root()
