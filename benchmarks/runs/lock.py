"""The lock of a run's folder: who holds it works on the run, and a dead process holds none."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from benchmarks.common.errors import BenchError

LOCK = ".lock"


@contextmanager
def locked(folder: Path, timeout: float) -> Iterator[None]:
    """Hold a run's lock.

    Args:
        folder: the run's; made if it is not there.
        timeout: in seconds.

    Raises:
        Timeout: if another process holds it for longer.
        BenchError: if the folder cannot be written or locked.
    """
    path = folder / LOCK
    lock = FileLock(path, timeout=timeout)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(
            f"cannot write {folder}: {error.strerror}; choose another folder with --results"
        ) from error
    try:
        lock.acquire()
    except Timeout:
        raise
    except (OSError, NotImplementedError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BenchError(
            f"cannot lock {path}: {reason}; expected a file system with locks and a file that this "
            "user may write, choose another folder with --results"
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Return whether a process works on a run; asking changes nothing on disk."""
    try:
        with (folder / LOCK).open("rb") as file:
            return _is_held(file)
    except OSError:  # no such file, or no way to know
        return False


if sys.platform == "win32":

    def _is_held(file: BinaryIO) -> bool:
        try:
            with FileLock(file.name, timeout=0):
                return False
        except Timeout:
            return True

else:
    import fcntl

    def _is_held(file: BinaryIO) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
