import errno
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.common.errors import DataProblem
from benchmarks.data.sources import decode_cache as module
from benchmarks.data.sources.decode_cache import (
    open_images,
    open_usable,
)

SHAPE = (7, 4, 5, 3)
IMAGE = 4 * 5 * 3
SOURCE = {"digest": "ab12", "image_size": 4, "resize": None}
ROOT = Path(__file__).parents[4]


@pytest.fixture(autouse=True)
def _two_images_a_block(monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 2 * IMAGE)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "images.npy"


class Decoder:
    """Image i is all i + first; remembers the blocks that it was asked for."""

    def __init__(self, first=1, stop_at=None, error=None):
        self.first, self.stop_at, self.error = first, stop_at, error
        self.starts: list[int] = []

    def __call__(self, block: np.ndarray, start: int) -> None:
        if start == self.stop_at:
            raise self.error
        self.starts.append(start)
        block[:] = (np.arange(start, start + len(block)) + self.first)[:, None, None, None]


def assert_content(images: np.ndarray, first: int = 1) -> None:
    expected = (np.arange(len(images)) + first).astype(np.uint8)
    np.testing.assert_array_equal(images, np.broadcast_to(expected[:, None, None, None], SHAPE))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def interrupted(path: Path, stop_at: int = 4, **changes) -> None:
    """Leave what a build of `Decoder(first=1)` leaves that is interrupted before a block."""
    decoder = Decoder(stop_at=stop_at, error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        open_images(path, SHAPE, {**SOURCE, **changes}, decoder)


def test_it_is_built_in_blocks_and_reused(path):
    decoder, seen = Decoder(), []
    images = open_images(path, SHAPE, SOURCE, decoder, progress=lambda *counts: seen.append(counts))
    assert_content(images)
    assert decoder.starts == [0, 2, 4, 6]
    assert seen == [(2, 7), (4, 7), (6, 7), (7, 7)]
    again = Decoder()
    assert_content(open_images(path, SHAPE, SOURCE, again, pytest.fail))
    assert again.starts == []
    assert files(path.parent) == ["images.npy", "images.npy.json"]
    record = json.loads((path.parent / "images.npy.json").read_text())
    blocks = record.pop("blocks")
    assert record == {
        "format": 2,
        "shape": [7, 4, 5, 3],
        "source": SOURCE,
        "done": 7,
        "left_out": [],
    }
    pixels = np.load(path)
    assert blocks == [
        [end, end - start, hashlib.sha256(pixels[start:end].tobytes()).hexdigest()]
        for start, end in ((0, 2), (2, 4), (4, 6), (6, 7))
    ]


def test_it_is_a_plain_npy_file_mapped_read_only(path):
    images = open_images(path, SHAPE, SOURCE, Decoder())
    assert isinstance(images, np.memmap)
    assert (images.dtype, images.shape, images.flags.c_contiguous) == (np.uint8, SHAPE, True)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0
    np.testing.assert_array_equal(np.load(path), images)


def test_a_whole_cache_needs_no_lock(path):
    open_images(path, SHAPE, SOURCE, Decoder())
    lock = path.with_name(".images.npy.lock")
    lock.unlink(missing_ok=True)
    assert_content(open_images(path, SHAPE, SOURCE, Decoder()))
    assert not lock.exists()


@pytest.mark.parametrize("shape", [(0, 4, 5, 3), (7, 4, 5, 1), (7, 60), (7, 4, 0, 3)])
def test_shapes_that_are_no_images(path, shape):
    with pytest.raises(ValueError, match=r"expected \(n, h, w, 3\)"):
        open_images(path, shape, SOURCE, Decoder())


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def damage_header(path: Path) -> None:
    path.write_bytes(b"\0" + path.read_bytes()[1:])


def lose_record(path: Path) -> None:
    path.with_name("images.npy.json").unlink()


def damage_record(path: Path) -> None:
    path.with_name("images.npy.json").write_text('{"format": 1, "sha')


def older_record(path: Path) -> None:
    record = path.with_name("images.npy.json")
    record.write_text(record.read_text().replace('"format": 2', '"format": 1'))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, r"expected \d+ bytes, found \d+"),
        (lengthen, r"expected \d+ bytes, found \d+"),
        (damage_header, "header is damaged"),
        (lose_record, r"images\.npy\.json is missing or damaged"),
        (damage_record, r"images\.npy\.json is missing or damaged"),
        (older_record, "expected format 2, found 1"),
    ],
)
def test_a_flawed_cache_is_built_again_with_a_note(path, damage, reason):
    open_images(path, SHAPE, SOURCE, Decoder(first=50))
    damage(path)
    notes, decoder = [], Decoder()
    assert_content(open_images(path, SHAPE, SOURCE, decoder, notes.append))
    assert decoder.starts == [0, 2, 4, 6]
    (note,) = notes
    assert note.startswith(f"{path} is built again: ")
    assert re.search(reason, note)


