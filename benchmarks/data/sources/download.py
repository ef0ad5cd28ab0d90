"""Resumable downloads from several mirrors, verified by digest."""

import hashlib
import os
import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from io import FileIO
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from filelock import FileLock, Timeout

from benchmarks import __version__
from benchmarks.common.errors import DataProblem, DiskProblem
from benchmarks.common.files import require_space
from benchmarks.data.basics import Report, silent
from benchmarks.data.sources.unpack import unpacked as unpacked

TIMEOUT = 30.0
"""Seconds without a byte after which a mirror counts as stalled."""
WINDOW = 10.0
"""Seconds over which the speed is measured, and between two lines of progress."""
SLOWEST = 200_000
"""Bytes per second below which the other mirrors are tried first."""
CHUNK = 1 << 20


class _Refused(Exception):
    """A mirror answered with something that cannot be the file."""


class _TooSlow(Exception):
    """A mirror sends fewer than `SLOWEST` bytes per second."""


def download(
    urls: Sequence[str], target: Path, md5: str, size: int, report: Report = silent
) -> None:
    """Bring `target` here from the first mirror that gives it whole.

    The bytes gather in `target`.part, which survives a broken connection, a change of mirror and
    the end of the process; `target` itself appears at once, whole and verified. A whole `target`
    is left alone. A slow mirror is left for the next one and tried again after all others.

    Args:
        urls: mirrors, in the order in which they are tried.
        target: the file to write.
        md5: expected digest, hexadecimal.
        size: expected size in bytes.
        report: receives lines of progress.

    Raises:
        DataProblem: no mirror gave the file (each is listed with its reason), or the disk is full.
        OSError: `target`'s folder cannot be written to.
    """
    if target.is_file() and md5_of(target) == md5:
        return
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with part.open("ab", buffering=0) as file:
            if _length(file) > size:
                file.truncate(0)
            require_space(part.parent, size - _length(file), part.name)
            _gather(urls, part, file, md5, size, report)
        part.replace(target)
    finally:
        if part.exists() and not part.stat().st_size:
            part.unlink()


def md5_of(path: Path) -> str:
    """Return the hexadecimal MD5 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def verify(path: Path, md5: str, remedy: str) -> None:
    """Raise a DataProblem unless `path` is a file with this digest.

    Args:
        path: the file.
        md5: expected digest, hexadecimal.
        remedy: what the user can do, as the end of the sentence "Delete it and ...".
    """
    if not path.is_file():
        raise DataProblem(f"{path} is missing (expected MD5 {md5}). To repair, {remedy}.")
    try:
        found = md5_of(path)
    except OSError as error:
        raise DataProblem(f"{path} cannot be read: {error.strerror}.") from error
    if found != md5:
        raise DataProblem(
            f"{path} is damaged: expected MD5 {md5}, found {found} "
            f"({path.stat().st_size:,} bytes). Delete it and {remedy}."
        )


@contextmanager
def exclusive(root: Path, name: str, report: Report = silent) -> Iterator[None]:
    """Hold root/.<name>.lock, so that only one process at a time writes this data set.

    Raises:
        DiskProblem: `root` cannot be written to; any OSError of the body becomes one too.
    """
    lock = FileLock(root / f".{name}.lock")
    try:
        root.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            report(f"{name}: waiting for another process that prepares it in {root}")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
    except OSError as error:
        raise DiskProblem(
            f"Cannot write {name} to {root}: {error.strerror or error}. "
            "Make room or give another folder with --data DIR."
        ) from error


def _gather(
    urls: Sequence[str], part: Path, file: FileIO, md5: str, size: int, report: Report
) -> None:
    """Fill `file`, which is `part`, from one mirror after the other until its digest is right."""
    mirrors = deque((url, float(SLOWEST)) for url in urls)
    reasons: list[str] = []
    while mirrors:
        url, slowest = mirrors.popleft()
        try:
            resumed = _receive(url, file, size, slowest, report)
        except _TooSlow:
            report(f"{url}: slow, trying the other mirrors first")
            mirrors.append((url, 0.0))
            continue
        except (OSError, HTTPException, ValueError, _Refused) as error:  # ValueError: of a URL
            reasons.append(f"{url}: {_reason(error)}")
            report(reasons[-1])
            continue
        found = md5_of(part)
        if found == md5:
            return
        file.truncate(0)
        if resumed:  # the bytes from before may be the wrong ones, so this mirror starts afresh
            mirrors.appendleft((url, slowest))
        else:
            reasons.append(f"{url}: expected MD5 {md5}, found {found}")
            report(reasons[-1])
    kept = _length(file)
    again = f" {kept:,} of {size:,} bytes are kept: the next try resumes there." if kept else ""
    listed = "".join(f"\n  {reason}" for reason in reasons)
    raise DataProblem(
        f"No mirror gave {part.with_suffix('').name}:{listed}\n"
        f"Try again later, or put the file into {part.parent} yourself.{again}"
    )


def _receive(url: str, file: FileIO, size: int, slowest: float, report: Report) -> bool:
    """Append to `file` what is missing of it; return whether bytes from before were kept."""
    have = _length(file)
    if have == size:
        return True
    headers = {"User-Agent": f"instbench/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with urlopen(Request(url, headers=headers), timeout=TIMEOUT) as response:
        resumed = _resumes(response, have, size)
        if have and not resumed:
            file.truncate(0)
        _copy(response, file, size, slowest, report)
    return resumed


def _resumes(response: HTTPResponse, have: int, size: int) -> bool:
    """Return whether the answer goes on at byte `have`; refuse one of another file."""
    if response.status == 206:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if span is None or int(span[1]) != have or span[2] not in ("*", str(size)):
            got = response.headers.get("Content-Range")
            raise _Refused(f"expected bytes from {have} of {size}, offered {got!r}")
        return True
    offered = response.headers.get("Content-Length")
    if offered not in (None, str(size)):
        raise _Refused(f"expected {size:,} bytes, offered {offered}")
    return False


def _copy(response: HTTPResponse, file: FileIO, size: int, slowest: float, report: Report) -> None:
    """Append the body to `file`, watching its length and speed."""
    have = mark = _length(file)
    since = time.monotonic()
    while chunk := response.read1(CHUNK):
        have += len(chunk)
        if have > size:
            file.truncate(0)
            raise _Refused(f"expected {size:,} bytes, sent more")
        _write(file, chunk, size)
        seconds = time.monotonic() - since
        if seconds >= WINDOW:
            speed = (have - mark) / seconds
            done = f"{have / 1e6:.0f} of {size / 1e6:.0f} MB"
            report(f"{response.url}: {done}, {speed / 1e6:.2f} MB/s")
            if speed < slowest:
                raise _TooSlow
            mark, since = have, time.monotonic()
    if have < size:
        raise _Refused(f"closed the connection after {have:,} of {size:,} bytes")


def _write(file: FileIO, chunk: bytes, size: int) -> None:
    """Append `chunk`; a full disk is the user's to solve and no reason to try another mirror."""
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise DataProblem(
            f"Cannot write {file.name}: {error.strerror}. The whole file has {size / 1e6:.0f} MB; "
            "make room or give another folder with --data DIR."
        ) from error


def _length(file: FileIO) -> int:
    return file.seek(0, os.SEEK_END)


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, URLError):
        return str(error.reason)
    return str(error) or type(error).__name__
