"""What image files hold, known by content and remembered while the files are unchanged.

A record keeps, by name, each file's stamp (size, times, inode) beside the SHA-256 of its content
and what `decode.inspect` saw. A file with the same stamp is not read again; any other one is.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.common.files import write_whole
from benchmarks.data.sources.decode import (
    DECODER,
    TOO_LARGE_FOR_MEMORY,
    Seen,
    inspect,
    quiet,
    reason,
)

FORMAT = 1
"""Changes when an older record can no longer be used."""
TOGETHER = 16
"""Files that a thread reads at a time."""
SETTLED = 2_000_000_000
"""Nanoseconds: a file that changed more recently may change again without another stamp."""


class SourceFile(NamedTuple):
    """An image file and what it is called in records and messages."""

    name: str
    path: Path


def survey(
    files: Sequence[SourceFile], record: Path | None, progress: Callable[[int, int], None]
) -> list[Seen]:
    """Return what each file holds; only files that are new or changed are read.

    Args:
        files: any number, with different names.
        record: where what was seen is kept; None: nowhere. If it cannot be written, which costs
            time alone, the next call reads the files again.
        progress: receives how many of the files to read are done, and how many there are.
    """
    known = _recorded(record)
    stamps = [stamp(file.path) for file in files]
    seen: dict[int, Seen] = {}
    for row, (file, now) in enumerate(zip(files, stamps, strict=True)):
        before = known.get(file.name)
        if now is not None and before and before[0] == now:
            seen[row] = Seen(*before[1])
    unread = [row for row in range(len(files)) if row not in seen]
    spans = [unread[start : start + TOGETHER] for start in range(0, len(unread), TOGETHER)]

    def look(rows: list[int]) -> list[tuple[Seen, bool]]:
        return [_look(files[row].path) for row in rows]

    done = 0
    try:
        with ThreadPoolExecutor(cores()) as pool, quiet():
            for rows, results in zip(spans, pool.map(look, spans), strict=True):
                for row, (facts, settled) in zip(rows, results, strict=True):
                    seen[row] = facts
                    stamps[row] = stamps[row] if settled else None
                done += len(rows)
                progress(done, len(unread))
    finally:  # what was seen before Ctrl-C need not be read again
        if record is not None and (unread or len(known) != len(files)):
            _keep(record, files, stamps, seen)
    return [seen[row] for row in range(len(files))]


def stamp(path: Path) -> list[int] | None:
    """Return what changes with a file's content: size, times and inode; None without a file.

    The time of change cannot be set back as the time of modification can.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def is_settled(stamped: Sequence[int]) -> bool:
    """Return whether a file's last change is so long ago that another would show in its times."""
    return time.time_ns() - max(stamped[1:3]) > SETTLED


def _look(path: Path) -> tuple[Seen, bool]:
    """Return what a file holds, and whether its stamp vouches for that from now on."""
    before = stamp(path)
    try:
        content = path.read_bytes()
    except (OSError, MemoryError) as error:  # may be mended without a change of the file
        return Seen("", flaw=reason(error)), False
    settled = before is not None and before == stamp(path) and is_settled(before)
    facts = inspect(content)
    return facts, settled and facts.flaw != TOO_LARGE_FOR_MEMORY


def _recorded(record: Path | None) -> dict[str, Any]:
    """Return stamp and facts by name; nothing from a record that is absent, other or damaged."""
    if record is None:
        return {}
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        if found["format"] != FORMAT or found["decoder"] != DECODER:
            return {}
        return {
            name: (stamped, facts)
            for name, (stamped, facts) in found["files"].items()
            if len(facts) == len(Seen._fields) and isinstance(facts[0], str)
        }
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return {}


def _keep(
    record: Path,
    files: Sequence[SourceFile],
    stamps: Sequence[list[int] | None],
    seen: dict[int, Seen],
) -> None:
    content = {
        "format": FORMAT,
        "decoder": DECODER,
        "files": {
            file.name: [stamps[row], seen[row]]
            for row, file in enumerate(files)
            if row in seen and stamps[row] is not None
        },
    }
    with suppress(OSError):  # costs the time of the next call only
        record.parent.mkdir(parents=True, exist_ok=True)
        write_whole(record, json.dumps(content).encode())


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
