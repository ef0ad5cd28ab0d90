"""Any folder of images, labelled by its sub-folders, by a file of labels, or not at all."""

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.common.errors import DataProblem, few
from benchmarks.data.basics import Report, silent
from benchmarks.data.datasets.base import Dataset, ImageData, LoadOptions, Split, with_copies_noted
from benchmarks.data.datasets.image_folder.labels import listed, read_rows
from benchmarks.data.datasets.image_folder.layout import (
    NOT_SCORED,
    Entry,
    Layout,
    no_images,
    understand,
)
from benchmarks.data.datasets.image_folder.tree import (
    SUFFIXES,
    LeftOut,
    Tree,
    counted,
    place,
    summary,
    text,
    walk,
)
from benchmarks.data.datasets.image_folder.words import (
    all_labelled,
    all_unseen,
    images_line,
    size_line,
    small_folder,
    unseen_note,
    unusable_note,
)
from benchmarks.data.sources.image_files import (
    Decoded,
    content_digest,
    content_notes,
    decode_files,
    training_statistics,
)
from benchmarks.data.sources.survey import SourceFile

SIDES = ((48, 32), (96, 64))
"""(largest short side of an image, side that is chosen): by the median of the short sides."""
LARGEST_SIDE = 96
"""What is chosen for larger images."""
MEASURED = 200
"""Images whose headers are read to choose a size."""


class Folder(Dataset):
    """A folder of the user's own images.

    Layouts (in any letter case): DIR/train and DIR/test (or DIR/val), each with a sub-folder per
    class; DIR/CLASS/..., of which every fifth file of a class, by name, is for testing; images
    without class folders, which are trained on but not scored; DIR/labels.csv with the columns
    file, label and, if wanted, split. `folder_layout` tells them apart.
    """

    name = "folder"
    image_size = 32
    resized = True
    description = "your own images: --data DIR with train/ and test/, CLASS/*, labels.csv or a pool"

    def read(self, root: Path, options: LoadOptions) -> ImageData:
        """Decode every image below `root`, which is the folder itself, once into a cache.

        Images become RGB (see `decode`), their short side is resized to `image_size`, and the
        central square is kept. Without a wanted size it is 32 pixels if the median short side is
        at most 48, 64 if it is at most 96, else 96. What is not used is counted in `left_out`,
        and files that cannot be read are named in `notes`.
        """
        tree = walk(root)
        layout = layout_of(root, tree)
        files = list(dict.fromkeys([*layout.train, *layout.bank, *layout.test]))
        side, sizes = options.image_size, _short_sides([entry.path for entry in files])
        if not options.size_given and sizes:
            side = chosen_side(float(np.median(sizes)))
        decoded, usable, failed = _decode(root, files, side, tree.flaws)
        left_out = [*tree.left_out, *layout.left_out, *map(_by_kind, failed)]
        position = {entry: number for number, entry in enumerate(usable)}
        train, bank, test = (
            [entry for entry in part if entry in position]
            for part in (layout.train, layout.bank, layout.test)
        )
        lost = unusable_note(failed, len(usable))
        if not train:
            raise DataProblem(f"No usable training image in {place(root)}: {'; '.join(lost)}")
        if not (bank or all_labelled(train)):  # nothing votes for the test images
            left_out += [LeftOut(entry.name, NOT_SCORED) for entry in test]
            test = []
        classes = tuple(sorted({entry.label for entry in usable if entry.label is not None}))

        def split(part: Sequence[Entry]) -> Split:
            index = [position[entry] for entry in part]
            return Split(_taken(decoded.images, index), _labels(part, classes))

        data = split(train)
        rows = [position[entry] for entry in train]
        parts = [[(f.name, f.label) for f in part] for part in (train, test, bank) if part]
        sources = [SourceFile(entry.name, entry.path) for entry in usable]
        unseen = all_unseen(bank or train, test)
        return ImageData(
            self.name,
            data,
            split(test) if test else None,
            classes,
            *training_statistics(root, decoded, rows, data.images),
            content_digest(side, [classes, bool(test), bool(bank), *parts], decoded),
            (
                *lost,
                *layout.notes,
                *(() if unseen else unseen_note(bank or train, test)),
                *content_notes(sources, decoded.usable, decoded.levels),
            ),
            bank=split(bank) if bank else None,
            unseen=unseen,
            understood=(
                images_line(root, (train, bank, test), classes, layout.how),
                size_line(side, sizes, options.size_given, left_out),
                *small_folder(bank or train, test, unseen),
            ),
            left_out=counted(left_out),
            path=text(root.absolute()),
        )

    def fetch(self, root: Path, report: Report = silent) -> None:
        """Verify that the folder can be read: there is nothing to download."""
        for line in with_copies_noted(self.load(root)).told:
            report(line)


