"""Files that are seen whole or not at all, and files that cannot be read: shared by all that write.

A file that cannot be read just now (no permission, an I/O error, no memory) is not a damaged one:
only what was read whole and is wrong may be set aside, and only by `bench run`.
"""

import errno
import hashlib
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from benchmarks.common.errors import BenchError, DiskProblem
from benchmarks.common.errors import one_line as one_line

FOREIGN_PART_SECONDS = 3600.0
"""Age from which on another machine's part counts as left behind: this one cannot look there."""
_PART = re.compile(r"\.(?P<name>.+?)(?:\.(?P<place>[0-9a-f]{8}))?\.(?P<process>\d+)\.part", re.S)


class Unreadable(BenchError):
    """A file that is there but cannot be read just now; nothing is known about its content."""


def unreadable(path: Path, error: BaseException) -> Unreadable:
    """Build the error for a file that the system, not its content, keeps from being read."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)
    reason = "out of memory" if isinstance(error, MemoryError) else reason
    return Unreadable(
        f"{path}: cannot be read just now ({reason}); it is left as it is, give the same command "
        "again once it can be read"
    )


def read_whole(path: Path) -> bytes | None:
    """Return a small file's content; None if there is no such file.

    Raises:
        Unreadable: if it is there but cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except (OSError, MemoryError) as error:
        raise unreadable(path, error) from error


def write_whole(target: Path, content: bytes) -> None:
    """Write a small file that is seen whole or not at all, and is safe on the disk.

    Raises:
        OSError: if the disk is full or the folder cannot be written; the old file then stays.
    """
    part = _part_of(target)
    try:
        clear_parts(target.parent)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
        sync_folder(target.parent)
    finally:
        with suppress(OSError):  # the error that led here says more
            part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder safe on the disk."""
    if os.name == "nt":  # which has no such call
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def require_space(folder: Path, needed: int, what: str) -> None:
    """Check that the disk of a folder has room.

    Args:
        folder: exists.
        needed: in bytes.
        what: what needs them, after the word "for".

    Raises:
        DiskProblem: if it has not.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DiskProblem(
            f"{folder} needs {needed / 1e6:,.1f} MB for {what}, found {free / 1e6:,.1f} MB free. "
            "Make room or give another folder with --data DIR."
        )


def set_aside(path: Path) -> Path:
    """Rename a damaged file to `<name>.damaged` (numbered if taken) and return its new path.

    Raises:
        BenchError: if the folder does not allow it.
    """
    target = path.with_name(path.name + ".damaged")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.damaged-{number}")
    try:
        path.rename(target)
    except OSError as error:
        raise BenchError(
            f"{path}: damaged, and cannot be set aside ({error.strerror}); remove it or choose "
            "another folder with --results"
        ) from error
    return target


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `target` when the block ends well.

    Nothing half-written is ever seen under the target's name; a failure leaves the old file. What
    killed processes left half-written in the same folder is removed.

    Raises:
        BenchError: if the disk is full or the folder cannot be written; the message says which.
    """
    part = _part_of(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        clear_parts(target.parent)
    except OSError as error:
        raise cannot_write(target, error) from error
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise cannot_write(target, error) from error
    except RuntimeError as error:  # torch.save reports a failed write so
        if "file write failed" in str(error) or "enforce fail" in str(error):
            full = OSError(errno.ENOSPC, "the file could not be written whole")
            raise cannot_write(target, full) from error
        raise
    finally:
        with suppress(OSError):  # the error that led here says more
            part.unlink(missing_ok=True)


def cannot_write(target: Path, error: OSError) -> BenchError:
    """Return the error for a file or folder that cannot be written, with the next step."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BenchError(
            f"disk full while writing {target}: {error.strerror}; free some space and give the "
            "same command again, it goes on from the last complete epoch"
        )
    return BenchError(
        f"cannot write {target}: {error.strerror or error}; choose another folder with --results"
    )


def clear_parts(folder: Path, locked: bool = False) -> None:
    """Remove what killed processes left half-written in a folder; what cannot be removed stays.

    A part of this machine is left behind if its process is dead, one of another machine (the folder
    may be shared) if it is an hour old.

    Args:
        folder: need not exist.
        locked: whether the caller holds the folder's lock, so that no other process of this machine
            writes there: a dead process's number may meanwhile be that of another one.
    """
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        found = _PART.fullmatch(name)
        if found and _left_behind(folder / name, found, locked):
            with suppress(OSError):
                (folder / name).unlink()


def _left_behind(path: Path, part: re.Match[str], locked: bool) -> bool:
    if part["place"] == _this_place():
        return locked or not _alive(int(part["process"]))
    try:
        return time.time() - path.stat().st_mtime > FOREIGN_PART_SECONDS
    except OSError:
        return False


def _alive(process: int) -> bool:
    """Return whether a process of this machine exists; True where that cannot be known."""
    if process == os.getpid():
        return True
    if os.name == "nt":  # where signal 0 ends the process
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it exists but is another user's
        return True
    return True


def _part_of(target: Path) -> Path:
    """Return what a file is called while this process writes it; see `clear_parts`."""
    return target.with_name(f".{target.name}.{_this_place()}.{os.getpid()}.part")


@cache
def _this_place() -> str:
    """Return what tells apart the machines, and containers, that count processes on their own."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:8]
