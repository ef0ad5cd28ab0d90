"""What is below a folder, found without opening a file: images, and what is left out and why."""

import errno
import os
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.common.errors import DataProblem

SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
LABELS = "labels.csv"
"""The file that states labels, in any letter case; it belongs at the top of the folder."""

# Why something is left out: the kinds that are counted, in messages and in the record.
HIDDEN = "hidden"
SYSTEM = "file or folder of the operating system"
UNKNOWN_KIND = "unknown kind of file"
DANGLING = "link to nothing"
CIRCULAR = "link that leads back to itself"
READ_BEFORE = "link to a folder that is read already"
NO_PERMISSION = "no permission"
CANNOT_READ = "cannot be read"
EMPTY = "empty"
NOT_A_FILE = "neither file nor folder"
OWN_RESULTS = "results of this suite"
NO_IMAGE = "folder without an image"
LOWER_LABELS = f"{LABELS} below the top"

UNREADABLE = (NO_PERMISSION, CANNOT_READ)
_SYSTEM_NAMES = frozenset(
    (
        "$recycle.bin",
        "@eadir",
        "__macosx",
        "desktop.ini",
        "ehthumbs.db",
        "lost+found",
        "system volume information",
        "thumbs.db",
    )
)
_RUN_FILES = ("run.json", "failed.json", "checkpoint.pt", "epochs.parquet")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class ImageFile(NamedTuple):
    """An image: its name relative to the root, with "/" between folders, and its path."""

    name: str
    path: Path


class LeftOut(NamedTuple):
    """What is not used: its name relative to the root (a folder's ends with "/"), and its kind."""

    name: str
    reason: str


@dataclass(frozen=True)
class Tree:
    """What is below a folder.

    Attributes:
        images: files that are named as images, sorted by name.
        left_out: everything else, files and folders, sorted by name; what is below a folder that
            is left out as a whole is not listed. A folder without an image is listed beside the
            files in it.
        labels: the files named `LABELS` at the top.
        flaws: why some of the images cannot be used, as far as their size and rights tell.
    """

    images: tuple[ImageFile, ...]
    left_out: tuple[LeftOut, ...] = ()
    labels: tuple[ImageFile, ...] = ()
    flaws: Mapping[Path, str] = field(default_factory=dict)


class _Seen(NamedTuple):
    """A folder that is to be entered."""

    path: Path
    name: str
    """Relative to the root; "" for the root, else it ends with "/"."""


def walk(root: Path) -> Tree:
    """Return what is below `root`; links to files and folders are followed, no folder twice.

    Raises:
        DataProblem: `root` is not a folder or cannot be read.
    """
    walker = _Walker()
    walker.enter(_Seen(root, ""), required=True)
    while walker.waiting or walker.links:
        # Links come last, so that a folder is known by its own name where both are there.
        walker.enter((walker.waiting or walker.links).popleft())
    empty = _without_image(walker.entered, walker.images)
    lost = sorted(walker.left_out + [LeftOut(name, NO_IMAGE) for name in empty])
    images, labels = tuple(sorted(walker.images)), tuple(sorted(walker.labels))
    return Tree(images, tuple(lost), labels, walker.flaws)


class _Walker:
    """Collects what `walk` finds."""

    def __init__(self) -> None:
        self.images: list[ImageFile] = []
        self.left_out: list[LeftOut] = []
        self.labels: list[ImageFile] = []
        self.flaws: dict[Path, str] = {}
        self.entered: list[str] = []
        self.waiting: deque[_Seen] = deque()
        self.links: deque[_Seen] = deque()
        self._known: set[tuple[int, int]] = set()

    def enter(self, folder: _Seen, required: bool = False) -> None:
        """Look at what is in a folder, but not below; `required` makes failing an error."""
        try:
            status = folder.path.stat()
            with os.scandir(folder.path) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if required:
                raise _no_folder(folder.path, error) from error
            self.left_out.append(LeftOut(folder.name, _reason(error)))
            return
        identity = status.st_dev, status.st_ino
        if identity in self._known:
            self.left_out.append(LeftOut(folder.name, READ_BEFORE))
            return
        if folder.name and _is_results(folder.path):
            self.left_out.append(LeftOut(folder.name, OWN_RESULTS))
            return
        self._known.add(identity)
        self.entered.append(folder.name)
        for entry in entries:
            self._look_at(entry, folder.name + text(entry.name))

    def _look_at(self, entry: os.DirEntry[str], name: str) -> None:
        """Sort one entry of a folder by what it is."""
        try:
            is_folder = entry.is_dir()
            reason = _unwanted(entry, name) or (None if is_folder else _unusable(entry))
        except OSError as error:
            is_folder, reason = False, _reason(error)
        if reason == LABELS:
            self.labels.append(ImageFile(name, Path(entry.path)))
        elif reason:
            self.left_out.append(LeftOut(f"{name}/" if is_folder else name, reason))
        elif is_folder:
            queue = self.links if entry.is_symlink() else self.waiting
            queue.append(_Seen(Path(entry.path), f"{name}/"))
        else:
            path = Path(entry.path)
            self.images.append(ImageFile(name, path))
            if flaw := _flaw(path):
                self.flaws[path] = flaw


