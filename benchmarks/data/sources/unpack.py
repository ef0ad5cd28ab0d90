"""Archives unpacked member by member: nothing is ever written outside the folder for them.

Only folders and regular files are made, under names that are checked word by word. Since no link is
ever made, no later name can lead out through one; an archive that holds links, devices or pipes is
refused, because no official one does.
"""

import errno
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from benchmarks.common.errors import DataProblem
from benchmarks.common.files import require_space

CHUNK = 1 << 20
DEEPEST = 64
"""Folders within each other; far more could not be removed again."""
NAME_ERRORS = frozenset(
    (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
)
"""What a disk answers to names that do not fit together or are not possible."""


class _Unfit(Exception):
    """An archive holds something that is not unpacked."""


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """Yield a temporary folder beside a tar or zip `archive` with its content; removed afterwards.

    The caller holds the lock of `archive`'s folder and moves what it wants to keep.

    Raises:
        DataProblem: the archive is damaged, would write outside its folder, holds anything but
            files and folders, or is larger than the room on the disk.
        OSError: the disk cannot be read or written to.
    """
    folder = archive.with_name(f".{archive.name}.unpacked")
    _remove(folder)  # what a killed process may have left
    try:
        folder.mkdir()
        try:
            if archive.suffix == ".zip":
                _unpack_zip(archive, folder)
            else:
                _unpack_tar(archive, folder)
        except DataProblem:
            raise
        except Exception as error:  # readers of damaged archives raise almost any type
            if isinstance(error, OSError) and error.errno not in (None, *NAME_ERRORS):
                raise
            words = str(error) or type(error).__name__
            raise DataProblem(f"{archive} cannot be unpacked: {words}. Delete it.") from error
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    if folder.is_symlink():  # which rmtree leaves alone
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _unpack_tar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if path.is_absolute() or ".." in path.parts:
                raise _Unfit(f"it would write outside its folder ({member.name!r})")
            if member.isdir():
                _inside(folder, path.parts).mkdir(parents=True, exist_ok=True)
            elif member.isfile():
                _require_room(archive, folder, member.size)
                content = tar.extractfile(member)
                assert content is not None  # as it is a file
                with content:
                    _write(content, _inside(folder, path.parts), member.size)
            else:
                raise _Unfit(f"it holds a link or device ({member.name!r}), no official one does")
        # tarfile takes a damaged header for the end, and reads no checksum behind it.
        while rest := tar.fileobj.read(CHUNK) if tar.fileobj else b"":
            if rest.strip(b"\0"):
                raise _Unfit("it is damaged: there is more behind its end")


def _unpack_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as files:
        _require_room(archive, folder, sum(member.file_size for member in files.infolist()))
        for member in files.infolist():
            # As zipfile does it: words that lead out are left out of a name.
            parts = tuple(
                word for word in member.filename.split("/") if word not in ("", ".", "..")
            )
            if member.is_dir():
                _inside(folder, parts).mkdir(parents=True, exist_ok=True)
            else:
                with files.open(member) as content:
                    _write(content, _inside(folder, parts), member.file_size)


def _inside(folder: Path, parts: tuple[str, ...]) -> Path:
    """Return the path of a member, certainly below `folder`."""
    if os.name == "nt" and any(mark in part for part in parts for mark in "\\:"):
        raise _Unfit(f"it holds a name that is not possible here ({'/'.join(parts)!r})")
    if len(parts) > DEEPEST:
        raise _Unfit(f"it holds more than {DEEPEST} folders within each other")
    path = folder.joinpath(*parts)
    if not Path(os.path.normpath(path)).is_relative_to(os.path.normpath(folder)):
        raise _Unfit(f"it would write outside its folder ({'/'.join(parts)!r})")
    return path


def _write(content: IO[bytes], path: Path, size: int) -> None:
    """Copy a member, which must have as many bytes as the archive says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rest = size
    with path.open("wb") as file:
        while chunk := content.read(CHUNK):
            rest -= len(chunk)
            file.write(chunk)
    if rest:
        raise _Unfit(f"expected {size:,} bytes of {path.name}, found {size - rest:,}")


def _require_room(archive: Path, folder: Path, size: int) -> None:
    """Check that the disk has room for so many bytes, as an archive states them."""
    if size < 0:
        raise _Unfit(f"it states a size of {size:,} bytes")
    require_space(folder.parent, size, f"the content of {archive}")
