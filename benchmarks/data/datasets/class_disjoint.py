"""What data sets share whose test classes are not among the training classes.

Their lists name the images and the classes, which are numbered from 1: the first are for training,
the others for testing. Large photographs are resized once, into a memory-mapped cache.
"""

import hashlib
import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.errors import DataProblem, few
from benchmarks.common.memory import fits_in_memory
from benchmarks.common.progress_bar import progress_bar
from benchmarks.data.basics import SMALLEST_SIDE, Report, silent
from benchmarks.data.datasets.archive import ArchiveDataset, ArchiveFacts
from benchmarks.data.datasets.base import RECALLS, ImageData, LoadOptions, Split
from benchmarks.data.sources.decode import Levels, Seen, levels_of
from benchmarks.data.sources.decode_blocks import RESIZE, damaged_images, decoder
from benchmarks.data.sources.download import md5_of
from benchmarks.data.sources.image_files import content_notes, open_or_decode, source_of
from benchmarks.data.sources.survey import SourceFile, survey

FEWEST_CLASSES = 2
"""Of either part: in one class there is nothing to tell apart."""
# Of ImageNet, for the networks that these data sets are usually begun with.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class Photo(NamedTuple):
    """A listed image: its path below the folder of images, and its class, counted from 1."""

    path: str
    class_id: int


class Extent(NamedTuple):
    """How large a part of a data set is."""

    classes: int
    images: int


class Parts(NamedTuple):
    """How much there is to train on and to test on."""

    train: Extent
    test: Extent

    def __str__(self) -> str:
        train, test = (f"{part.images:,} images of {part.classes:,} classes" for part in self)
        return f"{train} to train on and {test} to test on"


@dataclass(frozen=True)
class Lists:
    """What the lists of a copy say: its images in their order, and a name for each class."""

    photos: Sequence[Photo]
    names: Mapping[int, str]


@dataclass(frozen=True, kw_only=True)
class UnseenFacts(ArchiveFacts):
    """What identifies an official data set and says how to get and read it.

    Attributes:
        lists: MD5 by file name, relative to `folder`; None where the official one is not known.
        images: the folder that listed paths start from, relative to `folder`.
        train: classes and images for training; classes are numbered from 1.
        test: likewise for testing; their numbers go on behind those for training.
    """

    lists: Mapping[str, str | None]
    images: str
    train: Extent
    test: Extent


