"""Data sets of Hugging Face, by the name `hf:NAME` (hub or cache) or `hf:/path` (a folder).

Which column holds the images and which the labels is found by the features' types, and said.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.errors import DataProblem, UsageProblem
from benchmarks.data.basics import Report, channel_statistics, silent
from benchmarks.data.datasets.base import Dataset, ImageData, LoadOptions, Split
from benchmarks.data.sources.decode import (
    Seen,
    centre_square,
    decode,
    inspect,
    levels_of,
    quiet,
)
from methods.base.registry import in_one_line

TRAIN = ("train", "training")
TEST = ("test", "testing", "validation", "valid", "val", "dev")
"""Names of splits, the preferred first."""
IMAGE_NAMES = ("image", "img", "picture", "photo")
LABEL_NAMES = ("label", "labels", "fine_label", "class", "target", "category")
"""Names of columns, the preferred first."""
SIDES = ((48, 32), (96, 64))
"""Side that images are resized to, for a median short side of at most so many pixels."""
LARGEST_SIDE = 96
HIDDEN = -1
"""The label that Hugging Face gives to images whose labels are not public."""


@dataclass(frozen=True)
class Columns:
    """Which columns are read.

    Attributes:
        image: its name.
        label: its name; "" if there is none.
        classes: class names, where the column's type states them.
        others: columns that could have been meant as well.
    """

    image: str
    label: str
    classes: tuple[str, ...]
    others: tuple[str, ...]


class HuggingFace(Dataset):
    """A data set that `datasets.load_dataset` or `datasets.load_from_disk` reads."""

    description = "hf:NAME or hf:/path, a data set of Hugging Face with a column of images"
    image_size = 32
    resized = True
    embedded = True  # it has caches of its own

    def __init__(self, source: str) -> None:
        """State where the data set comes from; nothing is read yet.

        Args:
            source: its name on the hub, with `:CONFIG` if it has several, or a folder, which
                begins with `/`, `.` or `~`.

        Raises:
            UsageProblem: the package datasets is not installed, or the name is empty.
        """
        if not source.strip():
            raise UsageProblem("data set hf:NAME: expected a name after hf:, found none")
        _datasets()
        self.folder = Path(os.path.expanduser(source)) if source[0] in "/.~" else None
        self.source, _, self.config = (source, "", "") if self.folder else source.partition(":")
        # Records are shared: the folders above a user's own are not part of its name.
        self.name = f"hf:{self.folder.resolve().name if self.folder else source}"

    def read(self, root: Path, options: LoadOptions) -> ImageData:
        """Decode all images of the training and the test split.

        Images become RGB, their short side is resized to `image_size`, and the central square is
        kept. Without a given size it is 32 pixels if the median short side of the training images
        is at most 48, 64 if it is at most 96, else 96.

        Raises:
            DataProblem: there is no such data set, or no column of images, or an image is damaged.
        """
        splits = self._splits(root)
        train_name, test_name = self._chosen(splits)
        columns = self._columns(splits[train_name].features)
        contents = {
            name: _contents(splits[name], columns.image) for name in (train_name, test_name) if name
        }
        with quiet():
            seen = {name: _each(_look, files) for name, files in contents.items()}
            side = options.image_size
            if not options.size_given:
                side = _side([min(facts.width, facts.height) for facts in seen[train_name]])
            levels = levels_of([facts for some in seen.values() for facts in some])
            images = {
                name: self._decoded(files, seen[name], side, levels, name)
                for name, files in contents.items()
            }
        labels, classes, notes = self._labels(splits, columns, list(contents))
        try:
            train = Split(images[train_name], labels[train_name])
            test = None
            if test_name and labels[train_name] is not None and labels[test_name] is not None:
                test = Split(images[test_name], labels[test_name])
            elif test_name:
                notes.append(f"split {test_name} is not used: it is evaluated by labels alone")
            classes = classes if train.labels is not None else ()
            how = self._understood(columns, train_name, test_name if test else "", classes)
            return self._image_data(train, test, classes, tuple(notes), how)
        except ValueError as error:
            raise DataProblem(f"data set {self.name}: {error}; mend the data set") from error

    def _image_data(
        self,
        train: Split,
        test: Split | None,
        classes: tuple[str, ...],
        notes: tuple[str, ...],
        how: str,
    ) -> ImageData:
        side = train.images.shape[1]
        trained, tested = ((part.labels if part else None) for part in (train, test))
        unseen = trained is not None and tested is not None and not np.isin(tested, trained).any()
        return ImageData(
            self.name,
            train,
            test,
            classes,
            *channel_statistics(train.images),
            _digest(side, classes, (train, test)),
            notes=notes,
            unseen=unseen,
            understood=(how, f"{self.name}: images of {side} x {side} pixels"),
            path=str(self.folder.absolute()) if self.folder else "",
        )

    def fetch(self, root: Path, report: Report = silent) -> None:
        """Load the data set once, from the hub if it is not in the cache, and say what it holds."""
        report(f"{self.name}: from {self.folder or 'the Hugging Face hub or its cache'}")
        for line in self.load(root).told:
            report(line)

    def _splits(self, root: Path) -> Mapping[str, Any]:
        """Return the parts of the data set by name.

        Raises:
            DataProblem: it cannot be had; the message holds near matches among what is cached.
        """
        package = _datasets()
        cache = str(root) if root != Path() else None
        try:
            if self.folder is None:
                found = package.load_dataset(self.source, self.config or None, cache_dir=cache)
            elif not self.folder.exists():
                raise DataProblem(
                    f"data set {self.name}: expected a folder, found no {self.folder}; check the "
                    "path"
                )
            elif _saved(self.folder):
                found = package.load_from_disk(str(self.folder))
            else:
                found = package.load_dataset(str(self.folder), cache_dir=cache)
        except DataProblem:
            raise
        except Exception as error:  # of many libraries: the hub's, HTTP, Arrow
            raise DataProblem(
                f"data set {self.name}: cannot be loaded ({in_one_line(error)}).{self._hint(cache)}"
            ) from error
        return found if isinstance(found, Mapping) else {"train": found}

    def _hint(self, cache: str | None) -> str:
        if self.folder:
            return (
                " Expected a folder that save_to_disk wrote, or one that datasets.load_dataset "
                "reads, such as a folder of parquet files or of class folders."
            )
        known = sorted(_cached(cache))
        near = get_close_matches(self.source[:100], known, n=3, cutoff=0.4)
        likely = f" Did you mean {' or '.join(f'hf:{name}' for name in near)}?" if near else ""
        listed = ", ".join(known[:10]) or "none"
        return f"{likely} In the cache: {listed}. Check the name and the connection."

    def _chosen(self, splits: Mapping[str, Any]) -> tuple[str, str]:
        """Return the names of the splits to train and to test on; "" for no test split."""
        train = next((name for name in TRAIN if name in splits), "")
        if not train and len(splits) == 1:
            train = next(iter(splits))
        if not train:
            raise DataProblem(
                f"data set {self.name}: expected a split named train, found "
                f"{', '.join(splits) or 'none'}; save it with such a split"
            )
        return train, next((name for name in TEST if name in splits and name != train), "")

    def _columns(self, features: Mapping[str, Any]) -> Columns:
        """Return the columns that hold images and labels, by their types and then their names."""
        package = _datasets()
        images = [name for name, kind in features.items() if isinstance(kind, package.Image)]
        if not images:
            found = ", ".join(f"{name} ({type(kind).__name__})" for name, kind in features.items())
            raise DataProblem(
                f"data set {self.name}: expected a column of type datasets.Image, found {found}; "
                "cast the column of images to that type"
            )
        typed = [name for name, kind in features.items() if isinstance(kind, package.ClassLabel)]
        plain = [n for n, kind in features.items() if n in LABEL_NAMES and _is_label(kind)]
        image, label = _preferred(images, IMAGE_NAMES), _preferred(typed or plain, LABEL_NAMES)
        classes = tuple(features[label].names) if label in typed else ()
        others = [name for name in (*images, *typed, *plain) if name not in (image, label)]
        return Columns(image, label, classes, tuple(dict.fromkeys(others)))

    def _decoded(
        self,
        contents: Sequence[bytes | None],
        seen: Sequence[Seen],
        side: int,
        levels: Mapping[str, tuple[float, float]],
        split: str,
    ) -> NDArray[np.uint8]:
        """Return (n, side, side, 3) pixels."""
        images = np.empty((len(contents), side, side, 3), np.uint8)

        def fill(row: int) -> str | None:
            content = contents[row]
            if content is None or seen[row].flaw:
                return seen[row].flaw
            return decode(content, images[row], levels, centre_square)

        flaws = [(row, flaw) for row, flaw in enumerate(_each(fill, range(len(images)))) if flaw]
        if flaws:
            row, flaw = flaws[0]
            raise DataProblem(
                f"data set {self.name}: expected images that can be decoded, found {len(flaws)} "
                f"others in split {split}, the first at row {row} ({flaw}); remove them from the "
                "data set"
            )
        return images

    def _labels(
        self, splits: Mapping[str, Any], columns: Columns, names: Sequence[str]
    ) -> tuple[dict[str, NDArray[np.int64] | None], tuple[str, ...], list[str]]:
        """Return each split's labels (None where one is missing), the classes, and notes."""
        none: dict[str, NDArray[np.int64] | None] = dict.fromkeys(names)
        if not columns.label:
            return none, (), ["no column of labels was found: nothing is evaluated"]
        values: dict[str, list[Any]] = {
            name: list(splits[name][columns.label])
            if columns.label in splits[name].features
            else [None] * len(splits[name])
            for name in names
        }
        missing = (None, HIDDEN) if columns.classes else (None,)
        whole = {name: v for name, v in values.items() if not any(x in missing for x in v)}
        notes = [f"split {n}: labels are missing" for n in names if n not in whole]
        if columns.classes:
            return (
                none | {name: np.array(v, np.int64) for name, v in whole.items()},
                columns.classes,
                notes,
            )
        known = sorted({value for some in whole.values() for value in some})
        position = {value: number for number, value in enumerate(known)}
        numbered = {n: np.array([position[x] for x in v], np.int64) for n, v in whole.items()}
        return none | numbered, tuple(map(str, known)), notes

    def _understood(self, columns: Columns, train: str, test: str, classes: Sequence[str]) -> str:
        label = (
            f"labels from {columns.label!r} ({len(classes)} classes)" if classes else "no labels"
        )
        tested = f"tested on {test!r}" if test else "no labelled test split"
        unused = f"; columns not used: {', '.join(columns.others)}" if columns.others else ""
        return (
            f"{self.name}: images from column {columns.image!r}, {label}; trained on split "
            f"{train!r}, {tested}{unused}"
        )


