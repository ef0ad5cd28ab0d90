"""Photographs of all sizes and modes, decoded in parallel into squares of one size."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichBars

from benchmarks.datasets.base import Report
from benchmarks.datasets.cache import Fill, Progress
from benchmarks.errors import DataProblem

RESIZE = "bilinear with antialiasing, aspect ratio ignored"
"""What `decoder` does, for the record of a cache."""
NAMED_AT_MOST = 5
TOGETHER = 16
"""Images that a thread decodes at a time."""


def decoder(paths: Sequence[Path], progress: Progress) -> Fill:
    """Return what decodes any part of image files, as `cache.open_images` wants it.

    Images of any mode become RGB and are resized to the block's height and width, whatever their
    aspect ratio, as Pillow does it (bilinear with antialiasing). A DataProblem names those of a
    block that are damaged.

    Args:
        paths: the files.
        progress: is told as the images of a block are done.
    """

    def fill(block: NDArray[np.uint8], start: int) -> None:
        files = paths[start : start + len(block)]

        def decode(first: int) -> list[str]:
            span = slice(first, first + TOGETHER)
            flaws = map(_decode, files[span], block[span])
            return [
                f"{file} ({flaw})" for file, flaw in zip(files[span], flaws, strict=True) if flaw
            ]

        damaged = []
        firsts = range(0, len(files), TOGETHER)
        # Threads, because PIL decodes and resizes without the interpreter's lock.
        with ThreadPoolExecutor(_cores()) as pool:
            for first, names in zip(firsts, pool.map(decode, firsts), strict=True):
                damaged += names
                progress(start + min(first + TOGETHER, len(files)), len(paths))
        if damaged:
            raise DataProblem(
                f"{len(damaged):,} of images {start + 1:,} to {start + len(files):,} are damaged: "
                f"{some(damaged)}. Bring them again."
            )

    return fill


def _decode(path: Path, out: NDArray[np.uint8]) -> str | None:
    """Fill `out`, (h, w, 3), with the resized image; return what is wrong with it if anything."""
    try:
        with Image.open(path) as image:
            size = out.shape[1], out.shape[0]
            resized = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
            out[:] = np.asarray(resized)
    except Exception as error:  # decoders of damaged files raise almost any type
        return "truncated" if "truncated" in str(error) else "cannot be read"
    return None


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def some(words: Iterable[str]) -> str:
    """Return the first few words, and how many more there are."""
    named = list(words)
    more = len(named) - NAMED_AT_MOST
    return ", ".join(named[:NAMED_AT_MOST]) + (f" and {more:,} more" if more > 0 else "")


@contextmanager
def shown(text: str) -> Iterator[tuple[Report, Progress]]:
    """Yield what shows lines and progress on standard error: a bar, or a line every tenth.

    Nothing is shown before the first step of progress.
    """
    console = Console(stderr=True)
    tenth = 0

    def line(done: int, total: int) -> None:
        nonlocal tenth
        if done * 10 // total > tenth:
            tenth = done * 10 // total
            report(f"{text}: {done:,} of {total:,}")

    def report(words: str) -> None:
        console.print(words, highlight=False, markup=False, soft_wrap=True)

    if not console.is_terminal:
        yield report, line
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with RichBars(*columns, TimeRemainingColumn(), console=console, transient=True) as bars:
        bar = bars.add_task(text, total=None, visible=False)
        yield (
            report,
            lambda done, total: bars.update(bar, completed=done, total=total, visible=True),
        )