class UnseenClasses(ArchiveDataset):
    """A reader of photographs whose test classes are new; a subclass states facts and lists.

    Images become RGB and are resized to a square, whatever their aspect ratio, into
    `<name>-<size>.npy` beside the lists. That file is mapped, or read into memory if it takes at
    most half of what is free (`memory.fits_in_memory`).
    """

    unseen_classes = True
    image_size = 256
    resized = True
    default_recipe = "unseen"
    recalls: ClassVar[tuple[int, ...]] = RECALLS
    """How many neighbours count for recall in the published tables."""
    facts: ClassVar[UnseenFacts]

    @property
    def marker_files(self) -> Collection[str]:
        """The lists."""
        return self.facts.lists

    @abstractmethod
    def read_lists(self, folder: Path) -> Lists:
        """Read the official lists in `folder`.

        Raises:
            DataProblem: one is missing or not in the official format.
        """

    def read(self, root: Path, options: LoadOptions) -> ImageData:
        """Read the images that the lists name, resized once to 256 x 256 or as wanted.

        `root` holds the official folder or archive, or is the official folder. An archive without
        its folder is unpacked once. Labels count the classes that are present, those for training
        first.
        """
        folder = self.unpack(root)
        lists, note = self._listed(folder, root, options.partial)
        digest = self._digest(folder, lists.photos)
        seen = self._survey(folder, lists.photos)
        levels = levels_of(seen)
        images = self._images(folder, lists.photos, options.image_size, digest, seen, levels)
        ids = np.array([photo.class_id for photo in lists.photos])
        present, labels = np.unique(ids, return_inverse=True)
        train = int((ids <= self.facts.train.classes).sum())
        files = self._files(folder, lists.photos)
        return ImageData(
            self.name,
            Split(images[:train], labels[:train].astype(np.int64)),
            Split(images[train:], labels[train:].astype(np.int64)),
            tuple(lists.names[class_id] for class_id in present.tolist()),
            MEAN,
            STD,
            digest,
            ((note,) if note else ()) + content_notes(files, seen, levels),
            unseen=True,
            partial=note is not None,
            recalls=self.recalls,
        )

    def fetch(self, root: Path, report: Report = silent) -> None:
        """Download and unpack the official archive unless it is here, and decode every image."""
        folder = self.bring(root, report)
        lists, _ = self._listed(folder, root, partial=False)
        self._digest(folder, lists.photos)
        total = len(lists.photos)
        with progress_bar(f"{self.name}: images verified") as (_, progress):
            scratch = np.empty((total, SMALLEST_SIDE, SMALLEST_SIDE, 3), np.uint8)
            decoder(self._paths(folder, lists.photos), progress)(scratch, 0)
        report(f"{self.name}: all {total:,} images are whole in {folder}")

    def _paths(self, folder: Path, photos: Sequence[Photo]) -> list[Path]:
        return [folder / self.facts.images / photo.path for photo in photos]

    def _files(self, folder: Path, photos: Sequence[Photo]) -> list[SourceFile]:
        paths = self._paths(folder, photos)
        return [SourceFile(photo.path, path) for photo, path in zip(photos, paths, strict=True)]

    def _survey(self, folder: Path, photos: Sequence[Photo]) -> list[Seen]:
        """Return what each image file holds; only new and changed ones are read.

        Raises:
            DataProblem: some are damaged as far as can be told from their headers.
        """
        files = self._files(folder, photos)
        with progress_bar(f"{self.name}: images looked through", after=1) as (_, progress):
            seen = survey(files, folder / f".{self.name}.files.json", progress)
        flawed = zip(files, seen, strict=True)
        damaged = [f"{file.path} ({facts.flaw})" for file, facts in flawed if facts.flaw]
        if damaged:
            raise damaged_images(damaged, 0, len(files))
        return seen

    def _repair(self, root: Path) -> str:
        away = f"move {self.target(root)} away and " if self.facts.mirrors else ""
        return f"{away}{self.remedy(root)}. {self.facts.source}"

    def _listed(self, folder: Path, root: Path, partial: bool) -> tuple[Lists, str | None]:
        """Return the lists, photos for training first, and a note if they are not all."""
        facts, remedy = self.facts, self._repair(root)
        for name in facts.lists:
            if not (folder / name).is_file():
                raise DataProblem(f"{folder / name} is missing. To repair, {remedy}")
        lists = self.read_lists(folder)
        whole = Parts(facts.train, facts.test)
        if flaw := _flaw(lists, whole):
            raise DataProblem(f"The lists in {folder} are broken: {flaw}. To repair, {remedy}")
        border = facts.train.classes
        photos = sorted(lists.photos, key=lambda photo: photo.class_id > border)
        lists, found = Lists(photos, lists.names), parts_of(photos, border)
        altered = {
            name for name, md5 in facts.lists.items() if md5 not in (None, md5_of(folder / name))
        }
        if found == whole and not altered:
            return lists, None
        lacks = f"expected {whole}, found {found}"
        if found == whole:
            lacks = f"its numbers are right, but not the MD5 of {few(sorted(altered))}"
        if not partial:
            raise DataProblem(
                f"{folder} is not the whole of {self.name}: {lacks}. To use it as it is, give "
                f"--partial, which every record will say; for all of it, {remedy}"
            )
        return lists, f"{self.name} is a partial copy, not for figures to publish: {lacks}"

    def _digest(self, folder: Path, photos: Sequence[Photo]) -> str:
        """Return the SHA-256 over classes, paths and file sizes.

        Raises:
            DataProblem: listed images are absent.
        """
        sizes, absent = [], []
        for photo, path in zip(photos, self._paths(folder, photos), strict=True):
            try:
                sizes.append(path.stat().st_size)
            except OSError:
                absent.append(photo.path)
        if absent:
            raise DataProblem(
                f"{folder / self.facts.images}: {len(absent):,} of {len(photos):,} listed images "
                f"are absent: {few(absent)}. Bring them; or, for a partial copy, take them out "
                f"of {', '.join(self.facts.lists)}."
            )
        content = json.dumps([self.name, photos, sizes])
        return hashlib.sha256(content.encode()).hexdigest()

    def _images(
        self,
        folder: Path,
        photos: Sequence[Photo],
        side: int,
        digest: str,
        seen: Sequence[Seen],
        levels: Levels,
    ) -> NDArray[np.uint8]:
        """Return the (n, side, side, 3) images from the cache, which is built if need be."""
        path = folder / f"{self.name}-{side}.npy"
        source = {"digest": digest, "image_size": side, **source_of(seen, levels, RESIZE)}
        digests = [facts.digest for facts in seen]
        with progress_bar(f"{self.name}: images resized into {path}") as (report, progress):

            def fill(block: NDArray[np.uint8], start: int) -> None:
                decoder(self._paths(folder, photos), progress, levels, digests)(block, start)

            shape = len(photos), side, side, 3
            remedy = f"Make room in {folder}, or move it to where you can write"
            images = open_or_decode(path, shape, source, fill, report, progress, remedy).images
        mapped = isinstance(images, np.memmap)
        return np.array(images) if mapped and fits_in_memory(images.nbytes) else images


