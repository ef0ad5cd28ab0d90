"""What an author of a data set can check with one call, as `check_method` does for methods."""

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.common.errors import BenchError, DataProblem, UsageProblem
from benchmarks.data.datasets.base import Dataset, ImageData, Split

T = TypeVar("T")


class DatasetCheckError(AssertionError):
    """A data set breaks its contract; the message says where, what was expected and found."""


def check_dataset(dataset: type[Dataset] | Dataset, root: Path) -> None:
    """Check that a data set can be trained on and evaluated by every method, again and again.

    Args:
        dataset: the class, which is made without arguments, or an instance.
        root: a folder below which its files are; they are only read.

    Raises:
        DatasetCheckError: it does not keep the contract.
    """
    dataset = _made(dataset)
    first = _loaded(dataset, root)
    _check_parts(first)
    _check_again(dataset, root, first)
    _check_splits(dataset, root)
    _check_options(dataset, root, first)
    _check_partial(dataset, root, first)
    _check_fetch(dataset, root)
    _check_absent(dataset)


def _made(dataset: type[Dataset] | Dataset) -> Dataset:
    if isinstance(dataset, type):
        dataset = _step("constructor", dataset)
    _require_words(dataset, "name", 1)
    _require_words(dataset, "description", 10)
    _require_words(dataset, "default_recipe", 1)
    if not dataset.splits or len(set(dataset.splits)) != len(dataset.splits):
        raise DatasetCheckError(f"splits: expected distinct names, found {dataset.splits!r}")
    if set(dataset.splits) & set(dataset.refused_splits):
        raise DatasetCheckError("refused_splits: expected none of `splits`, found one")
    size = getattr(dataset, "image_size", None)
    if not isinstance(size, int) or size < 1:
        raise DatasetCheckError(f"image_size: expected a whole number of pixels, found {size!r}")
    return dataset


def _require_words(dataset: Dataset, attribute: str, least: int) -> None:
    text = getattr(dataset, attribute, None)
    if not isinstance(text, str) or len(text.strip()) < least or "\n" in text:
        raise DatasetCheckError(
            f"{attribute}: expected one line of {least} characters or more, found {text!r}"
        )


def _loaded(dataset: Dataset, root: Path, split: str | None = None) -> ImageData:
    where = f"load(split={split!r})" if split else "load"
    data = _step(where, lambda: dataset.load(root, split=split))
    facts = data.facts()
    if json.loads(json.dumps(facts)) != facts:
        raise DatasetCheckError(f"{where}: facts: expected what JSON can hold, found {facts!r}")
    if not re.fullmatch("[0-9a-f]{32,}", data.digest):
        raise DatasetCheckError(
            f"{where}: digest: expected 32 hexadecimal digits or more, found {data.digest!r}"
        )
    return data


def _check_parts(data: ImageData) -> None:
    for name, part in (("train", data.train), ("bank", data.bank), ("test", data.test)):
        if part is not None:
            _check_part(name, part)
    if len(set(data.classes)) != len(data.classes):
        raise DatasetCheckError("classes: expected distinct names, found one twice")
    if not all(0 < mean < 1 for mean in data.mean):
        raise DatasetCheckError(f"mean: expected values between 0 and 1, found {data.mean}")
    if not all(0 < std < 1 for std in data.std):
        raise DatasetCheckError(f"std: expected values between 0 and 1, found {data.std}")


