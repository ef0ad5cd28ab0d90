"""Tables, plots and sections before they are HTML, Markdown, LaTeX or CSV."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

NOTHING = "–"
_MANY = 13
"""Columns that fit on a page as they are."""
_CODE = re.compile(r"`([^`]+)`")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
Status = Literal["measured", "missing", "failed"]


@dataclass(frozen=True)
class Column:
    """A column: its key in the rows, its title, a short title (in lines) for narrow pages."""

    key: str
    title: str
    short: str = ""
    numeric: bool = True
    given: bool = False
    """Whether it is known before anything is run."""
    required: bool = False
    """Whether it is shown even if it is empty."""


METHOD = Column("method", "Method", numeric=False, given=True)


@dataclass(frozen=True)
class Cell:
    """What one cell shows."""

    text: str = NOTHING
    value: float | None = None
    """What the column is sorted by; None is sorted last."""
    code: str = ""
    """A name to type, shown after the text."""
    aside: str = ""
    """A detail, shown small in brackets."""
    notes: tuple[int, ...] = ()
    """Places in the table's notes."""

    @property
    def full(self) -> str:
        """The text with its aside."""
        return f"{self.text} ({self.aside})" if self.aside else self.text


@dataclass(frozen=True)
class TableRow:
    """A row: cells by column key; absent ones are shown as a dash."""

    cells: Mapping[str, Cell]
    data: Mapping[str, Any]
    """The row in plain numbers, for CSV."""
    status: Status = "measured"
    remedy: str = ""
    """The command that fills a missing row, or why a run failed."""
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A caption, columns, rows and footnotes; words in `backticks` are code."""

    slug: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    caveat: str = ""
    """What a reader must know before the first figure."""
    notes: tuple[str, ...] = ()
    """Footnotes that cells refer to, lettered from a."""
    general_notes: tuple[str, ...] = ()
    """What concerns the table as a whole."""

    @property
    def shown(self) -> list[Column]:
        """The columns that are required or say something in at least one row."""
        filled = {key for row in self.rows for key in row.cells}
        return [column for column in self.columns if column.required or column.key in filled]

    @property
    def wide(self) -> bool:
        """Whether there are so many columns that they are set closer."""
        return len(self.shown) > _MANY

    @property
    def given(self) -> int:
        """How many of the shown columns, from the left, are known before anything is run."""
        return sum(column.given for column in self.shown)


@dataclass(frozen=True)
class Plot:
    """A drawing with its caption; drawn when it is asked for."""

    slug: str
    """File name without suffix, unique in the report; also the prefix of the drawing's ids."""
    caption: str
    draw: Callable[[], str]
    """Returns the drawing as SVG that fills the width it is given; see `svg.tidy`."""

    @cached_property
    def svg(self) -> str:
        """The drawing."""
        return self.draw()


@dataclass(frozen=True)
class Section:
    """What is said about one question: plots, then tables."""

    title: str = ""
    """Empty for a part's first section, which needs no heading."""
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    texts: tuple[str, ...] = ()
    """Paragraphs before the plots; words in `backticks` are code."""

    def __bool__(self) -> bool:
        """Return whether there is anything to show."""
        return bool(self.tables or self.plots)


@dataclass
class Notes:
    """Collects footnotes; equal ones are kept once."""

    texts: list[str] = field(default_factory=list)

    def add(self, *texts: str) -> tuple[int, ...]:
        """Return the places of the texts."""
        for text in texts:
            if text not in self.texts:
                self.texts.append(text)
        return tuple(self.texts.index(text) for text in texts)


def letter(place: int) -> str:
    """Return the mark of a footnote: a, b, ... z, aa, ab, ..."""
    first, last = divmod(place, 26)
    return (letter(first - 1) if first else "") + chr(ord("a") + last)


def interval(numbers: Iterable[int]) -> str:
    """Return the smallest and the largest number, such as "12–16", or the only one."""
    ordered = sorted(numbers)
    first, last = ordered[0], ordered[-1]
    return str(first) if first == last else f"{first}–{last}"


def in_seconds(seconds: float) -> str:
    """Return seconds, with one decimal where it says something."""
    return f"{seconds:.1f}" if seconds < 100 else f"{seconds:,.0f}"


def inert(text: str) -> str:
    """Return the text in one line of characters that every format can hold.

    Line breaks of any kind, control characters and those that turn the direction of writing become
    spaces, halves of characters a question mark.
    """
    return _UNPRINTABLE.sub(" ", text).encode("utf-8", "replace").decode("utf-8")


def around_code(text: str, words: Callable[[str], str], code: Callable[[str], str]) -> str:
    """Apply one function to plain words and another to those in `backticks`, and join.

    Both are given one line of characters that every format can hold.
    """
    parts = _CODE.split(inert(text))
    return "".join(code(p) if i % 2 else words(p) for i, p in enumerate(parts))
