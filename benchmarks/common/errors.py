"""Errors that a user can cause: shown as one line, never as a traceback."""

import reprlib
from collections.abc import Iterable

from evaluation.near_matches import did_you_mean

LONGEST_VALUE = 120
"""Characters of a value that a message shows."""
LONGEST_FOREIGN = 160
"""Characters that a message quotes of another library's error."""
MAX_LISTED = 5
"""Names of a kind that a message lists."""


class BenchError(Exception):
    """Something failed for a reason the user can act on; the command line exits with status 1.

    The message names what was expected, what was found and what to do next.
    """

    exit_status = 1


class UsageProblem(BenchError):
    """The words of the command (a name, an option, a value) are wrong; exit status 2."""

    exit_status = 2


class DataProblem(BenchError):
    """A data set is missing, incomplete or damaged; exit status 1."""


class RunFailed(BenchError):
    """One run stopped, for instance at an infinite loss; the other runs go on; exit status 1."""


class MethodProblem(BenchError):
    """A method from a plug-in cannot be used; the others can; exit status 1."""


class DiskProblem(DataProblem):
    """A folder that cannot be written to or read, or a disk that is full."""


class OutOfTime(BenchError):
    """The time given with `--for` is up; the run can go on from its last epoch."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UsageProblem:
    """Build the error for a name that does not exist, with near matches and all known names."""
    known = sorted(known)
    hint = did_you_mean(name, known)
    return UsageProblem(f"Unknown {kind} {shown(name)}.{hint} Known: {', '.join(known) or 'none'}.")


def few(words: Iterable[str]) -> str:
    """Return the first few words, and how many more there are."""
    every = list(words)
    more = len(every) - MAX_LISTED
    return ", ".join(every[:MAX_LISTED]) + (f" and {more:,} more" if more > 0 else "")


def one_line(words: object, most: int | None = None) -> str:
    """Return a text, or what an error says, on one line that moves no cursor.

    Breaks become spaces, other control characters their escapes; an error without words is named by
    its type.

    Args:
        words: a text or an exception.
        most: characters that are kept. None: all of a text and of the suite's own errors, and
            LONGEST_FOREIGN of another library's error, which may quote a whole file.
    """
    foreign = isinstance(words, BaseException) and not isinstance(words, BenchError)
    text = " ".join(str(words).split()) or (type(words).__name__ if foreign else "")
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    most = LONGEST_FOREIGN if most is None and foreign else most
    return text if most is None or len(text) <= most else text[: most - 1] + "…"


class _Short(reprlib.Repr):
    """Bounds what a message shows of a value, however long, deep or self-referring it is."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = LONGEST_VALUE
        self.maxlevel = 4


_SHORT = _Short()


def shown(value: object) -> str:
    """Return a value as a message shows it: its representation, of at most LONGEST_VALUE or so."""
    try:
        text = _SHORT.repr(value)
    except (ValueError, RecursionError):  # an integer of more digits than Python writes
        text = f"a value of type {type(value).__name__}"
    if len(text) > 2 * LONGEST_VALUE:
        return f"{text[:LONGEST_VALUE]}…"
    return text
