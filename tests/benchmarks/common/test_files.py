import os
import subprocess
import sys
import time

import pytest

from benchmarks.common import files
from benchmarks.common.files import atomic_path, clear_parts


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


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (ValueError("a\r\n b\x1e\x1b[3mc\u2028d"), "a b [3mc d"),
        (MemoryError(), "MemoryError"),
        ("x" * 500, "x" * 159 + "…"),
    ],
)
def test_any_words_are_one_printable_line(words, line):
    assert files.one_line(words) == line
