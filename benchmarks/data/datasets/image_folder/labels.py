"""Labels of a folder's images from its file labels.csv: which image is of which class and part."""

import csv
import io
import posixpath
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.common.errors import DataProblem, few
from benchmarks.data.datasets.image_folder.layout import (
    NOT_SCORED,
    OTHER_PART,
    Entry,
    Layout,
    every_fifth,
    one_in,
)
from benchmarks.data.datasets.image_folder.names import role
from benchmarks.data.datasets.image_folder.tree import LABELS, ImageFile, LeftOut, Tree, text

FILE, LABEL, SPLIT = COLUMNS = ("file", "label", "split")
NOT_LISTED = f"image not listed in {LABELS}"
EXAMPLE = "Expected a first line file,label or file,label,split and a line for each image."
LARGEST = 1 << 30
"""Bytes of a file of labels: a larger one is none."""


class Row(NamedTuple):
    """A line of the file: an image's name below the folder, its class if any, and its part."""

    line: int
    file: str
    label: str | None
    split: str | None
    """"train", "test" or "val"; None where the file has no such column."""


def read_rows(path: Path) -> list[Row]:
    """Read a file of labels: comma, semicolon or tab, UTF-8, a header in any letter case.

    Raises:
        DataProblem: it cannot be read, is not UTF-8 or not a table, lacks a column, or a line has
            no file or an unknown part.
    """
    content = _content(path)
    header = content.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    try:
        lines = [(reader.line_num, line) for line in reader if any(map(str.strip, line))]
    except csv.Error as error:
        raise DataProblem(f"{text(path)}, line {reader.line_num}: {error}. {EXAMPLE}") from error
    if not lines:
        raise DataProblem(f"{text(path)} is empty. {EXAMPLE}")
    names = [name.strip().lower() for name in lines[0][1]]
    for name in (FILE, LABEL):
        if name not in names:
            found = few(text(name) or "''" for name in lines[0][1])
            raise DataProblem(f"{text(path)} has no column {name!r}: found {found}. {EXAMPLE}")
    repeated = [name for name in COLUMNS if names.count(name) > 1]
    if repeated:
        raise DataProblem(f"{text(path)}: column {repeated[0]!r} is there twice. {EXAMPLE}")
    return [_row(path, number, names, line) for number, line in lines[1:]]


