"""Many image files decoded in parallel, each into a square of one size; see `decode`."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.errors import DataProblem, few
from benchmarks.common.progress_bar import Progress
from benchmarks.data.sources.decode import (
    DECLARED,
    TOO_LARGE_FOR_MEMORY,
    Fit,
    Levels,
    decode,
    quiet,
    reason,
    stretched,
)
from benchmarks.data.sources.decode_cache import Fill
from benchmarks.data.sources.survey import cores

RESIZE = "bilinear with antialiasing, aspect ratio ignored"
"""What `decoder` does by default, for the record of a cache."""
TOGETHER = 16
"""Images that a thread decodes at a time."""


def decoder(
    paths: Sequence[Path],
    progress: Progress,
    levels: Levels = DECLARED,
    digests: Sequence[str] = (),
) -> Fill:
    """Return what decodes any part of image files, as `cache.open_images` wants it.

    Images of any mode become RGB (see `decode`) and are resized to the block's height and width,
    whatever their aspect ratio, as Pillow does it (bilinear with antialiasing). A DataProblem names
    those of a block that are damaged.

    Args:
        paths: the files.
        progress: receives how many images are done after each few of them.
        levels: what is black and white in images of more than 8 bits and floats.
        digests: SHA-256 of each file as it was looked at; one with another is refused. Empty: any.
    """
    flaws_of = flaw_finder(paths, progress, levels, digests, stretched)

    def fill(block: NDArray[np.uint8], start: int) -> None:
        flaws = flaws_of(block, start)
        if flaws:
            damaged = [f"{paths[start + row]} ({flaw})" for row, flaw in flaws.items()]
            raise damaged_images(damaged, start, len(block))

    return fill


def damaged_images(damaged: Sequence[str], start: int, count: int) -> DataProblem:
    """Build the error that names damaged ones of `count` images from index `start` on."""
    return DataProblem(
        f"{len(damaged):,} of images {start + 1:,} to {start + count:,} are damaged: "
        f"{few(damaged)}. Bring them again."
    )


def flaw_finder(
    paths: Sequence[Path],
    progress: Progress,
    levels: Levels,
    digests: Sequence[str],
    fit: Fit,
) -> Callable[[NDArray[np.uint8], int], dict[int, str]]:
    """Return a function that decodes a block and returns what is wrong by row; see `decoder`."""

    def fill(block: NDArray[np.uint8], start: int) -> dict[int, str]:
        files = paths[start : start + len(block)]
        expected = digests[start : start + len(block)]

        def decode_some(first: int) -> list[tuple[int, str]]:
            flaws = []
            for row in range(first, min(first + TOGETHER, len(files))):
                digest = expected[row] if expected else None
                if flaw := _read(files[row], block[row], levels, digest, fit):
                    flaws.append((row, flaw))
            return flaws

        found: dict[int, str] = {}
        firsts = range(0, len(files), TOGETHER)
        # Threads, because Pillow decodes and resizes without the interpreter's lock.
        with ThreadPoolExecutor(cores()) as pool, quiet():
            for first, flaws in zip(firsts, pool.map(decode_some, firsts), strict=True):
                found.update(flaws)
                progress(start + min(first + TOGETHER, len(files)), len(paths))
        return found

    return fill


def _read(
    path: Path, out: NDArray[np.uint8], levels: Levels, digest: str | None, fit: Fit
) -> str | None:
    """Fill `out`, (h, w, 3), with a file; return what is wrong with it if anything.

    Raises:
        DataProblem: a file of known digest cannot be read now, or has another: a cache must not
            keep that as a flaw of its own.
    """
    again = "It was looked at a moment ago; give the command again."
    try:
        content = path.read_bytes()
    except (OSError, MemoryError) as error:
        if digest is None:
            return reason(error)
        raise DataProblem(f"{path}: {reason(error)}. {again}") from error
    if digest is not None and hashlib.sha256(content).hexdigest() != digest:
        raise DataProblem(f"{path} changed while it was read. {again}")
    flaw = decode(content, out, levels, fit)
    if flaw == TOO_LARGE_FOR_MEMORY and digest is not None:
        raise DataProblem(f"{path}: {flaw}. Free some, or take the file out of the data set.")
    return flaw