@pytest.mark.parametrize(
    ("shape", "digest", "reason"),
    [
        (SHAPE, "cd34", "expected source .*ab12.*, found .*cd34"),
        ((9, 4, 5, 3), "ab12", r"expected shape \[7, 4, 5, 3\], found \[9, 4, 5, 3\]"),
    ],
)
def test_another_cache_is_replaced(path, shape, digest, reason):
    open_images(path, shape, {**SOURCE, "digest": digest}, Decoder(first=50))
    notes = []
    assert_content(open_images(path, SHAPE, SOURCE, Decoder(), notes.append))
    assert re.search(reason, notes[0])


def test_another_cache_is_not_taken_for_one_whose_last_step_is_missing(path):
    """The record is complete before the part has its last name."""
    open_images(path, SHAPE, {**SOURCE, "digest": "cd34"}, Decoder(first=50))
    with pytest.raises(KeyboardInterrupt):
        open_images(path, SHAPE, SOURCE, Decoder(), progress=interrupt_at_the_end)
    assert_content(open_images(path, SHAPE, SOURCE, Decoder()))


def interrupt_at_the_end(done: int, total: int) -> None:
    if done == total:
        raise KeyboardInterrupt


def test_an_interrupted_build_goes_on_where_it_was(path):
    interrupted(path)
    assert files(path.parent) == ["images.npy.json", "images.npy.part"]
    decoder = Decoder()
    assert_content(open_images(path, SHAPE, SOURCE, decoder, pytest.fail))
    assert decoder.starts == [4, 6]
    assert files(path.parent) == ["images.npy", "images.npy.json"]


def test_an_interrupted_build_of_another_source_is_not_gone_on_with(path):
    interrupted(path, digest="cd34")
    decoder = Decoder()
    assert_content(open_images(path, SHAPE, SOURCE, decoder))
    assert decoder.starts == [0, 2, 4, 6]


def killed(*args: object) -> None:
    raise KeyboardInterrupt


def test_a_record_never_vouches_for_blocks_of_another_source(path, monkeypatch):
    interrupted(path, stop_at=2)
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            open_images(path, SHAPE, {**SOURCE, "digest": "cd34"}, Decoder(first=50))
    decoder = Decoder()
    assert_content(open_images(path, SHAPE, SOURCE, decoder))
    assert decoder.starts == [0, 2, 4, 6]


@pytest.mark.parametrize("damage", [cut, damage_header, Path.unlink])
def test_a_part_that_is_not_as_recorded_is_not_used(path, damage):
    interrupted(path)
    damage(path.with_name("images.npy.part"))
    decoder = Decoder()
    assert_content(open_images(path, SHAPE, SOURCE, decoder))
    assert decoder.starts == [0, 2, 4, 6]


def test_half_a_block_behind_the_record_is_overwritten(path):
    interrupted(path)
    with path.with_name("images.npy.part").open("ab") as file:
        file.write(bytes(IMAGE * 20))
    assert_content(open_images(path, SHAPE, SOURCE, Decoder()))
    assert_content(open_images(path, SHAPE, SOURCE, Decoder(), pytest.fail))


def test_a_kill_between_the_last_block_and_the_last_name_costs_nothing(path):
    open_images(path, SHAPE, SOURCE, Decoder())
    path.rename(path.with_name("images.npy.part"))
    decoder = Decoder()
    assert_content(open_images(path, SHAPE, SOURCE, decoder, pytest.fail))
    assert decoder.starts == []


@pytest.mark.parametrize("stop_at", [0, 4])
def test_damaged_sources_leave_nothing_behind(path, stop_at):
    with pytest.raises(DataProblem, match=r"x\.jpg"):
        open_images(path, SHAPE, SOURCE, Decoder(stop_at=stop_at, error=DataProblem("x.jpg")))
    assert files(path.parent) == []


def test_a_disk_that_fills_up_is_named_and_costs_no_finished_block(path):
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(DataProblem, match=r"Cannot write images\.npy to .*: No space left.*--data"):
        open_images(path, SHAPE, SOURCE, Decoder(stop_at=4, error=full))
    decoder = Decoder()
    assert_content(open_images(path, SHAPE, SOURCE, decoder))
    assert decoder.starts == [4, 6]


