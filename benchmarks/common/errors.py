"""Errors that a user can cause: shown as one line, never as a traceback."""

import reprlib
from collections.abc import Iterable

from evaluation.near_matches import did_you_mean

LONGEST_VALUE = 120
"""Characters of a value that a message shows."""


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


class OutOfTime(BenchError):
    """The time given with `--for` is up; the run can go on from its last epoch."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UsageProblem:
    """Build the error for a name that does not exist, with near matches and all known names."""
    known = sorted(known)
    hint = did_you_mean(name, known)
    return UsageProblem(f"Unknown {kind} {shown(name)}.{hint} Known: {', '.join(known) or 'none'}.")


def one_line(text: object) -> str:
    """Return a text on one line: breaks become spaces, other control characters their escapes.

    What is printed of a message then moves no cursor, whatever a file or a name holds.
    """
    words = " ".join(str(text).split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)


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
