"""Standard output and error that may go away: work goes on, what was to be said is dropped.

`bench run | head -1`, a full device or a closed terminal must not decide a run's fate. A command
without any other product asks afterwards whether its output was lost.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TextIO

_NAMES = ("stdout", "stderr")


class _Steady:
    """A text stream that drops what it cannot write; in all else it is the stream it wraps."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name, self.lost = stream, name, False

    def write(self, text: str) -> int:
        """Write the text, or drop it; returns its length in both cases."""
        if not self.lost:
            try:
                self._stream.write(text)
            except (OSError, ValueError) as error:
                self._lose(error)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each of the lines, or drop it."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush, or drop what waits to be written."""
        if not self.lost:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._lose(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _lose(self, error: OSError | ValueError) -> None:
        """Send all that follows to nowhere; say so unless the reader chose to go away."""
        if isinstance(error, UnicodeError):  # one text that cannot be written, not the stream
            with suppress(OSError, ValueError):
                encoding = self._stream.encoding or "ascii"
                words = str(getattr(error, "object", ""))
                self._stream.write(words.encode(encoding, "backslashreplace").decode(encoding))
            return
        self.lost = True
        with suppress(OSError, ValueError, AttributeError):
            # What the stream still holds is written when Python ends: that must not fail either.
            _discard(self._stream.fileno())
        left = isinstance(error, ValueError) or error.errno == errno.EPIPE
        if self._name == "stdout" and not left:
            print(
                f"Standard output cannot be written ({error}); the command goes on without it.",
                file=sys.stderr,
            )


def _discard(descriptor: int) -> None:
    """Make a file descriptor lead to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


@dataclass
class Output:
    """What became of standard output inside `steady_output`."""

    lost: bool = False
    """Whether any of it could not be written; known at the end of the block."""


@contextmanager
def steady_output() -> Iterator[Output]:
    """Let nothing fail inside for want of a place to print to.

    Yields:
        What says, after the block, whether standard output was lost.
    """
    output = Output()
    before = {name: getattr(sys, name) for name in _NAMES}
    for descriptor, name in enumerate(_NAMES, 1):
        if before[name] is None:  # closed when Python began: a data file must not take its number
            with suppress(OSError):
                _keep_taken(descriptor)
        elif not isinstance(before[name], _Steady):
            setattr(sys, name, _Steady(before[name], name))
    try:
        yield output
    finally:
        for name in _NAMES:
            if before[name] is not None:
                getattr(sys, name).flush()
        output.lost = getattr(sys.stdout, "lost", True)  # True: there is no such stream at all
        for name in _NAMES:
            setattr(sys, name, before[name])


def _keep_taken(descriptor: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        _discard(descriptor)