def _datasets() -> Any:
    try:
        return import_module("datasets")
    except ImportError as error:
        raise UsageProblem(
            f"data sets hf:NAME need the package datasets ({in_one_line(error)}); "
            "pip install 'instbench[datasets]'"
        ) from error


def _saved(folder: Path) -> bool:
    """Return whether save_to_disk wrote a folder."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def _cached(cache: str | None) -> Iterable[str]:
    """Yield the names of the data sets that are in Hugging Face's caches."""
    places = [cache or str(_datasets().config.HF_DATASETS_CACHE)]
    with suppress(ImportError, AttributeError):
        places.append(str(import_module("huggingface_hub").constants.HF_HUB_CACHE))
    for place in map(Path, places):
        for folder in place.glob("*") if place.is_dir() else ():
            kind, _, rest = folder.name.partition("--")
            if kind == "datasets" and rest:
                yield rest.replace("--", "/")
            elif "___" in folder.name:
                yield folder.name.replace("___", "/")


def _is_label(kind: Any) -> bool:
    """Return whether a column's type can hold labels: whole numbers or text."""
    dtype = str(getattr(kind, "dtype", ""))
    return dtype.startswith(("int", "uint", "string", "large_string", "bool"))


def _preferred(found: Sequence[str], names: Sequence[str]) -> str:
    """Return the first of `names` that was found, else the first found; "" for none."""
    return next((name for name in names if name in found), found[0] if found else "")


