"""Ctrl-C while the suite is still being imported. Imports nothing but the standard library."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""Exit status of a command that Ctrl-C ended, as shells expect it."""


@contextmanager
def starting() -> Iterator[None]:
    """Let Ctrl-C end the process at once, with one line, while the block imports modules.

    Extension modules turn a KeyboardInterrupt in the middle of their start into errors of their
    own, or lose it. Nothing has been written at that time, so that nothing has to be tidied up.
    """
    in_main = threading.current_thread() is threading.main_thread()
    # A signal that is ignored (nohup) or handled by an embedding program stays as it is.
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(signum: int, frame: FrameType | None) -> None:
    del signum, frame
    # After the ^C that a terminal shows, a line of its own.
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"Interrupted.\n")
    os._exit(INTERRUPTED)