def _content(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise DataProblem(f"{text(path)} is larger than 1 GiB: not a file of labels. {EXAMPLE}")
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataProblem(
            f"{text(path)}: expected the encoding UTF-8, found another (byte {error.start}). Save "
            'it as UTF-8; spreadsheets call it "CSV UTF-8".'
        ) from error
    except OSError as error:
        raise DataProblem(
            f"{text(path)} cannot be read: {error.strerror}. Give yourself the right to read it, "
            "or move it away."
        ) from error
    return content


def _row(path: Path, number: int, names: Sequence[str], line: Sequence[str]) -> Row:
    where = f"{text(path)}, line {number}"
    if len(line) != len(names):
        raise DataProblem(
            f"{where}: expected {len(names)} columns, found {len(line)}. Put names that contain "
            "the separator between quotation marks."
        )
    cells = dict(zip(names, (cell.strip() for cell in line), strict=True))
    if not cells[FILE]:
        raise DataProblem(f"{where}: expected the name of a file, found none.")
    split = cells.get(SPLIT)
    part = None
    if split is not None:
        part = role(split)
        if part is None:
            found = text(split)
            raise DataProblem(f"{where}: split: expected train, test or val, found {found!r}.")
    return Row(number, cells[FILE], text(cells[LABEL]) or None, part)


def listed(tree: Tree, rows: Sequence[Row], path: Path) -> Layout:
    """Return the layout that the rows state; images that no row names are left out.

    Without a column `split`, every fifth image of a class is for testing. Images without a label
    are trained on, but never scored. Where "test" is stated, images of "val" are left out, else
    they are the test set.

    Raises:
        DataProblem: a row names no image, or an image is named twice.
    """
    named, unusable = _matched(tree, rows, path)
    left_out = [LeftOut(i.name, NOT_LISTED) for i in tree.images if i not in named]
    parts: dict[str | None, list[Entry]] = {}
    for image, row in named.items():
        parts.setdefault(row.split, []).append(Entry(*image, row.label))
    train = sorted(parts.get("train", []) + parts.get(None, []))
    scored = "test" if "test" in parts else "val"
    held_out = sorted(parts.get(scored, []))
    if scored == "test":
        left_out += [LeftOut(entry.name, OTHER_PART) for entry in parts.get("val", [])]
    if not train:
        raise DataProblem(
            f"{text(path)}: expected images to train on, found none"
            + (f" ({unusable:,} that are listed cannot be used)." if unusable else ".")
            + " Write train into the column split."
        )
    return _scored(train, held_out, scored if held_out else None, left_out)


def _scored(
    train: list[Entry], held_out: list[Entry], split: str | None, left_out: list[LeftOut]
) -> Layout:
    """Return the layout of listed images, by which of them have labels."""
    labelled = [entry for entry in train if entry.label is not None]
    test = [entry for entry in held_out if entry.label is not None]
    left_out = left_out + [LeftOut(e.name, NOT_SCORED) for e in held_out if e.label is None]
    classes = {entry.label for entry in labelled}
    how = f"labels from {LABELS}"
    notes: tuple[str, ...] = ()
    if not classes and len({entry.label for entry in test}) > 1:
        bank, test = one_in(2, test)
        how += ", none for training; every second test image of a class is tested, the others vote"
        return Layout(train, test, bank, how, left_out)
    if len(classes) < 2:
        left_out += [LeftOut(entry.name, NOT_SCORED) for entry in test]
        if classes:
            notes = (f"one class only ({labelled[0].label}), so treated as unlabelled",)
        how += ", but fewer than two classes to train on, so nothing is scored"
        return Layout([e._replace(label=None) for e in train], (), (), how, left_out, notes)
    bank = labelled
    if split is None:
        bank, test = every_fifth(labelled)
        how += ", no column split, so every fifth image of a class, by name, is for testing"
    elif split != "test":
        how += f", {split} is the test set"
    if split and not test:
        how += ", none of the test images has one, so nothing is scored"
    tested = set(test)
    train = [entry for entry in train if entry not in tested]
    if len(bank) == len(train):
        return Layout(train, test, (), how, left_out)
    how += f"; {len(train) - len(bank):,} training images have none and do not vote"
    return Layout(train, test, bank, how, left_out)


def _matched(tree: Tree, rows: Iterable[Row], path: Path) -> tuple[dict[ImageFile, Row], int]:
    """Return the row of each named image, and how many rows name a file that is left out."""
    images = {_key(image.name): image for image in tree.images}
    lost = {_key(name) for name, _ in tree.left_out}
    named: dict[ImageFile, Row] = {}
    unknown, twice, unusable = [], [], 0
    for row in rows:
        key = _key(row.file)
        image = images.get(key) or images.get(_key(row.file.replace("\\", "/")))
        if image is None:
            below_lost = any(key.startswith(name) for name in lost if name.endswith("/"))
            unusable += key in lost or below_lost
            unknown += [] if key in lost or below_lost else [f"{text(row.file)} (line {row.line})"]
        elif image in named:
            twice.append(f"{image.name} (lines {named[image].line} and {row.line})")
        else:
            named[image] = row
    if unknown:
        raise DataProblem(
            f"{text(path)}: {len(unknown):,} files are not there: {few(unknown)}. Expected "
            f"names relative to {text(path.parent)}, such as "
            f"{tree.images[0].name if tree.images else 'images/1.png'}."
        )
    if twice:
        raise DataProblem(
            f"{text(path)}: {len(twice):,} images are listed twice: {few(twice)}. Keep one line "
            "of each."
        )
    return named, unusable


def _key(name: str) -> str:
    """Return a name as it is compared: without "./", and accents written in one way."""
    folder = "/" if name.endswith("/") else ""
    return unicodedata.normalize("NFC", posixpath.normpath(text(name)) + folder)
