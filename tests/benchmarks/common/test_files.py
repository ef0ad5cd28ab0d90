import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from benchmarks.common import files
from benchmarks.common.errors import DiskProblem
from benchmarks.common.files import atomic_path, clear_parts, require_space, write_whole


@pytest.fixture(scope="module")
def dead() -> int:
    """Return the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def part(folder, process, place=None, age=0.0):
    place = files._this_place() if place is None else place
    path = folder / f".run.json.{place}.{process}.part"
    path.write_text("half")
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_parts_of_dead_processes_are_removed_and_nothing_else(tmp_path, dead):
    mine = part(tmp_path, os.getpid())
    alive = part(tmp_path, os.getppid())
    gone = part(tmp_path, dead)
    far, far_and_old = part(tmp_path, dead, "0123abcd"), part(tmp_path, dead, "4567abcd", 7200)
    of_old_version = tmp_path / f".x.{dead}.part"
    of_old_version.write_text("half")
    os.utime(of_old_version, (time.time() - 7200,) * 2)
    others = [tmp_path / name for name in ("images.npy.part", "a.part", ".hidden", "run.json")]
    for path in others:
        path.write_text("kept")
    clear_parts(tmp_path)
    assert set(tmp_path.iterdir()) == {mine, alive, far, *others}
    assert not any(path.exists() for path in (gone, far_and_old, of_old_version))


def test_who_holds_the_lock_knows_that_no_process_of_this_machine_writes(tmp_path):
    number_in_use_again, far = part(tmp_path, os.getppid()), part(tmp_path, 1, "0123abcd")
    clear_parts(tmp_path, locked=True)
    assert not number_in_use_again.exists()
    assert far.exists()


def test_every_write_clears_its_folder(tmp_path, dead):
    left = part(tmp_path, dead)
    with atomic_path(tmp_path / "other.txt") as path:
        path.write_text("new")
    assert not left.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["other.txt"]


def test_folder_that_is_not_there_needs_no_clearing(tmp_path):
    clear_parts(tmp_path / "none")


def test_a_part_that_cannot_be_removed_stays(tmp_path, dead, monkeypatch):
    left = part(tmp_path, dead)

    def refuse(self, missing_ok=False):
        raise PermissionError(13, "no")

    monkeypatch.setattr(type(left), "unlink", refuse)
    clear_parts(tmp_path)
    assert left.exists()


def test_a_small_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    target = tmp_path / "facts.json"
    write_whole(target, b"old")
    assert target.read_bytes() == b"old"

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["facts.json"]


def test_a_disk_without_room_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2_000_000))
    require_space(tmp_path, 2_000_000, "images")
    with pytest.raises(DiskProblem, match=r"needs 2\.1 MB for images, found 2\.0 MB free"):
        require_space(tmp_path, 2_100_000, "images")