def _contents(split: Any, column: str) -> list[bytes | None]:
    """Return the bytes of a split's image files; None where there is no image."""
    files = split.cast_column(column, _datasets().Image(decode=False))[column]
    return [None if file is None else _bytes(file) for file in files]


def _bytes(file: Mapping[str, Any]) -> bytes | None:
    if file.get("bytes"):
        return bytes(file["bytes"])
    return Path(file["path"]).read_bytes() if file.get("path") else None


def _look(content: bytes | None) -> Seen:
    return Seen("", flaw="missing") if content is None else inspect(content)


def _each(function: Callable[[Any], Any], rows: Sequence[Any]) -> list[Any]:
    """Apply a function to rows in threads: decoding leaves Python alone."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(function, rows))


def _side(sides: Sequence[int]) -> int:
    middle = median(sides)
    return next((side for largest, side in SIDES if middle <= largest), LARGEST_SIDE)


def _digest(side: int, classes: Sequence[str], parts: Iterable[Split | None]) -> str:
    """Return the SHA-256 over pixels, labels and class names."""
    content = hashlib.sha256(repr((side, list(classes))).encode())
    for part in parts:
        content.update(b"none" if part is None else repr(part.images.shape).encode())
        if part is not None:
            content.update(part.images.tobytes())
            content.update(b"none" if part.labels is None else part.labels.tobytes())
    return content.hexdigest()
