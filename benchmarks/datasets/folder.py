"""Any folder of images, labelled by its sub-folders or not at all."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.base import (
    Dataset,
    ImageData,
    Report,
    Split,
    Wanted,
    silent,
)
from benchmarks.datasets.decoded import (
    content_digest,
    content_notes,
    decode_files,
    training_statistics,
)
from benchmarks.datasets.photos import some
from benchmarks.datasets.survey import SourceFile
from benchmarks.errors import DataProblem

TEST_FOLDERS = ("test", "val")
TEST_EVERY = 5
SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)


class _Entry(NamedTuple):
    """An image file: its name relative to the root, its path, and its class or None."""

    name: str
    path: Path
    label: str | None


@dataclass(frozen=True)
class _Layout:
    """Which files are for training and which for testing, before any is opened."""

    train: list[_Entry]
    test: list[_Entry]
    notes: tuple[str, ...]


class Folder(Dataset):
    """A folder of the user's own images.

    Three layouts: DIR/train and DIR/test (or DIR/val), each with a sub-folder per class;
    DIR/CLASS/..., of which every fifth file of a class, by name, is for testing; and images
    without class folders, which are trained on but not evaluated.
    """

    name = "folder"
    image_size = 32
    resized = True
    description = "your own images: --data DIR with DIR/train and DIR/test, DIR/CLASS/*, or DIR/*"

    def read(self, root: Path, wanted: Wanted) -> ImageData:
        """Decode every image below `root`, which is the folder itself, once into a cache.

        Images become RGB (see `decode`), their short side is resized to `image_size` (32 unless
        given), and the central square is kept. Files that cannot be used are left out and listed
        in `notes`.
        """
        layout = _layout(root)
        files = layout.train + layout.test
        sources = [SourceFile(entry.name, entry.path) for entry in files]
        decoded = decode_files(root, sources, wanted.image_size)
        pixels, reasons = decoded.images, decoded.flaws
        usable = [entry for entry, reason in zip(files, reasons, strict=True) if not reason]
        left_out = [
            (entry.name, reason) for entry, reason in zip(files, reasons, strict=True) if reason
        ]
        train_count = sum(not reason for reason in reasons[: len(layout.train)])
        if not train_count:
            raise DataProblem(
                f"No usable training image in {root}: {_listing(left_out, len(files))}"
                if left_out
                else f"No image in {root}. Expected files ending in {', '.join(sorted(SUFFIXES))}; "
                "give the folder of your images with --data DIR."
            )
        train, test = usable[:train_count], usable[train_count:]
        classes = tuple(sorted({entry.label for entry in usable if entry.label is not None}))
        mean, std = training_statistics(root, decoded, range(train_count), pixels[:train_count])
        listed = [[(entry.name, entry.label) for entry in part] for part in (train, test)]
        kept = [SourceFile(entry.name, entry.path) for entry in usable]
        lost = (_listing(left_out, len(files)),) if left_out else ()
        return ImageData(
            self.name,
            Split(pixels[:train_count], _labels(train, classes)),
            Split(pixels[train_count:], _labels(test, classes)) if test else None,
            classes,
            mean,
            std,
            content_digest(wanted.image_size, [list(classes), *listed], decoded),
            lost
            + layout.notes
            + _unseen(train, test)
            + content_notes(kept, decoded.usable, decoded.levels),
        )

    def fetch(self, root: Path, report: Report = silent) -> None:
        """Verify that the folder can be read: there is nothing to download."""
        data = self.load(root)
        for note in data.notes:
            report(note)
        facts = data.facts()
        report(
            f"{root}: {facts['train_images']:,} training and {facts['test_images']:,} test images, "
            f"{facts['classes']} classes"
        )


def _layout(root: Path) -> _Layout:
    """Recognise the layout of `root`."""
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise DataProblem(
            f"{root}: expected a folder of images, found {found}. Give it with --data DIR."
        )
    folders = _subfolders(root)
    train = root / "train"
    others = folders - {"train", *TEST_FOLDERS}
    # A class may be called "train" too: then it holds no folders and has other classes beside it.
    has_train = "train" in folders and bool(not others or _subfolders(train))
    labelled, loose = _scan(train if has_train else root, root)
    notes = _loose_note(labelled, loose)
    if len({entry.label for entry in labelled}) < 2:
        if labelled:
            notes = (f"one class only ({labelled[0].label}), so treated as unlabelled",)
        unlabelled = sorted(entry._replace(label=None) for entry in labelled + loose)
        return _Layout(unlabelled, [], notes)
    for name in TEST_FOLDERS if has_train else ():
        test, loose = _scan(root / name, root) if name in folders else ([], [])
        if test:
            return _Layout(labelled, test, notes + _loose_note(test, loose))
    place: Counter[str | None] = Counter()
    parts: tuple[list[_Entry], list[_Entry]] = [], []
    for entry in labelled:
        # The second of every five, so that a class of two images has one to test.
        parts[place[entry.label] % TEST_EVERY == 1].append(entry)
        place[entry.label] += 1
    return _Layout(*parts, notes)


def _scan(folder: Path, root: Path) -> tuple[list[_Entry], list[_Entry]]:
    """Return the images in class folders of `folder`, and those outside, both sorted by name."""
    labelled: list[_Entry] = []
    loose: list[_Entry] = []
    for path in _image_files(folder, set()):
        label, separator, _ = _text(path.relative_to(folder)).partition("/")
        entry = _Entry(_text(path.relative_to(root)), path, label if separator else None)
        (labelled if separator else loose).append(entry)
    return sorted(labelled), sorted(loose)


def _text(path: Path) -> str:
    """Return the path as valid Unicode, which a file name need not be but a record has to be."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _subfolders(folder: Path) -> set[str]:
    """Return the names of the visible folders in `folder`."""
    return {path.name for path in _visible(folder) if path.is_dir()}


def _visible(folder: Path) -> list[Path]:
    """Return what is not hidden in `folder`, sorted by name."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataProblem(f"{folder} cannot be read: {error.strerror}.") from error


def _image_files(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """Yield the visible image files below `folder`, entering no folder twice."""
    status = folder.stat()
    identity = status.st_dev, status.st_ino
    if identity in seen:  # a loop of links
        return
    seen.add(identity)
    for path in _visible(folder):
        if path.is_dir():
            yield from _image_files(path, seen)
        elif path.suffix.lower() in SUFFIXES and path.is_file():
            yield path


def _labels(entries: Sequence[_Entry], classes: Sequence[str]) -> NDArray[np.int64] | None:
    if not classes:
        return None
    number = {name: label for label, name in enumerate(classes)}
    return np.array([number[entry.label] for entry in entries if entry.label is not None], np.int64)


def _listing(left_out: Sequence[tuple[str, str]], total: int) -> str:
    """Say which files are left out and why, naming the first few."""
    named = [f"{name} ({reason})" for name, reason in left_out]
    return f"{len(left_out)} of {total} files left out: {some(named)}"


def _loose_note(labelled: Sequence[_Entry], loose: Sequence[_Entry]) -> tuple[str, ...]:
    if not (labelled and loose):
        return ()
    return (f"{len(loose)} images outside class folders left out, such as {loose[0].name}",)


def _unseen(train: Sequence[_Entry], test: Sequence[_Entry]) -> tuple[str, ...]:
    """Warn of test classes that no training image can vote for."""
    unseen = {str(entry.label) for entry in test} - {str(entry.label) for entry in train}
    return (f"test classes without a training image: {some(sorted(unseen))}",) if unseen else ()
