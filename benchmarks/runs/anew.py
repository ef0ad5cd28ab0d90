"""Making a finished run anew: beside the old result, which the new one replaces at its end."""

import shutil
from pathlib import Path

from benchmarks.common.errors import BenchError
from benchmarks.runs import store

ANEW = "anew"
"""Folder in a run's folder in which it is made anew."""


def folder_anew(folder: Path) -> Path:
    """Return where a run is made anew; reports and lists do not look there."""
    return folder / ANEW


def adopt(folder: Path) -> bool:
    """Put a result that was made anew in the place of the old one, if it is finished.

    The record moves last, so that what a kill interrupts the next command completes.

    Returns:
        Whether there was one.

    Raises:
        BenchError: if a file cannot be moved.
    """
    made = folder_anew(folder)
    if not (made / store.RECORD).exists():
        return False
    try:
        for file in sorted(made.iterdir(), key=lambda file: file.name == store.RECORD):
            if file.is_file():
                file.replace(folder / file.name)
        (folder / store.FAILED).unlink(missing_ok=True)
    except OSError as error:
        raise BenchError(
            f"cannot put {made} in the place of the earlier result: {error.strerror or error}; "
            "both are kept, the same command tries again"
        ) from error
    shutil.rmtree(made, ignore_errors=True)
    return True
