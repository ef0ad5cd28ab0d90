"""Image files as arrays: looked through, decoded once into a cache, and known by their content."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.errors import DataProblem, DiskProblem, few
from benchmarks.common.files import write_whole
from benchmarks.common.memory import fits_in_memory
from benchmarks.common.progress_bar import Progress, progress_bar
from benchmarks.data.basics import SMALLEST_SIDE, Report, channel_statistics, default_root
from benchmarks.data.sources.decode import DECODER, Levels, Seen, centre_square, levels_of
from benchmarks.data.sources.decode_blocks import flaw_finder
from benchmarks.data.sources.decode_cache import (
    BLOCK_BYTES,
    CHECKED_ALWAYS,
    Fill,
    Usable,
    open_usable,
)
from benchmarks.data.sources.survey import SourceFile, survey

FIT = "short side bilinear with antialiasing, then the central square"
"""How images of any aspect ratio become squares here, for the record of a cache."""
VERSION = 1
"""Of how a file becomes pixels: part of the digest of a folder, and so of a run's key."""
Channels = tuple[float, float, float]
"""A value each of red, green and blue."""
QUIET_SECONDS = 1.0
"""Work that takes less shows no progress."""
HOME = "folder"
"""Where the caches of users' folders are, below the folder of all data sets."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """Image files as an array.

    Attributes:
        images: (k, side, side, 3) of the k usable files in their order; it may be a read-only
            memory map.
        flaws: for each file why it is left out, or None.
        seen: what each file holds.
        levels: what became black and white in images of more than 8 bits and floats.
    """

    images: NDArray[np.uint8]
    flaws: Sequence[str | None]
    seen: Sequence[Seen]
    levels: Levels

    @property
    def usable(self) -> list[Seen]:
        """What the usable files hold."""
        return [facts for facts, flaw in zip(self.seen, self.flaws, strict=True) if not flaw]


def decode_files(root: Path, files: Sequence[SourceFile], side: int) -> Decoded:
    """Return the images of a user's folder as squares, decoded once into a cache.

    The cache is in `cache_folder(root)`, never in the user's folder. Where it cannot be kept, the
    images are decoded into memory, and a line says so. Progress is shown on standard error.

    Args:
        root: the user's folder.
        files: the image files in the order of the array.
        side: height and width in pixels.

    Raises:
        DataProblem: the images are too many for the memory, and there is no disk for a cache.
    """
    place = cache_folder(root)
    with progress_bar(f"{root}: images looked through", QUIET_SECONDS) as (_, progress):
        seen = survey(files, place / "files.json" if place else None, progress)
    flaws = [facts.flaw or _too_small(facts) for facts in seen]
    rows = [row for row, flaw in enumerate(flaws) if not flaw]
    levels = levels_of([seen[row] for row in rows])
    images = np.empty((0, side, side, 3), np.uint8)
    if rows:
        usable = _open(place, [files[row] for row in rows], [seen[row] for row in rows], side)
        images = usable.images
        for row, flaw in usable.left_out.items():
            flaws[rows[row]] = flaw
    return Decoded(images, flaws, seen, levels)


def cache_folder(root: Path) -> Path | None:
    """Return where the cache of a user's folder belongs, or None where there is no such place.

    It is below $BENCH_DATA, else ~/.cache/instbench, unless that is in the user's folder itself.
    """
    try:
        home, inside = default_root().resolve(), root.resolve()
    except (RuntimeError, OSError):  # there is no home
        return None
    if home.is_relative_to(inside):
        return None
    name = hashlib.sha256(str(inside).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return home / HOME / name


def training_statistics(
    root: Path, decoded: Decoded, rows: Sequence[int], images: NDArray[np.uint8]
) -> tuple[Channels, Channels]:
    """Return mean and standard deviation of the training pixels, computed once for a large cache.

    Args:
        root: the user's folder.
        decoded: its files.
        rows: which of the usable images are for training.
        images: these, (n, side, side, 3).
    """
    place = cache_folder(root) if images.nbytes > CHECKED_ALWAYS else None
    if place is None:
        return channel_statistics(images)
    path = place / f"statistics-{images.shape[1]}.json"
    chosen = hashlib.sha256(json.dumps(list(rows)).encode()).hexdigest()
    known = source_of(decoded.usable, decoded.levels, FIT) | {"rows": chosen}
    with suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["source"] == known:
            (a, b, c), (d, e, f) = found["mean"], found["std"]
            return (float(a), float(b), float(c)), (float(d), float(e), float(f))
    mean, std = channel_statistics(images)
    with suppress(OSError):  # costs the time of the next call only
        write_whole(path, json.dumps({"source": known, "mean": mean, "std": std}).encode())
    return mean, std


def content_digest(side: int, listed: Any, decoded: Decoded) -> str:
    """Return the SHA-256 over names, labels, the usable files' contents and how they are read.

    Args:
        side: height and width in pixels.
        listed: names and labels of the usable files, ready for JSON.
        decoded: the files.
    """
    digests = [facts.digest for facts in decoded.usable]
    content = [VERSION, FIT, side, listed, digests, sorted(decoded.levels.items())]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def source_of(seen: Sequence[Seen], levels: Levels, resize: str) -> dict[str, Any]:
    """Return what identifies decoded images, for the record of a cache."""
    digests = hashlib.sha256("".join(facts.digest for facts in seen).encode()).hexdigest()
    ends = {kind: list(pair) for kind, pair in levels.items()}
    return {"resize": resize, "files": digests, "levels": ends, "decoder": DECODER}


def open_or_decode(
    path: Path | None,
    shape: tuple[int, int, int, int],
    source: dict[str, Any],
    fill: Fill,
    report: Report,
    progress: Progress,
    remedy: str,
) -> Usable:
    """Return images from their cache, or decoded into memory where none can be kept.

    Args:
        path: the cache; None where there is no place for one.
        shape: see `decode_cache.open_usable`, likewise `source`, `fill` and `progress`.
        source: what identifies the images.
        fill: decodes a block.
        report: receives a line if there is no cache.
        progress: receives the images that are done.
        remedy: what the user can do where there is no cache, as a sentence without its full stop.

    Raises:
        DataProblem: the images are too many for the memory, or damaged.
    """
    why = "there is no place for it outside the images' own folder"
    if path is not None:
        try:
            return open_usable(path, shape, source, fill, report, progress)
        except DiskProblem as problem:
            why = str(problem).split(" Make room")[0].rstrip(".")
    size = int(np.prod(shape))
    if not fits_in_memory(size):
        raise DataProblem(
            f"{shape[0]:,} images of {shape[1]} x {shape[2]} pixels ({size / 1e6:,.1f} MB) take "
            f"more than half of the free memory, and their cache cannot be kept: {why}. {remedy}, "
            "or use smaller images (recipe.image_size)."
        )
    report(
        f"The cache of decoded images cannot be kept: {why}. They are decoded into memory, anew "
        f"by every command. {remedy}."
    )
    return _in_memory(shape, fill)


def _in_memory(shape: tuple[int, int, int, int], fill: Fill) -> Usable:
    images = np.empty(shape, np.uint8)
    rows = max(1, BLOCK_BYTES // int(np.prod(shape[1:])))
    left_out: dict[int, str] = {}
    for start in range(0, shape[0], rows):
        flaws = fill(images[start : start + rows], start) or {}
        left_out |= {start + row: flaw for row, flaw in flaws.items()}
    keep = [row not in left_out for row in range(shape[0])]
    return Usable(images[keep] if left_out else images, left_out)


def _open(
    place: Path | None, files: Sequence[SourceFile], seen: Sequence[Seen], side: int
) -> Usable:
    """Return the (k, side, side, 3) images of files, in memory if they fit, else mapped."""
    levels, digests = levels_of(seen), [facts.digest for facts in seen]
    paths = [file.path for file in files]
    path = place / f"images-{side}.npy" if place else None
    source = {"image_size": side, **source_of(seen, levels, FIT)}
    with progress_bar(f"images decoded into {path or 'memory'}", QUIET_SECONDS) as (
        report,
        progress,
    ):
        fill = flaw_finder(paths, progress, levels, digests, centre_square)
        shape = len(files), side, side, 3
        remedy = "Set BENCH_DATA to a folder with room for it"
        usable = open_or_decode(path, shape, source, fill, report, progress, remedy)
    mapped = isinstance(usable.images, np.memmap)
    if mapped and fits_in_memory(usable.images.nbytes):
        return usable._replace(images=np.array(usable.images))
    return usable


def _too_small(facts: Seen) -> str | None:
    if min(facts.width, facts.height) >= SMALLEST_SIDE:
        return None
    return f"{facts.width}x{facts.height} is smaller than {SMALLEST_SIDE} pixels"


def content_notes(
    files: Sequence[SourceFile], seen: Sequence[Seen], levels: Levels
) -> tuple[str, ...]:
    """Return what a reader of the results should know of how usable files became pixels.

    Args:
        files: the usable files.
        seen: what they hold.
        levels: what became black and white in images of more than 8 bits and floats.
    """
    notes = []
    pairs = list(zip(files, seen, strict=True))
    if frames := [file.name for file, facts in pairs if facts.frames > 1]:
        notes.append(f"{len(frames):,} files have several frames, of which only the first is used: "
                     f"{few(frames)}")  # fmt: skip
    if clear := [file.name for file, facts in pairs if facts.transparent]:
        notes.append(f"{len(clear):,} images can have transparent pixels, shown on white: "
                     f"{few(clear)}")  # fmt: skip
    for kind, (black, white) in sorted(levels.items()):
        deep = [facts for facts in seen if facts.kind == kind]
        if not deep:
            continue
        low, high = min(facts.low for facts in deep), max(facts.high for facts in deep)
        notes.append(
            f"{len(deep):,} {kind} images: values {black:g} to {white:g} became black to white in "
            f"all of them (found: {low:g} to {high:g})"
        )
    return tuple(notes)