def test_too_small_a_disk_is_noticed_before_the_first_block(tmp_path, monkeypatch):
    path, shape = tmp_path / "images.npy", (1000, 40, 50, 3)  # 6 MB
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=5_900_000))
    decoder = Decoder()
    with pytest.raises(DataProblem) as problem:
        open_images(path, shape, SOURCE, decoder)
    expected = f"{tmp_path} needs 6.0 MB for images.npy, found 5.9 MB free. Make room or"
    assert expected in str(problem.value)
    assert decoder.starts == []
    assert files(tmp_path) == []


def test_what_is_on_the_disk_already_needs_no_room(path, monkeypatch):
    interrupted(path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3 * IMAGE))
    assert_content(open_images(path, SHAPE, SOURCE, Decoder()))


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DataProblem, match=r"Cannot write images\.npy to .*file"):
        open_images(tmp_path / "file" / "images.npy", SHAPE, SOURCE, Decoder())


def test_a_build_takes_one_block_of_memory(path, monkeypatch):
    shape = (400, 32, 32, 3)  # 1.2 MB
    monkeypatch.setattr(module, "BLOCK_BYTES", 32 * 32 * 3 * 10)
    tracemalloc.start()
    open_images(path, shape, SOURCE, Decoder())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 400_000


CHILD = """
import sys, time
from pathlib import Path
import numpy as np
from benchmarks.data.sources import decode_cache as cache
cache.BLOCK_BYTES = 2 * 4 * 5 * 3
folder, stop_at = Path(sys.argv[1]), int(sys.argv[2])
def note(line):
    with (folder / "log").open("a") as log:
        log.write(line + "\\n")
def fill(block, start):
    note(f"block {start}")
    while start == stop_at and not (folder / "go").exists():
        time.sleep(0.01)
    block[:] = (np.arange(start, start + len(block)) + 1)[:, None, None, None]
source = {"digest": "ab12", "image_size": 4, "resize": None}
images = cache.open_images(folder / "cache" / "images.npy", (7, 4, 5, 3), source, fill, note)
print(images[:, 0, 0, 0].tolist())
"""


