"""Data sets by name: each one is a few facts and a reader that returns uint8 arrays.

A subclass of `Dataset` with a `name` is found here: the suite's own, those of installed packages
(entry point `instbench.datasets`) and those of plug-in files; `hf:NAME` is one of Hugging Face's.
"""

from pathlib import Path

from benchmarks.common.errors import UsageProblem
from benchmarks.data.basics import Report, default_root, silent
from benchmarks.data.datasets import base
from benchmarks.data.datasets.base import (
    DATASETS,
    Dataset,
    ImageData,
    LoadOptions,
    Split,
    readable,
)
from methods.base.registry import in_one_line

__all__ = [
    "Dataset",
    "ImageData",
    "LoadOptions",
    "Split",
    "default_root",
    "failures",
    "fetch",
    "get",
    "names",
    "root_of",
]

HUGGING_FACE = "hf:"
"""What the names of Hugging Face's data sets begin with."""
USERS_OWN = "folder"


def names() -> list[str]:
    """Return the names of all data sets, sorted; those of Hugging Face are not among them."""
    return DATASETS.names()


def failures() -> dict[str, str]:
    """Return installed packages of data sets that failed to import, each with the reason."""
    return DATASETS.failures()


def get(name: str) -> Dataset:
    """Return the data set of this name.

    Raises:
        UsageProblem: there is none, and the message lists the known ones; or it cannot be made.
    """
    if name.startswith(HUGGING_FACE):
        from benchmarks.data.datasets.hugging_face import HuggingFace

        return HuggingFace(name.removeprefix(HUGGING_FACE))
    try:
        kind = DATASETS.get(name)
    except ValueError as error:
        raise UsageProblem(str(error)) from error
    try:
        return kind()
    except Exception as error:  # a plug-in's constructor, or an abstract method that it lacks
        raise UsageProblem(
            f"data set {name} ({kind.origin}): expected to be made without arguments, found "
            f"{in_one_line(error)}; mend the plug-in"
        ) from error


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
    if given is None and name == USERS_OWN:
        raise UsageProblem("data set folder: expected --data DIR, a folder of images; none given")
    return base.root_of(get(name), given)
