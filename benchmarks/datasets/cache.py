"""Images decoded once into a memory-mapped uint8 array that survives a kill and several processes.

Beside `images.npy` lies `images.npy.json`, which says what the array was made from and how many
of its images are safe on the disk. While it is built, the array is called `images.npy.part`.
"""

import io
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.base import Report, silent
from benchmarks.datasets.download import exclusive
from benchmarks.errors import DataProblem

FORMAT = 1
"""Changes when a cache that was built before can no longer be used."""
BLOCK_BYTES = 1 << 26
"""Of images that are decoded, written and made safe at a time: what a kill can cost."""
FREE_MEMORY_SHARE = 0.5
"""Images are kept in memory if they take at most this share of what is free."""

Fill = Callable[[NDArray[np.uint8], int], None]
"""fill(block, start) writes image start + i of the source into block[i] of a (b, h, w, 3) array."""
Progress = Callable[[int, int], None]
"""Receives how many images are done, and how many there are."""


def _unwatched(done: int, total: int) -> None:
    """Show no progress."""


def open_images(
    path: Path,
    shape: tuple[int, int, int, int],
    source: Mapping[str, Any],
    fill: Fill,
    report: Report = silent,
    progress: Progress = _unwatched,
) -> NDArray[np.uint8]:
    """Return the images of a cache as a read-only memory map, building the cache if need be.

    A cache is used when it is whole and was made by this format from this source; any other one is
    replaced. Of several processes, one builds and the others wait. After a kill, the next call goes
    on behind the last block that is safe on the disk. Only a build needs a writable folder.

    Args:
        path: the .npy file.
        shape: (n, h, w, 3), each 1 or more.
        source: what identifies the images, ready for JSON: digest of the files, size, resizing.
        fill: decodes a block; called with consecutive blocks, in order. What is wrong with its
            files it raises as a DataProblem: the unfinished cache is then removed, because another
            try needs other files. Other errors, such as a full disk, keep it.
        report: is told why an existing cache is built again, and of waiting for another process.
        progress: is told after every block.

    Raises:
        DataProblem: the disk is too small, or the folder cannot be read or written to.
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
    images: NDArray[np.uint8] = np.lib.format.open_memmap(path, mode="r")
    return images


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

    @property
    def header(self) -> bytes:
        """The .npy header."""
        file = io.BytesIO()
        facts = {"descr": "|u1", "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(file, facts)
        return file.getvalue()

    def size(self, images: int) -> int:
        """Return the bytes of a file with so many images."""
        return len(self.header) + images * int(np.prod(self.shape[1:]))

    def flaw(self) -> str | None:
        """Return why the cache cannot be used, or None if it can."""
        try:
            if not self.path.is_file():
                return "it is not there"
            found, size = self._recorded(), self.path.stat().st_size
            with self.path.open("rb") as file:
                header = file.read(len(self.header))
        except OSError as error:
            raise DataProblem(f"{self.path} cannot be read: {error.strerror}.") from error
        expected = self._facts(self.shape[0])
        if not found:
            return f"{self.record.name} is missing or damaged"
        for name, value in expected.items():
            if found.get(name) != value:
                return f"expected {name} {value}, found {found.get(name)}"
        if size != self.size(self.shape[0]):
            return f"expected {self.size(self.shape[0]):,} bytes, found {size:,}"
        return None if header == self.header else "its header is damaged"

    def build(self, fill: Fill, progress: Progress) -> None:
        """Make the cache in place of what is there; the caller holds the lock."""
        done = self._resumable()
        for stale in (self.path, *(() if done else (self.record, self.part))):
            stale.unlink(missing_ok=True)
        self._require_space(done)
        try:
            self._write(done, fill, progress)
        except DataProblem:
            self.part.unlink(missing_ok=True)
            self.record.unlink(missing_ok=True)
            raise
        # The record is complete by now: a kill between the two is made good by the next call.
        self.part.replace(self.path)
        _sync_folder(self.path.parent)

    def _write(self, done: int, fill: Fill, progress: Progress) -> None:
        """Append blocks to the part, each recorded once it is safe on the disk."""
        total = self.shape[0]
        rows = min(total, max(1, BLOCK_BYTES // int(np.prod(self.shape[1:]))))
        buffer = np.empty((rows, *self.shape[1:]), np.uint8)
        with self.part.open("r+b" if done else "wb") as file:
            if not done:
                file.write(self.header)
            file.seek(self.size(done))
            file.truncate()
            for start in range(done, total, rows):
                block = buffer[: total - start]
                fill(block, start)
                file.write(block.data)
                file.flush()
                os.fsync(file.fileno())
                self._note(start + len(block))
                progress(start + len(block), total)

    def _facts(self, done: int) -> dict[str, Any]:
        return {"format": FORMAT, "shape": list(self.shape), "source": self.source, "done": done}

    def _recorded(self) -> dict[str, Any]:
        """Return what the record says; nothing if it is missing or damaged."""
        try:
            found = json.loads(self.record.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _note(self, done: int) -> None:
        """Record, at once and for good, how many images are safe."""
        fresh = self.record.with_name(self.record.name + ".part")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(self._facts(done), file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.record)
        _sync_folder(self.record.parent)

    def _resumable(self) -> int:
        """Return how many images of an unfinished build can be kept."""
        found = self._recorded()
        done = found.get("done")
        if not isinstance(done, int) or not 0 < done <= self.shape[0]:
            return 0
        if found != self._facts(done) or not self.part.is_file():
            return 0
        with self.part.open("rb") as file:
            same_header = file.read(len(self.header)) == self.header
        return done if same_header and self.part.stat().st_size >= self.size(done) else 0

    def _require_space(self, done: int) -> None:
        needed = self.size(self.shape[0]) - (self.part.stat().st_size if done else 0)
        free = shutil.disk_usage(self.path.parent).free
        if needed > free:
            raise DataProblem(
                f"{self.path.parent} needs {needed / 1e6:,.1f} MB for {self.path.name}, found "
                f"{free / 1e6:,.1f} MB free. Make room or give another folder with --data DIR."
            )


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder safe on the disk."""
    if os.name == "nt":  # which has no such call
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fits_in_memory(size: int) -> bool:
    """Return whether `size` bytes of images are better kept in memory than mapped from a cache.

    They are if they take at most half of the free memory, since a run copies them once, into the
    order of its network. Where the free memory cannot be told, they are not.
    """
    free = free_memory()
    return free is not None and size <= FREE_MEMORY_SHARE * free


def free_memory(system: Path = Path("/")) -> int | None:
    """Return how many bytes this process may still take, or None where Linux does not say.

    It is the machine's available memory, or what a container's limit leaves of it. A container's
    use includes the system's copies of files that it has read, so the answer errs on the low side.

    Args:
        system: the folder of proc/ and sys/.
    """
    groups = system / "sys/fs/cgroup"
    try:
        lines = (system / "proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if "MemAvailable:" in line)
    except (OSError, StopIteration):
        return None
    for pair in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most, taken = (int((groups / name).read_text()) for name in pair)
        except (OSError, ValueError):  # no such limit, or the word "max"
            continue
        free = min(free, max(0, most - taken))
    return free
