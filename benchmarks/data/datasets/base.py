"""What a data set is: a few facts, and a reader that returns arrays once (`image_data`)."""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from benchmarks.common.errors import BenchError, DataProblem, UsageProblem, unknown_name
from benchmarks.data.basics import SMALLEST_SIDE, Report, default_root, silent
from benchmarks.data.datasets.image_data import DEFAULT_SPLIT as DEFAULT_SPLIT
from benchmarks.data.datasets.image_data import RECALLS as RECALLS
from benchmarks.data.datasets.image_data import ImageData as ImageData
from benchmarks.data.datasets.image_data import Split as Split
from benchmarks.data.datasets.image_data import with_copies_noted as with_copies_noted
from methods.base.code import code_of
from methods.base.registry import Registry, in_one_line


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
