"""Data sets by name: each one is a few facts and a reader that returns uint8 arrays."""

from pathlib import Path

from benchmarks.common.errors import UsageProblem, unknown_name
from benchmarks.data.basics import Report, default_root, silent
from benchmarks.data.datasets import base
from benchmarks.data.datasets.base import Dataset, ImageData, Split, readable
from benchmarks.data.datasets.cars196 import Cars196
from benchmarks.data.datasets.cifar import Cifar10, Cifar100, Cifar100SuperClasses
from benchmarks.data.datasets.cub200 import Cub200
from benchmarks.data.datasets.digits import Digits
from benchmarks.data.datasets.image_folder.dataset import Folder
from benchmarks.data.datasets.products import Products
from benchmarks.data.datasets.stl10 import Stl10
from benchmarks.data.datasets.svhn import Svhn

__all__ = ["Dataset", "ImageData", "Split", "default_root", "fetch", "get", "names", "root_of"]

_DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Digits(),
        Cifar10(),
        Cifar100(),
        Cifar100SuperClasses(),
        Stl10(),
        Svhn(),
        Cub200(),
        Cars196(),
        Products(),
        Folder(),
    )
}


def names() -> list[str]:
    """Return the names of all data sets, sorted."""
    return sorted(_DATASETS)


def get(name: str) -> Dataset:
    """Return the data set of this name.

    Raises:
        UsageProblem: there is none; the message lists the known ones.
    """
    if name not in _DATASETS:
        raise unknown_name("data set", name, _DATASETS)
    return _DATASETS[name]


def fetch(name: str, root: Path, report: Report = silent) -> None:
    """Download below `root` what is missing of a data set, and verify all of it.

    Raises:
        UsageProblem: there is no data set of this name.
        DataProblem: it cannot be had or read, or is damaged and cannot be repaired.
    """
    dataset = get(name)
    with readable(name, root):
        dataset.fetch(root, report)


def root_of(name: str, given: Path | None) -> Path:
    """Return the folder below which a data set is read: the one that is given, else the default.

    Raises:
        UsageProblem: none is given for the user's own images.
    """
    if given is None and name == Folder.name:
        raise UsageProblem("data set folder: expected --data DIR, a folder of images; none given")
    return base.root_of(get(name), given)
