"""The known names that a mistyped one may mean; imports nothing heavy, as errors do not."""

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 100
"""Characters of a name that are compared; the time grows with its square."""


def near_matches(name: object, known: Iterable[str], most: int = 3) -> list[str]:
    """Return the known names that are most like a mistyped one, the likest first.

    Args:
        name: what was given, of any type.
        known: the names that exist.
        most: how many names are returned at most.
    """
    return get_close_matches(str(name)[:LONGEST], known, n=most, cutoff=0.5)


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return " Did you mean a or b?" for a mistyped name, "" if nothing is near."""
    near = near_matches(name, known)
    return f" Did you mean {' or '.join(near)}?" if near else ""
