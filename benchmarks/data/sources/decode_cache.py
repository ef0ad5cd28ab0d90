"""Images decoded once into a memory-mapped uint8 array that survives a kill and several processes.

Beside `images.npy` lies `images.npy.json`, which says what the array was made from, how many of its
images are safe on the disk, and the digest of every block: a cache is known by its content. While
it is built, the array is called `images.npy.part`.
"""

import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.errors import DataProblem, DiskProblem
from benchmarks.common.files import require_space, sync_folder, write_whole
from benchmarks.common.progress_bar import Progress
from benchmarks.data.basics import Report, silent
from benchmarks.data.sources.download import exclusive
from benchmarks.data.sources.survey import is_settled, stamp

FORMAT = 2
"""Changes when a cache that was built before can no longer be used."""
BLOCK_BYTES = 1 << 26
"""Of images that are decoded, written and made safe at a time: what a kill can cost."""
CHECKED_ALWAYS = 1 << 26
"""Bytes of a cache up to which its digests are checked each time; of a larger one, when its stamp
(size, times, inode) is not that of the last check."""

Fill = Callable[[NDArray[np.uint8], int], Mapping[int, str] | None]
"""fill(block, start) writes image start + i of the source into block[i] of a (b, h, w, 3) array.

It may return, by i, why images are left out; their rows are then not in the cache.
"""


def _unwatched(done: int, total: int) -> None:
    """Show no progress."""


class Usable(NamedTuple):
    """The images of a cache, and what is not among them."""

    images: NDArray[np.uint8]
    """(k, h, w, 3), a read-only memory map; k may be less than the images of the source."""
    left_out: dict[int, str]
    """By the position in the source: why an image is not there."""


def open_images(
    path: Path,
    shape: tuple[int, int, int, int],
    source: Mapping[str, Any],
    fill: Fill,
    report: Report = silent,
    progress: Progress = _unwatched,
) -> NDArray[np.uint8]:
    """Return the images of a cache as a read-only memory map; see `open_usable`."""
    return open_usable(path, shape, source, fill, report, progress).images


def open_usable(
    path: Path,
    shape: tuple[int, int, int, int],
    source: Mapping[str, Any],
    fill: Fill,
    report: Report = silent,
    progress: Progress = _unwatched,
) -> Usable:
    """Return a cache's usable images as a read-only memory map, building the cache if need be.

    A cache is used when it is whole, was made by this format from this source, and has the content
    whose digests were recorded; any other one is replaced. Of several processes, one builds and
    the others wait. After a kill, the next call goes on behind the last block that is safe on the
    disk. Only a build needs a writable folder.

    Args:
        path: the .npy file.
        shape: (n, h, w, 3), each 1 or more.
        source: what identifies the images, ready for JSON: digest of the files, size, resizing.
        fill: decodes a block; called with consecutive blocks, in order. What is wrong with its
            files it returns, or raises as a DataProblem: the unfinished cache is then removed,
            because another try needs other files. Other errors, such as a full disk, keep it.
        report: receives why an existing cache is built again, and of waiting for another process.
        progress: receives the images that are done after every block.

    Raises:
        DiskProblem: the disk is too small, or the folder cannot be read or written to.
        ValueError: the shape is not as said above.
    """
    if len(shape) != 4 or shape[3] != 3 or min(shape) < 1:
        raise ValueError(f"shape: expected (n, h, w, 3), each 1 or more, got {shape}")
    cache = _Cache(path, shape, json.loads(json.dumps(source)))
    if cache.flaw():
        with exclusive(path.parent, path.name, report):
            # Another process may have built it while this one waited.
            if flaw := cache.flaw():
                if path.exists():
                    report(f"{path} is built again: {flaw}")
                cache.build(fill, progress)
    left_out = {row: reason for row, reason in cache.recorded()["left_out"]}
    if len(left_out) == shape[0]:
        return Usable(np.empty((0, *shape[1:]), np.uint8), left_out)
    images: NDArray[np.uint8] = np.lib.format.open_memmap(path, mode="r")
    return Usable(images, left_out)


