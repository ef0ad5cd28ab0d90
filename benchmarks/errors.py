"""Errors that a user can cause: shown as one line, never as a traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


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


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageProblem:
    """Build the error for a name that does not exist, with near matches and all known names."""
    known = sorted(known)
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return UsageProblem(f"Unknown {kind} {name!r}.{hint} Known: {', '.join(known) or 'none'}.")
