"""The images of runs: named in a spec, read where needed, once for all runs that share them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from benchmarks.common.errors import DataProblem, UsageProblem
from benchmarks.data import datasets
from benchmarks.data.attributes import attributes
from benchmarks.data.datasets.base import ImageData, with_copies_noted
from benchmarks.data.loader import subset

Load = Callable[[int | None, str | None], ImageData]
"""load(image_size, split) reads images, as `Dataset.load` does below a folder; None: the data
set's own. One that is equal to another reads the same images."""
SETS_KEPT = 2
"""Sets of images that stay in memory: a table compares two training splits at most."""


@dataclass(frozen=True)
class NamedDataset:
    """A data set of the registry, below a folder: a `Load` that another process can have too."""

    name: str
    root: Path
    partial: bool = False
    """Whether a copy that lacks images will do."""

    def __call__(self, image_size: int | None, split: str | None) -> ImageData:
        """Read the images.

        Raises:
            DataProblem: they are missing, incomplete or damaged.
            UsageProblem: the data set cannot be had in this size or has no such split.
        """
        return datasets.get(self.name).load(self.root, image_size, split, self.partial)


@dataclass(frozen=True)
class ImageRequest:
    """Which images a run asks for; equal requests share one copy in memory."""

    load: Load
    image_size: int | None = None
    """Height and width in pixels; None for the data set's own."""
    split: str | None = None
    """Training split; None for the data set's first."""
    train_images: int | None = None
    """Size of the fixed random subset of the training images; None for all."""


@lru_cache(maxsize=SETS_KEPT)
def read_images(request: ImageRequest) -> ImageData:
    """Return the images of a request, its subset taken and copies among them noted.

    Raises:
        DataProblem: they are missing, incomplete or damaged.
        UsageProblem: there are fewer than `train_images`, or their classes lack attributes.
    """
    data = _read_all(request.load, request.image_size, request.split)
    attributes(data.name, data.classes)  # unknown classes are an error now, not after training
    try:
        data = replace(data, train=subset(data.train, request.train_images))
    except ValueError as error:
        raise UsageProblem(f"{error}; set --set recipe.train_images=N, null for all") from error
    return with_copies_noted(data)


@lru_cache(maxsize=SETS_KEPT)
def _read_all(load: Load, image_size: int | None, split: str | None) -> ImageData:
    return load(image_size, split)


def forget_images() -> None:
    """Let the next request read its images again: files may have changed since the last plan."""
    read_images.cache_clear()
    _read_all.cache_clear()


def images_of(request: ImageRequest, digest: str) -> ImageData:
    """Return the images that a run was planned with.

    Args:
        request: the run's.
        digest: of the images when the run was planned.

    Raises:
        DataProblem: they are not to be had, or are others by now.
    """
    data = read_images(request)
    if data.digest != digest:
        raise DataProblem(
            f"{data.name}: the images have changed since the run was planned: expected digest "
            f"{digest}, found {data.digest}; give the command again to plan anew"
        )
    return data
