import hashlib
import io
import re
import tarfile
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.common.errors import DataProblem
from benchmarks.data.sources import download as module
from benchmarks.data.sources.download import download, exclusive, md5_of, unpacked, verify

BODY = np.random.default_rng(0).bytes(300_000)
MD5 = hashlib.md5(BODY).hexdigest()
HALF = len(BODY) // 2


@pytest.fixture
def target(mirror, tmp_path) -> Path:
    mirror.files["file.bin"] = BODY
    return tmp_path / "file.bin"


def get(mirror, target: Path, *behaviours: str, report=lambda message: None) -> None:
    urls = [mirror.url(behaviour, "file.bin") for behaviour in behaviours]
    download(urls, target, MD5, len(BODY), report)


def part_of(target: Path) -> Path:
    return target.with_name("file.bin.part")


def assert_whole(target: Path) -> None:
    assert target.read_bytes() == BODY
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    "behaviours",
    [
        ("range",),
        ("missing", "range"),
        ("page", "range"),
        ("wrong", "range"),
        ("endless", "range"),
        ("truncated", "range"),
        ("truncated", "plain"),
        ("truncated", "wrong", "range"),
        ("truncated", "shifted", "page", "missing", "range"),
    ],
)
def test_a_good_mirror_anywhere_in_the_list_is_enough(mirror, target, behaviours):
    get(mirror, target, *behaviours)
    assert_whole(target)


def test_a_partial_file_is_resumed(mirror, target):
    part_of(target).write_bytes(BODY[:1000])
    get(mirror, target, "range")
    assert_whole(target)
    assert mirror.log == [("range", "bytes=1000-")]


def test_a_server_that_ignores_range_restarts_the_file(mirror, target):
    part_of(target).write_bytes(b"x" * 1000)
    get(mirror, target, "plain")
    assert_whole(target)
    assert mirror.log == [("plain", "bytes=1000-")]


def test_a_broken_connection_is_resumed_at_the_next_mirror(mirror, target):
    get(mirror, target, "truncated", "range")
    assert mirror.log == [("truncated", None), ("range", f"bytes={HALF}-")]


def test_a_stalled_mirror_is_left_and_its_bytes_are_kept(mirror, target, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    get(mirror, target, "stalled", "range")
    assert_whole(target)
    assert mirror.log[1] == ("range", f"bytes={HALF}-")


def test_a_slow_mirror_waits_until_the_others_failed(mirror, target, monkeypatch):
    monkeypatch.setattr(module, "WINDOW", 1e-6)
    monkeypatch.setattr(module, "SLOWEST", 10**15)
    lines = []
    get(mirror, target, "range", "missing", report=lines.append)
    assert_whole(target)
    assert [behaviour for behaviour, _ in mirror.log] == ["range", "missing", "range"]
    assert any("slow, trying the other mirrors" in line for line in lines)
    assert any(re.search(r"0 of 0 MB, [\d.]+ MB/s", line) for line in lines)


def test_damaged_bytes_from_before_do_not_condemn_a_mirror(mirror, target):
    part_of(target).write_bytes(b"x" * 1000)
    get(mirror, target, "range")
    assert_whole(target)
    assert mirror.log == [("range", "bytes=1000-"), ("range", None)]


@pytest.mark.parametrize("left", [BODY, BODY + b"x", b"x" * len(BODY)])
def test_a_part_of_full_length_or_more(mirror, target, left):
    part_of(target).write_bytes(left)
    get(mirror, target, "range")
    assert_whole(target)
    assert mirror.log == ([] if left == BODY else [("range", None)])


def test_a_whole_file_is_left_alone_and_a_damaged_one_is_replaced(mirror, target):
    target.write_bytes(BODY)
    get(mirror, target, "range")
    assert mirror.log == []
    target.write_bytes(BODY[:-1])
    get(mirror, target, "range")
    assert_whole(target)


def test_when_all_mirrors_fail_each_is_listed_with_its_reason(mirror, target):
    with pytest.raises(DataProblem) as problem:
        get(mirror, target, "missing", "wrong", "page", "endless", "truncated", "shifted")
    text = str(problem.value)
    for behaviour, reason in {
        "missing": "HTTP 404 Not Found",
        "wrong": f"expected MD5 {MD5}, found {hashlib.md5(bytes(len(BODY))).hexdigest()}",
        "page": "expected 300,000 bytes, offered 18",
        "endless": "expected 300,000 bytes, sent more",
        "truncated": "closed the connection after 150,000 of 300,000 bytes",
        "shifted": "expected bytes from 150000 of 300000, offered 'bytes 150001-299999/300000'",
    }.items():
        assert f"{mirror.url(behaviour, 'file.bin')}: {reason}" in text
    assert "No mirror gave file.bin:" in text
    assert "150,000 of 300,000 bytes are kept" in text
    assert not target.exists()
    assert part_of(target).read_bytes() == BODY[:HALF]


def test_nothing_is_left_when_no_mirror_sent_a_byte(mirror, target):
    dead = "http://127.0.0.1:9/file.bin"
    with pytest.raises(DataProblem, match=r"127\.0\.0\.1:9/file\.bin: .*refused") as problem:
        download([dead], target, MD5, len(BODY))
    assert "are kept" not in str(problem.value)
    assert not list(target.parent.iterdir())


def test_too_little_room_is_noticed_before_the_first_byte(mirror, target, monkeypatch):
    part_of(target).write_bytes(BODY[:1000])
    usage = SimpleNamespace(free=len(BODY) - 1001)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(DataProblem, match=r"needs 0\.\d MB for file\.bin\.part, found 0"):
        get(mirror, target, "range")
    assert mirror.log == []
    usage.free += 1
    get(mirror, target, "range")
    assert_whole(target)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_stops_at_once(mirror, target):
    part_of(target).symlink_to("/dev/full")
    with pytest.raises(DataProblem, match="No space left on device"):
        get(mirror, target, "range", "plain")
    assert [behaviour for behaviour, _ in mirror.log] == ["range"]
    assert not target.exists()


@pytest.mark.parametrize("url", ["nothing", "http://[", "gopher://x/y", "http://x..y/z"])
def test_an_address_that_is_none_is_a_reason(mirror, target, url):
    with pytest.raises(DataProblem, match=r"No mirror gave file\.bin"):
        download([url], target, MD5, len(BODY))


def test_verify_names_file_and_both_digests(tmp_path):
    file = tmp_path / "file.bin"
    with pytest.raises(DataProblem, match=rf"file\.bin is missing \(expected MD5 {MD5}\)"):
        verify(file, MD5, "fetch it")
    file.write_bytes(b"abc")
    with pytest.raises(DataProblem) as problem:
        verify(file, MD5, "fetch it")
    assert str(problem.value) == (
        f"{file} is damaged: expected MD5 {MD5}, found 900150983cd24fb0d6963f7d28e17f72 (3 bytes). "
        "Delete it and fetch it."
    )
    assert md5_of(file) == "900150983cd24fb0d6963f7d28e17f72"
    verify(file, md5_of(file), "fetch it")


def test_exclusive_lets_one_in_at_a_time(tmp_path):
    inside, lines, entered = threading.Event(), [], []

    def second() -> None:
        with exclusive(tmp_path, "toy", lambda line: (lines.append(line), inside.set())):
            entered.append("second")

    with exclusive(tmp_path, "toy"):
        thread = threading.Thread(target=second)
        thread.start()
        assert inside.wait(10)
        entered.append("first")
    thread.join()
    assert entered == ["first", "second"]
    assert lines == [f"toy: waiting for another process that prepares it in {tmp_path}"]


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(DataProblem, match=r"Cannot write toy to .*give another folder"),
        exclusive(tmp_path / "file", "toy"),
    ):
        pass