def read_table(path: Path, *kinds: type[int] | type[str], header: str = "") -> list[Any]:
    """Return the rows of a list as tuples; the last word of a line may contain spaces.

    Args:
        path: a text file with a row a line.
        kinds: what each word of a row is.
        header: the first line, if it holds no row.

    Raises:
        DataProblem: the file cannot be read, or a line is not as said above.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataProblem(f"{path} cannot be read: {error}.") from error
    if header and (not lines or lines[0].split() != header.split()):
        found = repr(lines[0][:80]) if lines else "nothing"
        raise DataProblem(f"{path}, line 1: expected {header!r}, found {found}.")
    rows = []
    for number, line in enumerate(lines, 1):
        words = line.strip().split(maxsplit=len(kinds) - 1)
        if not words or (header and number == 1):
            continue
        try:
            rows.append(tuple(kind(word) for kind, word in zip(kinds, words, strict=True)))
        except ValueError:
            wanted = " and ".join("a number" if kind is int else "a name" for kind in kinds)
            raise DataProblem(
                f"{path}, line {number}: expected {wanted}, found {line[:80]!r}."
            ) from None
    return rows


def _flaw(lists: Lists, whole: Parts) -> str | None:
    """Return why lists cannot be used, whole or in part, or None if they can."""
    ids = {photo.class_id for photo in lists.photos}
    classes = whole.train.classes + whole.test.classes
    if strange := sorted(ids - set(range(1, classes + 1))):
        return f"expected classes 1..{classes:,}, found {few(map(str, strange))}"
    if unnamed := sorted(ids - set(lists.names)):
        return f"expected a name for each class, found none for {few(map(str, unnamed))}"
    times = Counter(photo.path for photo in lists.photos)
    if repeated := [path for path, count in times.items() if count > 1]:
        return f"expected each image once, found repeated {few(repeated)}"
    found = parts_of(lists.photos, whole.train.classes)
    if min(found.train.classes, found.test.classes) < FEWEST_CLASSES:
        return f"expected {FEWEST_CLASSES} or more classes in either part, found {found}"
    if any(part.images > most.images for part, most in zip(found, whole, strict=True)):
        return f"expected at most {whole}, found {found}"
    return None


def parts_of(photos: Iterable[Photo], border: int) -> Parts:
    """Count what there is up to class `border`, and behind it."""
    images = Counter(photo.class_id for photo in photos)
    train = [count for class_id, count in images.items() if class_id <= border]
    test = [count for class_id, count in images.items() if class_id > border]
    return Parts(Extent(len(train), sum(train)), Extent(len(test), sum(test)))
