import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.common.errors import DataProblem
from benchmarks.data.sources import unpack as module
from benchmarks.data.sources.unpack import unpacked

BODY = os.urandom(20_000)


@pytest.fixture
def inner(tmp_path) -> Path:
    """A folder in which there is nothing but what a test puts there."""
    (tmp_path / "inner").mkdir()
    return tmp_path / "inner"


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def tar_of(path: Path, *members: tarfile.TarInfo, mode: str = "w", body: bytes = b"!") -> Path:
    with tarfile.open(path, mode) as tar:
        for info in members:
            if info.type == tarfile.REGTYPE:
                info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return path


def everything(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


def refused(archive: Path, words: str = "cannot be unpacked") -> None:
    """Assert that it is a DataProblem which leaves nothing behind, here or elsewhere."""
    top = archive.parent.parent
    before = everything(top)
    with pytest.raises(DataProblem, match=words) as problem, unpacked(archive):
        pass
    assert str(archive) in str(problem.value)
    assert everything(top) == before


HOSTILE = {
    "absolute name": [member("/tmp/instbench-evil")],
    "name that leads out": [member("d/../../evil")],
    "folder that leads out": [member("../evil", tarfile.DIRTYPE)],
    "link out": [member("l", tarfile.SYMTYPE, "../.."), member("l/evil")],
    "absolute link": [member("l", tarfile.SYMTYPE, "/tmp"), member("l/instbench-evil")],
    "link in": [member("d", tarfile.DIRTYPE), member("l", tarfile.SYMTYPE, "d")],
    "hard link out": [member("l", tarfile.LNKTYPE, "../a.tar")],
    "hard link of itself": [member("l", tarfile.LNKTYPE, "l")],
    "character device": [member("null", tarfile.CHRTYPE)],
    "block device": [member("disk", tarfile.BLKTYPE)],
    "pipe": [member("pipe", tarfile.FIFOTYPE)],
    "file that is a folder": [member("d/x"), member("d")],
    "folder that is a file": [member("d"), member("d/x")],
    "too long a name": [member("n" * 300)],
    "too many folders": [member("d/" * depth, tarfile.DIRTYPE) for depth in range(1, 1200)],
    "too deep a name": [member("/".join(["n" * 200] * 40))],
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_tar_is_refused_and_writes_nothing(inner, members):
    refused(tar_of(inner / "a.tar", *members))
    assert not Path("/tmp/instbench-evil").exists()


def test_links_through_a_path_that_is_too_long_to_resolve_lead_nowhere(inner):
    """CVE-2025-4517: realpath gives up at PATH_MAX, which fools tarfile's data filter."""
    out = inner.parent / "out"
    out.mkdir()
    component, steps, path, members = "d" * 247, "abcdefghijklmnop", "", []
    for step in steps:
        members.append(member(os.path.join(path, component), tarfile.DIRTYPE))
        members.append(member(os.path.join(path, step), tarfile.SYMTYPE, component))
        path = os.path.join(path, component)
    link = os.path.join("/".join(steps), "l" * 254)
    members.append(member(link, tarfile.SYMTYPE, "../" * len(steps)))
    depth = len((inner / ".a.tar.unpacked").parts) - 1
    members.append(member("escape", tarfile.SYMTYPE, link + "/.." * depth + str(out)))
    members.append(member("escape/new"))
    refused(tar_of(inner / "a.tar", *members))
    assert list(out.iterdir()) == []


def test_what_a_killed_process_left_may_be_a_link(inner):
    away = inner.parent / "away"
    away.mkdir()
    (away / "mine").write_text("keep")
    (inner / ".a.tar.unpacked").symlink_to(away)
    archive = tar_of(inner / "a.tar", member("d/x"))
    with unpacked(archive) as folder:
        assert not folder.is_symlink()
        assert (folder / "d/x").read_bytes() == b"!"
    assert [path.name for path in away.iterdir()] == ["mine"]
    assert os.listdir(inner) == ["a.tar"]


def test_permissions_of_an_archive_are_not_taken(inner):
    info = member("x")
    info.mode = 0o6777
    with unpacked(tar_of(inner / "a.tar", info)) as folder:
        mode = stat.S_IMODE((folder / "x").stat().st_mode)
    assert mode & 0o7111 == 0


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_names_and_content_are_kept_whatever_the_compression(inner, mode):
    members = member("./d", tarfile.DIRTYPE), member("./d/été/猫.jpg"), member("d/empty")
    archive = tar_of(inner / "a.tar.x", *members, mode=mode, body=BODY)
    with unpacked(archive) as folder:
        assert everything(folder) == {
            Path("d"), Path("d/été"), Path("d/été/猫.jpg"), Path("d/empty")
        }  # fmt: skip
        assert (folder / "d/été/猫.jpg").read_bytes() == BODY


@pytest.mark.parametrize("cut", [0, 1, 300, 511, 5_000, -1])
@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_truncated_tar_is_a_data_problem(inner, mode, cut):
    archive = tar_of(inner / "a.tar", member("x"), mode=mode, body=BODY)
    content = archive.read_bytes()
    archive.write_bytes(content[:cut] if cut >= 0 or mode != "w" else content[:15_000])
    refused(archive)


def test_a_damaged_header_is_not_taken_for_the_end(inner):
    archive = tar_of(inner / "a.tar", member("x"), member("y"), member("z"))
    content = bytearray(archive.read_bytes())
    content[1024] ^= 255
    archive.write_bytes(content)
    refused(archive, "more behind its end")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_what_is_packed_but_no_tar_is_a_data_problem(inner, pack):
    archive = inner / "a.tar.gz"
    archive.write_bytes(pack(BODY))
    refused(archive)


def test_a_zip_that_is_none_is_a_data_problem(inner):
    (inner / "a.zip").write_bytes(BODY)
    refused(inner / "a.zip")


def test_a_zip_with_a_wrong_checksum_is_a_data_problem(inner):
    with zipfile.ZipFile(inner / "a.zip", "w") as files:
        files.writestr("x", BODY)
    content = bytearray((inner / "a.zip").read_bytes())
    content[200] ^= 1
    (inner / "a.zip").write_bytes(content)
    refused(inner / "a.zip", "Bad CRC")


@pytest.mark.parametrize("name", ["../../evil", "/tmp/instbench-evil", "d/../../../evil"])
def test_a_zip_writes_below_its_folder_whatever_its_names_say(inner, name):
    with zipfile.ZipFile(inner / "a.zip", "w") as files:
        files.writestr(name, b"!")
    before = everything(inner.parent)
    with unpacked(inner / "a.zip") as folder:
        fresh = everything(inner.parent) - before
        assert all((inner.parent / path).is_relative_to(folder) for path in fresh)
        assert Path(name).name in {path.name for path in fresh}
    assert everything(inner.parent) == before
    assert not Path("/tmp/instbench-evil").exists()


def test_links_in_a_zip_are_never_made(inner):
    link = zipfile.ZipInfo("l")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(inner / "a.zip", "w") as files:
        files.writestr(link, "../..")
        files.writestr("l2/x", b"!")
    with unpacked(inner / "a.zip") as folder:
        assert not any(path.is_symlink() for path in folder.rglob("*"))


def test_a_sparse_file_that_is_larger_than_the_disk_is_told_before_it_is_written(inner):
    info = member("x")
    info.pax_headers = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x",
        "GNU.sparse.realsize": str(1 << 60),
    }  # fmt: skip
    with tarfile.open(inner / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        body = b"1\n0\n1\n".ljust(512, b"\0") + b"!"
        info.size = len(body)
        tar.addfile(info, io.BytesIO(body))
    refused(inner / "a.tar", "needs 1,152,921,504,606.8 MB for the content of ")


@pytest.mark.parametrize("name", ["a.tar", "a.zip"])
def test_an_archive_needs_room_for_what_it_states(inner, monkeypatch, name):
    archive = inner / name
    if name == "a.tar":
        tar_of(archive, member("x"), body=BODY)
    else:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as files:
            files.writestr("x", bytes(len(BODY)))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=len(BODY) - 1))
    refused(archive, f"needs 0.0 MB for the content of {archive}, found 0.0 MB free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=len(BODY)))
    with unpacked(archive) as folder:
        assert (folder / "x").stat().st_size == len(BODY)


def test_a_disk_that_cannot_be_written_to_is_not_the_fault_of_the_archive(inner, monkeypatch):
    archive = tar_of(inner / "a.tar", member("x"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write", full)
    with pytest.raises(OSError, match="No space left"), unpacked(archive):
        pass
    assert os.listdir(inner) == ["a.tar"]