def _check_part(name: str, part: Split) -> None:
    # A memory map of a large data set is not looked at as a whole.
    images = part.images[:: max(1, len(part) // 1000)]
    if images.min() == images.max():
        raise DatasetCheckError(f"{name}: expected images, found one colour in all of them")


def _check_again(dataset: Dataset, root: Path, first: ImageData) -> None:
    """Reading again gives the same images in the same order, or no run could be resumed."""
    second = _loaded(dataset, root)
    if first.facts() != second.facts():
        raise DatasetCheckError(
            f"load, twice: expected the same facts, found {first.facts()} and {second.facts()}; "
            "take the digest over the content alone"
        )
    for name in ("train", "bank", "test"):
        one, two = getattr(first, name), getattr(second, name)
        if (one is None) != (two is None) or (one is not None and not _equal(one, two)):
            raise DatasetCheckError(
                f"load, twice: expected the same {name} images and labels in the same order, found "
                "others; sort files by name and draw nothing at random"
            )


def _equal(one: Split, two: Split) -> bool:
    if not np.array_equal(one.images, two.images):
        return False
    return (
        one.labels is two.labels
        if one.labels is None or two.labels is None
        else np.array_equal(one.labels, two.labels)
    )


def _check_splits(dataset: Dataset, root: Path) -> None:
    """Other training images are another digest: results are kept by it."""
    digests: dict[str, str] = {}
    for split in dataset.splits:
        data = _loaded(dataset, root, split)
        if data.digest in digests:
            raise DatasetCheckError(
                f"splits {digests[data.digest]} and {split}: expected two digests, found one"
            )
        digests[data.digest] = split
    if _loaded(dataset, root).facts() != _loaded(dataset, root, dataset.splits[0]).facts():
        raise DatasetCheckError("load: expected the first of `splits` by default, found another")


def _check_options(dataset: Dataset, root: Path, first: ImageData) -> None:
    same = _step("load(image_size)", lambda: dataset.load(root, first.image_size))
    if same.digest != first.digest:
        raise DatasetCheckError(
            f"load(image_size={first.image_size}): expected the digest of the images that have "
            "this size by default, found another"
        )
    if dataset.resized:
        side = first.image_size + 8
        other = _step("load(image_size)", lambda: dataset.load(root, side))
        if other.image_size != side or other.facts() == first.facts():
            raise DatasetCheckError(
                f"load(image_size={side}): expected images of {side} pixels, found "
                f"{other.image_size}"
            )
    _refused("load(split='no such split')", lambda: dataset.load(root, split="no such split"))


def _check_partial(dataset: Dataset, root: Path, first: ImageData) -> None:
    if dataset.unseen_classes:
        if not first.unseen:
            raise DatasetCheckError("unseen: expected True, as `unseen_classes` declares")
        _step("load(partial=True)", lambda: dataset.load(root, partial=True))


def _check_fetch(dataset: Dataset, root: Path) -> None:
    """Where everything is there, `bench data NAME` says so and changes nothing."""
    lines: list[str] = []
    before = sorted(root.rglob("*"))
    _step("fetch", lambda: dataset.fetch(root, lines.append))
    if not lines or not all(isinstance(line, str) and line.strip() for line in lines):
        raise DatasetCheckError(f"fetch: expected lines that say what was found, found {lines!r}")
    if sorted(root.rglob("*")) != before:
        raise DatasetCheckError("fetch: expected no change where all is there, found other files")


def _check_absent(dataset: Dataset) -> None:
    """A folder without the data is an error that names it, and nothing is made there."""
    if dataset.embedded:
        return
    with tempfile.TemporaryDirectory() as folder:
        absent = Path(folder, "absent")
        problem = _refused("load from a folder that is not there", lambda: dataset.load(absent))
        if not isinstance(problem, DataProblem) or str(absent) not in str(problem):
            raise DatasetCheckError(
                "load from a folder that is not there: expected a DataProblem that names it, found "
                f"{type(problem).__name__}: {problem}"
            )
        if absent.exists():
            raise DatasetCheckError("load: expected no new folder where there are no data")


def _refused(what: str, call: Callable[[], object]) -> BenchError:
    try:
        call()
    except (DataProblem, UsageProblem) as problem:
        if "\n" in str(problem):
            raise DatasetCheckError(f"{what}: expected one line, found {problem}") from problem
        return problem
    except Exception as error:
        raise DatasetCheckError(
            f"{what}: expected a DataProblem, found {type(error).__name__}: {error}"
        ) from error
    raise DatasetCheckError(f"{what}: expected a DataProblem, found none")


def _step(what: str, call: Callable[[], T]) -> T:
    """Return what a call returns, or say in which step it failed."""
    try:
        return call()
    except Exception as error:
        raise DatasetCheckError(f"{what}: {type(error).__name__}: {error}") from error
