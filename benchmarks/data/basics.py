"""What sources and data sets share: progress lines, the default folder, pixel statistics."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.errors import UsageProblem

Report = Callable[[str], None]
"""Receives one line of progress at a time."""


SMALLEST_SIDE = 8
"""Of images that are resized, in pixels."""


COUNTED_AT_ONCE = 1 << 22
"""Bytes of images; counting one channel of them takes three times as much memory."""


def silent(message: str) -> None:
    """Report nothing."""


def default_root() -> Path:
    """Return the folder of all data sets: $BENCH_DATA, else ~/.cache/instbench.

    Raises:
        UsageProblem: no home folder is known, as for a user without an entry in /etc/passwd.
    """
    chosen = os.environ.get("BENCH_DATA") or "~/.cache/instbench"
    try:
        return Path(chosen).expanduser()
    except RuntimeError as error:
        raise UsageProblem(
            f"--data: expected the folder of the data sets; none is given, and no home folder is "
            f"known for the default {chosen}; give --data DIR, or set BENCH_DATA to a whole path"
        ) from error


def channel_statistics(
    images: NDArray[np.uint8],
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and standard deviation of (n, h, w, 3) pixels per channel, in 0..1.

    The images may be a memory map: a few of them are read at a time. The standard deviation is at
    least one grey level, so that constant images can be normalised.
    """
    levels = np.arange(256) / 255
    # A histogram is exact and needs no floating-point copy of the images.
    counts = np.zeros((3, 256), np.int64)
    rows = max(1, COUNTED_AT_ONCE // images[0].size)
    for start in range(0, len(images), rows):
        block = images[start : start + rows]
        for channel in range(3):
            counts[channel] += np.bincount(block[..., channel].ravel(), minlength=256)
    mean, std = [], []
    for share in counts / images[..., 0].size:
        mean.append(float(share @ levels))
        std.append(max(float(share @ (levels - mean[-1]) ** 2) ** 0.5, 1 / 255))
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])