def child(folder: Path, stop_at: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(stop_at)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for(folder: Path, words: str) -> None:
    log = folder / "log"
    deadline = time.monotonic() + 60
    while not (log.exists() and words in log.read_text()):
        assert time.monotonic() < deadline, "the child process did not get there"
        time.sleep(0.01)


def test_a_killed_build_goes_on_behind_its_last_finished_block(tmp_path):
    process = child(tmp_path, stop_at=4)
    wait_for(tmp_path, "block 4")
    process.kill()
    process.communicate()
    path = tmp_path / "cache" / "images.npy"
    assert files(path.parent) == ["images.npy.json", "images.npy.part"]
    decoder = Decoder()
    assert_content(open_images(path, SHAPE, SOURCE, decoder))
    assert decoder.starts == [4, 6]


def test_of_two_processes_one_builds_and_the_other_waits(tmp_path):
    processes = [child(tmp_path, stop_at=2) for _ in range(2)]
    wait_for(tmp_path, "block 2")
    wait_for(tmp_path, "waiting for another process")
    (tmp_path / "go").touch()
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert outputs == ["[1, 2, 3, 4, 5, 6, 7]\n"] * 2
    blocks = [line for line in (tmp_path / "log").read_text().splitlines() if "block" in line]
    assert blocks == ["block 0", "block 2", "block 4", "block 6"]


def test_the_other_process_takes_over_when_the_builder_is_killed(tmp_path):
    builder = child(tmp_path, stop_at=4)
    wait_for(tmp_path, "block 4")
    heir = child(tmp_path, stop_at=-1)
    wait_for(tmp_path, "waiting for another process")
    builder.kill()
    builder.communicate()
    assert heir.communicate(timeout=60)[0] == "[1, 2, 3, 4, 5, 6, 7]\n"
    blocks = [line for line in (tmp_path / "log").read_text().splitlines() if "block" in line]
    assert blocks == ["block 0", "block 2", "block 4", "block 4", "block 6"]


class Picky(Decoder):
    """Leaves out every image whose number is a multiple of three."""

    def __call__(self, block: np.ndarray, start: int) -> dict[int, str]:
        super().__call__(block, start)
        return {row: "flawed" for row in range(len(block)) if (start + row) % 3 == 0}


def assert_picked(found) -> None:
    assert found.left_out == {0: "flawed", 3: "flawed", 6: "flawed"}
    np.testing.assert_array_equal(found.images[:, 0, 0, 0], [2, 3, 5, 6])
    assert found.images.shape == (4, 4, 5, 3)


def test_images_that_are_left_out_have_no_row_and_a_reason(path):
    assert_picked(open_usable(path, SHAPE, SOURCE, Picky()))
    again = Picky()
    assert_picked(open_usable(path, SHAPE, SOURCE, again, pytest.fail))
    assert again.starts == []
    assert np.load(path).shape == (4, 4, 5, 3)


@pytest.mark.parametrize("stop_at", [2, 4, 6])
def test_an_interrupted_build_remembers_what_it_left_out(path, stop_at):
    with pytest.raises(KeyboardInterrupt):
        open_usable(path, SHAPE, SOURCE, Picky(stop_at=stop_at, error=KeyboardInterrupt()))
    decoder = Picky()
    assert_picked(open_usable(path, SHAPE, SOURCE, decoder, pytest.fail))
    assert decoder.starts == list(range(stop_at, 7, 2))


def test_a_kill_before_the_last_name_costs_nothing_though_images_are_left_out(path):
    open_usable(path, SHAPE, SOURCE, Picky())
    path.rename(path.with_name("images.npy.part"))
    decoder = Picky()
    assert_picked(open_usable(path, SHAPE, SOURCE, decoder, pytest.fail))
    assert decoder.starts == []


def test_all_images_may_be_left_out(path):
    def nothing(block, start):
        return dict.fromkeys(range(len(block)), "flawed")

    for fill in (nothing, None):
        found = open_usable(path, SHAPE, SOURCE, fill)
        assert (found.images.shape, len(found.left_out)) == ((0, 4, 5, 3), 7)


def flip(path: Path) -> None:
    """Change one byte and keep size and time of modification."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-IMAGE * 3] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("checked_always", [0, 1 << 26])
@pytest.mark.parametrize("settled", [True, False])
def test_another_content_of_the_same_size_is_built_again(
    path, monkeypatch, checked_always, settled
):
    monkeypatch.setattr(module, "CHECKED_ALWAYS", checked_always)
    monkeypatch.setattr(module, "is_settled", lambda stamped: settled)
    open_images(path, SHAPE, SOURCE, Decoder())
    open_images(path, SHAPE, SOURCE, Decoder())
    time.sleep(0.02)  # the clock of a file system may have ticks of 10 ms
    flip(path)
    notes = []
    assert_content(open_images(path, SHAPE, SOURCE, Decoder(), notes.append))
    assert notes == [
        f"{path} is built again: its content is not what was written: block 3 is damaged"
    ]


def test_a_large_cache_is_checked_once_and_then_known_by_its_stamp(path, monkeypatch):
    monkeypatch.setattr(module, "CHECKED_ALWAYS", 0)
    monkeypatch.setattr(module, "is_settled", lambda stamped: True)
    open_images(path, SHAPE, SOURCE, Decoder())
    assert_content(open_images(path, SHAPE, SOURCE, Decoder(), pytest.fail))
    monkeypatch.setattr(module._Cache, "_whole_blocks", None)
    assert_content(open_images(path, SHAPE, SOURCE, Decoder(), pytest.fail))
    os.utime(path)
    with pytest.raises(TypeError):
        open_images(path, SHAPE, SOURCE, Decoder())


def test_a_part_of_another_content_is_not_gone_on_with(path):
    interrupted(path)
    flip(path.with_name("images.npy.part"))
    decoder = Decoder()
    assert_content(open_images(path, SHAPE, SOURCE, decoder))
    assert decoder.starts == [0, 2, 4, 6]


@pytest.mark.parametrize(
    "changes",
    [
        {"blocks": None},
        {"blocks": [[7, 7]]},
        {"blocks": [[7, "7", "ab"]]},
        {"left_out": [[99, "x"]]},
        {"left_out": [[0, "x"]]},
        {"left_out": {}},
    ],
)
def test_a_record_that_does_not_fit_together_is_damaged(path, changes):
    open_images(path, SHAPE, SOURCE, Decoder(first=50))
    record = path.with_name("images.npy.json")
    record.write_text(json.dumps({**json.loads(record.read_text()), **changes}))
    assert_content(open_images(path, SHAPE, SOURCE, Decoder()))