@dataclass(frozen=True)
class _Cache:
    """The files of one cache, and what they should hold."""

    path: Path
    shape: tuple[int, int, int, int]
    source: Mapping[str, Any]

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")

    @property
    def record(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def header(self, images: int) -> bytes:
        """The .npy header; as long for any number of images, as NumPy leaves room to grow."""
        file = io.BytesIO()
        facts = {"descr": "|u1", "fortran_order": False, "shape": (images, *self.shape[1:])}
        np.lib.format.write_array_header_1_0(file, facts)
        return file.getvalue()

    def size(self, images: int) -> int:
        """Return the bytes of a file with so many images."""
        return len(self.header(images)) + images * int(np.prod(self.shape[1:]))

    def flaw(self) -> str | None:
        """Return why the cache cannot be used, or None if it can."""
        try:
            if not self.path.is_file():
                return "it is not there"
            found = self.recorded()
            return self._other(found) or self._damage(found)
        except OSError as error:
            raise DiskProblem(f"{self.path} cannot be read: {error.strerror}.") from error

    def _other(self, found: Mapping[str, Any]) -> str | None:
        """Return why the record is not one of this cache, whole."""
        if not found:
            return f"{self.record.name} is missing or damaged"
        for name, value in self._facts(self.shape[0]).items():
            if found.get(name) != value:
                return f"expected {name} {_short(value)}, found {_short(found.get(name))}"
        return None if _is_sound(found) else f"{self.record.name} is missing or damaged"

    def _damage(self, found: Mapping[str, Any]) -> str | None:
        """Return how the array differs from what was written."""
        kept = self._kept(found)
        now = stamp(self.path)
        if now is None or now[0] != self.size(kept):
            return f"expected {self.size(kept):,} bytes, found {now[0] if now else 0:,}"
        with self.path.open("rb") as file:
            if file.read(len(self.header(kept))) != self.header(kept):
                return "its header is damaged"
            if now[0] > CHECKED_ALWAYS and found.get("stamp") == now:
                return None
            whole = self._whole_blocks(file, found["blocks"])
        if whole != len(found["blocks"]):
            return f"its content is not what was written: block {whole + 1} is damaged"
        if now[0] > CHECKED_ALWAYS and is_settled(now):
            with suppress(DataProblem), exclusive(self.path.parent, self.path.name):
                if self.recorded() == found:  # nobody has built it anew meanwhile
                    self._note({**found, "stamp": now})
        return None

    def _whole_blocks(self, file: BinaryIO, blocks: list[Any]) -> int:
        """Return how many blocks from the first on have their digest; `file` is at the first."""
        for number, (_, images, digest) in enumerate(blocks):
            content = file.read(images * int(np.prod(self.shape[1:])))
            if hashlib.sha256(content).hexdigest() != digest:
                return number
        return len(blocks)

    def build(self, fill: Fill, progress: Progress) -> None:
        """Make the cache in place of what is there; the caller holds the lock."""
        blocks, left_out = self._resumable()
        for stale in (self.path, *(() if blocks else (self.record, self.part))):
            stale.unlink(missing_ok=True)
        written = self.part.stat().st_size if blocks else 0
        require_space(self.path.parent, self.size(self.shape[0]) - written, self.path.name)
        try:
            self._write(blocks, left_out, fill, progress)
        except DataProblem:
            self.part.unlink(missing_ok=True)
            self.record.unlink(missing_ok=True)
            raise
        # The record is complete by now: a kill between the two is made good by the next call.
        self.part.replace(self.path)
        sync_folder(self.path.parent)

    def _write(
        self, blocks: list[Any], left_out: list[Any], fill: Fill, progress: Progress
    ) -> None:
        """Append blocks to the part, each recorded once it is safe on the disk."""
        total = self.shape[0]
        done, kept = (blocks[-1][0] if blocks else 0), sum(images for _, images, _ in blocks)
        rows = min(total, max(1, BLOCK_BYTES // int(np.prod(self.shape[1:]))))
        buffer = np.empty((rows, *self.shape[1:]), np.uint8)
        with self.part.open("r+b" if blocks else "wb") as file:
            if not blocks:
                file.write(self.header(total))
            file.seek(self.size(kept))
            file.truncate()
            for start in range(done, total, rows):
                block = buffer[: total - start]
                flaws = fill(block, start) or {}
                images = block[[row not in flaws for row in range(len(block))]] if flaws else block
                file.write(images.data)
                left_out += [[start + row, reason] for row, reason in sorted(flaws.items())]
                digest = hashlib.sha256(images.data).hexdigest()
                blocks.append([start + len(block), len(images), digest])
                if start + len(block) == total:
                    file.seek(0)
                    file.write(self.header(total - len(left_out)))
                file.flush()
                os.fsync(file.fileno())
                state = {"blocks": blocks, "left_out": left_out}
                self._note({**self._facts(start + len(block)), **state})
                progress(start + len(block), total)

    def _facts(self, done: int) -> dict[str, Any]:
        return {"format": FORMAT, "shape": list(self.shape), "source": self.source, "done": done}

    def recorded(self) -> dict[str, Any]:
        """Return what the record says; nothing if it is missing or damaged."""
        try:
            found = json.loads(self.record.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def _note(self, facts: Mapping[str, Any]) -> None:
        """Record, at once and for good, what is safe."""
        write_whole(self.record, json.dumps(facts).encode())

    def _resumable(self) -> tuple[list[Any], list[Any]]:
        """Return the blocks of an unfinished build that are as recorded, and what they left out."""
        found = self.recorded()
        if not _is_sound(found) or not self.part.is_file():
            return [], []
        if any(found.get(name) != value for name, value in self._facts(found["done"]).items()):
            return [], []
        headers = {self.header(images) for images in (self.shape[0], self._kept(found))}
        with self.part.open("rb") as file:
            if file.read(len(self.header(0))) not in headers:
                return [], []
            if self._whole_blocks(file, found["blocks"]) != len(found["blocks"]):
                return [], []
        return found["blocks"], found["left_out"]

    def _kept(self, found: Mapping[str, Any]) -> int:
        return self.shape[0] - len(found["left_out"])


def _is_sound(found: Mapping[str, Any]) -> bool:
    """Return whether a record's blocks and what they left out fit together."""
    done, blocks, left_out = (found.get(name) for name in ("done", "blocks", "left_out"))
    if not (isinstance(done, int) and isinstance(blocks, list) and isinstance(left_out, list)):
        return False
    try:
        rows = [row for row, reason in left_out if isinstance(reason, str) and 0 <= row < done]
        ends = [end for end, images, digest in blocks if images >= 0 and isinstance(digest, str)]
        images = sum(images for _, images, _ in blocks)
    except (TypeError, ValueError):
        return False
    whole = len(set(rows)) == len(left_out) and len(ends) == len(blocks) and ends == sorted(ends)
    return whole and bool(ends) and ends[-1] == done and images == done - len(left_out)


def _short(value: Any) -> str:
    """Return a value for a message, cut where it is long."""
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