def layout_of(root: Path, tree: Tree) -> Layout:
    """Return how a folder is meant: as its file of labels states, else by its folders' names.

    Raises:
        DataProblem: it has no image, or can be meant in more than one way.
    """
    if not tree.images:
        raise no_images(place(root), tree, SUFFIXES)
    if len(tree.labels) > 1:
        names = few(file.name for file in tree.labels)
        raise DataProblem(f"{place(root)} has several files of labels: {names}. Keep one of them.")
    try:
        if tree.labels:
            path = tree.labels[0].path
            return listed(tree, read_rows(path), path)
        return understand(tree)
    except DataProblem as problem:
        lost = f" Left out so far: {summary(tree.left_out)}." if tree.left_out else ""
        where = "" if tree.labels else f"{place(root)}: "
        raise DataProblem(f"{where}{problem}{lost}") from None


def chosen_side(median: float) -> int:
    """Return the side, in pixels, that images are resized to, by their median short side."""
    return next((side for largest, side in SIDES if median <= largest), LARGEST_SIDE)


def _short_sides(paths: Sequence[Path]) -> list[int]:
    """Return the shorter of height and width, in pixels, of some of the images that have one."""
    sides = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decoding will warn
        for path in paths[:: -(-len(paths) // MEASURED) or 1]:
            try:
                with Image.open(path) as image:  # reads the header alone
                    sides.append(min(image.size))
            except Exception:  # decoders of damaged files raise almost any type
                continue
    return sides


def _decode(
    root: Path, files: Sequence[Entry], side: int, flaws: Mapping[Path, str]
) -> tuple[Decoded, list[Entry], list[LeftOut]]:
    """Return the decoded images, the files they are of, and the other files."""
    sound = [entry for entry in files if entry.path not in flaws]
    decoded = decode_files(root, [SourceFile(f.name, f.path) for f in sound], side)
    pairs = list(zip(sound, decoded.flaws, strict=True))
    failed = [LeftOut(entry.name, flaw) for entry, flaw in pairs if flaw]
    failed += [LeftOut(f.name, flaws[f.path]) for f in files if f.path in flaws]
    return decoded, [entry for entry, flaw in pairs if not flaw], failed


def _taken(pixels: NDArray[np.uint8], index: Sequence[int]) -> NDArray[np.uint8]:
    """Return the images at `index`, not copied if they lie side by side."""
    first, last = index[0], index[-1]
    if list(index) == list(range(first, last + 1)):
        return pixels[first : last + 1]
    return np.ascontiguousarray(pixels[list(index)])


def _labels(entries: Sequence[Entry], classes: Sequence[str]) -> NDArray[np.int64] | None:
    """Return the (n,) labels, or None unless every image has one."""
    number = {name: label for label, name in enumerate(classes)}
    known = [number[entry.label] for entry in entries if entry.label is not None]
    return np.array(known, np.int64) if len(known) == len(entries) else None


def _by_kind(failed: LeftOut) -> LeftOut:
    """Return a file that was not decoded with the kind of its reason: without its own size."""
    reason = re.sub(r"^\d+x\d+ is ", "", failed.reason)
    return failed._replace(reason="too large" if reason.startswith("too large:") else reason)
