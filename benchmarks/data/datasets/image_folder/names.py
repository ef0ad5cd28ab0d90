"""What names of folders stand for: parts of a data set, or dates."""

import re
from collections.abc import Sequence

TRAIN = ("train", "training")
TEST = ("test", "testing")
HELD_OUT = ("val", "valid", "validation", "dev")
"""Folders that are the test set only where there is no folder of TEST."""

_NAMED_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DATE = re.compile(
    r"(19|20)\d\d([-_. ]?(0[1-9]|1[0-2]))?"
    r"|(19|20)\d\d([-_. ]?)(0[1-9]|1[0-2])\5(0[1-9]|[12]\d|3[01])([-_. T].*)?"
    r"|(0?[1-9]|[12]\d|3[01])([-_.])(0?[1-9]|[12]\d|3[01])\10(19|20)\d\d"
    rf"|{_NAMED_MONTH}[-_. ]*(19|20)\d\d|(19|20)\d\d[-_. ]*{_NAMED_MONTH}",
    re.IGNORECASE,
)
_DAY_OR_MONTH = re.compile(r"0?[1-9]|[12]\d|3[01]")


def role(name: str) -> str | None:
    """Return which part a folder's name stands for, if any: "train", "test" or "val"."""
    parts = (TRAIN, TEST, HELD_OUT)
    return next((names[0] for names in parts if name.lower() in names), None)


def dates_among(names: Sequence[str], above: str) -> list[str]:
    """Return the names that are dates, if so many are that none can be taken for a class.

    Args:
        names: of folders beside each other.
        above: of the folder that they are in: a year or a month makes numbers below it dates.
    """
    if _DATE.fullmatch(above) and all(map(_DAY_OR_MONTH.fullmatch, names)):
        return list(names)
    dates = [name for name in names if _DATE.fullmatch(name)]
    return dates if 2 * len(dates) >= len(names) else []