def archive_of(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_unpacked_lives_beside_the_archive_for_a_while(tmp_path):
    archive = archive_of(tmp_path / "a.tar.gz", {"d/one": b"1", "d/two": b"2"})
    stale = tmp_path / ".a.tar.gz.unpacked" / "stale"
    stale.mkdir(parents=True)
    with unpacked(archive) as folder:
        assert folder.parent == tmp_path
        assert [path.name for path in folder.iterdir()] == ["d"]
        assert (folder / "d/two").read_bytes() == b"2"
    assert list(tmp_path.iterdir()) == [archive]


@pytest.mark.parametrize("name", ["../evil", "d/../../../evil"])
def test_an_archive_cannot_write_outside(tmp_path, name):
    inner = tmp_path / "inner"
    inner.mkdir()
    archive = archive_of(inner / "a.tar.gz", {name: b"!"})
    with pytest.raises(DataProblem, match="cannot be unpacked"), unpacked(archive):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["inner", "a.tar.gz"]


def test_a_truncated_archive_is_named(tmp_path):
    archive = archive_of(tmp_path / "a.tar.gz", {"d/one": BODY})
    archive.write_bytes(archive.read_bytes()[:1000])
    with pytest.raises(DataProblem, match=r"a\.tar\.gz cannot be unpacked"), unpacked(archive):
        pass
    assert list(tmp_path.iterdir()) == [archive]


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_zip_is_unpacked_too(tmp_path):
    archive = zip_of(tmp_path / "a.zip", {"d/one": b"1", "../evil": b"!"})
    with unpacked(archive) as folder:
        assert (folder / "d/one").read_bytes() == b"1"
        inside = {path for path in tmp_path.rglob("*") if path.is_file()}
        assert inside == {archive, folder / "d/one", folder / "evil"}
    assert list(tmp_path.iterdir()) == [archive]


def test_a_truncated_zip_is_named(tmp_path):
    archive = zip_of(tmp_path / "a.zip", {"d/one": BODY})
    archive.write_bytes(archive.read_bytes()[:1000])
    with pytest.raises(DataProblem, match=r"a\.zip cannot be unpacked"), unpacked(archive):
        pass
    assert list(tmp_path.iterdir()) == [archive]