def _unwanted(entry: os.DirEntry[str], name: str) -> str | None:
    """Return why an entry is left out for its name, or LABELS for the file of labels."""
    if entry.name.startswith("."):
        return HIDDEN
    if entry.name.lower() in _SYSTEM_NAMES:
        return SYSTEM
    if entry.name.lower() == LABELS and entry.is_file():
        return LABELS if "/" not in name else LOWER_LABELS
    return None


def _unusable(entry: os.DirEntry[str]) -> str | None:
    """Return why a file cannot be an image, as far as can be said without opening it."""
    if entry.is_symlink() and not os.path.exists(entry.path):
        entry.stat()  # raises what is wrong with the link
    if not entry.is_file():
        return NOT_A_FILE
    if Path(entry.name).suffix.lower() not in SUFFIXES:
        return UNKNOWN_KIND
    return None


def _flaw(image: Path) -> str | None:
    """Return what is wrong with an image file as its size and rights tell."""
    try:
        if not image.stat().st_size:
            return EMPTY
    except OSError as error:
        return _reason(error)
    return None if os.access(image, os.R_OK) else NO_PERMISSION


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return DANGLING
    if error.errno == errno.ELOOP:
        return CIRCULAR
    return NO_PERMISSION if isinstance(error, PermissionError) else CANNOT_READ


def _no_folder(root: Path, error: OSError) -> DataProblem:
    """Return the problem of a root that cannot be entered."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        found = "nothing" if isinstance(error, FileNotFoundError) else "a file"
        return DataProblem(
            f"{place(root)}: expected a folder of images, found {found}. Give it with --data DIR."
        )
    return DataProblem(
        f"{place(root)} cannot be read: {error.strerror}. Give the folder of your images with "
        "--data DIR, and yourself the right to read it."
    )


def _is_results(folder: Path) -> bool:
    """Return whether a folder is what `bench run --results` writes, or its folder of runs."""
    runs = folder if folder.name == "runs" else folder / "runs"
    try:
        with os.scandir(runs) as found:
            names = [entry.name for entry in found if entry.is_dir()]
        return any(os.path.lexists(runs / name / file) for name in names for file in _RUN_FILES)
    except OSError:  # no folder of runs
        return False


def _without_image(folders: Iterable[str], images: Iterable[ImageFile]) -> Iterator[str]:
    """Yield the uppermost folders that have no image anywhere below, but not the root."""
    used = {""}
    for name, _ in images:
        place = name.rpartition("/")[0]
        while place and f"{place}/" not in used:
            used.add(f"{place}/")
            place = place.rpartition("/")[0]
    for name in folders:
        above = name[:-1].rpartition("/")[0]
        if name not in used and (f"{above}/" if above else "") in used:
            yield name


def text(path: Path | str) -> str:
    """Return a path as one line of valid Unicode, which a name need not be but a record has to."""
    plain = path if isinstance(path, str) else path.as_posix()
    decoded = os.fsencode(plain).decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), decoded)


def place(root: Path) -> str:
    """Return a folder's name as messages show it: as it was given, but never a mere "."."""
    return text(root if root.name else root.absolute())


def counted(left_out: Iterable[LeftOut]) -> dict[str, int]:
    """Return how many are left out for each reason, the most frequent first."""
    return dict(Counter(reason for _, reason in left_out).most_common())


def summary(left_out: Sequence[LeftOut]) -> str:
    """Say in a few words what is left out: number, reason and an example of each kind."""
    example: dict[str, str] = {}
    for name, reason in left_out:
        example.setdefault(reason, name)
    return ", ".join(
        f"{count:,} ({reason}{': ' if count == 1 else ', such as '}{example[reason]})"
        for reason, count in counted(left_out).items()
    )
