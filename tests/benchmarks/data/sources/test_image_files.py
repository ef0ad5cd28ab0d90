import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.common.errors import DataProblem
from benchmarks.data.basics import channel_statistics
from benchmarks.data.sources import decode_blocks, decode_cache, image_files, survey
from benchmarks.data.sources.image_files import (
    cache_folder,
    content_digest,
    content_notes,
    decode_files,
    training_statistics,
)
from benchmarks.data.sources.survey import SourceFile

SIDE = 16


@pytest.fixture(autouse=True)
def _settled(monkeypatch):
    monkeypatch.setattr(survey, "SETTLED", -1)


@pytest.fixture
def root(tmp_path) -> Path:
    """Nine images of different content."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(9):
        pixels = random.integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def decodes(monkeypatch):
    """The files that were decoded."""
    seen = []
    original = decode_blocks.decode
    monkeypatch.setattr(
        decode_blocks, "decode", lambda content, *rest: seen.append(1) or original(content, *rest)
    )
    return seen


def files_of(root: Path) -> list[SourceFile]:
    return [SourceFile(path.name, path) for path in sorted(root.iterdir())]


def load(root: Path, side: int = SIDE):
    return decode_files(root, files_of(root), side)


def test_images_are_decoded_once(root, decodes, capsys):
    first = load(root)
    assert len(decodes) == 9
    again = load(root)
    assert len(decodes) == 9
    np.testing.assert_array_equal(first.images, again.images)
    assert content_digest(SIDE, [], first) == content_digest(SIDE, [], again)
    assert capsys.readouterr().err == ""  # short work shows no progress
    assert sorted(os.listdir(root)) == [f"{number}.png" for number in range(9)]


def test_progress_is_shown_on_standard_error(root, monkeypatch, capsys):
    monkeypatch.setattr(image_files, "QUIET_SECONDS", 0.0)
    load(root)
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{root}: images looked through: 9 of 9" in err
    assert "images decoded into" in err


def change_a_byte(root: Path) -> None:
    """Change a pixel of an uncompressed file: name, size and time of modification stay."""
    path = root / "3.bmp"
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        change_a_byte,
        lambda root: (root / "3.bmp").unlink(),
        lambda root: Image.new("RGB", (20, 20)).save(root / "new.png"),
    ],
)
def test_another_content_is_decoded_anew(root, change):
    Image.new("RGB", (16, 16), (1, 2, 3)).save(root / "3.bmp")
    first = load(root)
    change(root)
    second = load(root)
    assert content_digest(SIDE, [], first) != content_digest(SIDE, [], second)
    assert first.images.shape != second.images.shape or (first.images != second.images).any()
    shutil.rmtree(cache_folder(root))
    np.testing.assert_array_equal(load(root).images, second.images)


@pytest.mark.parametrize("checked_always", [0, 1 << 26])
def test_a_damaged_cache_is_never_used(root, monkeypatch, checked_always, decodes):
    monkeypatch.setattr(decode_cache, "CHECKED_ALWAYS", checked_always)
    first = load(root)
    load(root)
    path = cache_folder(root) / f"images-{SIDE}.npy"
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-5] ^= 255
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    np.testing.assert_array_equal(load(root).images, first.images)
    assert len(decodes) == 18


def test_files_that_fail_to_decode_are_left_out_from_the_cache_too(root, decodes):
    whole = Image.effect_noise((60, 60), 50)
    whole.save(root / "cut.jpg")
    content = (root / "cut.jpg").read_bytes()
    (root / "cut.jpg").write_bytes(content[: len(content) // 2])
    (root / "bad.png").write_bytes(b"no image")
    Image.new("L", (7, 40)).save(root / "small.png")
    results = [load(root), load(root)]
    assert len(decodes) == 10
    for result in results:
        flaws = {
            file.name: flaw for file, flaw in zip(files_of(root), result.flaws, strict=True) if flaw
        }
        assert flaws == {
            "bad.png": "cannot be read",
            "cut.jpg": "truncated",
            "small.png": "7x40 is smaller than 8 pixels",
        }
        assert len(result.images) == len(result.usable) == 9
    np.testing.assert_array_equal(results[0].images, results[1].images)
    for name in ("bad.png", "cut.jpg", "small.png"):
        (root / name).unlink()
    np.testing.assert_array_equal(load(root).images, results[0].images)


def test_nothing_usable_is_an_empty_array(root):
    for path in root.iterdir():
        path.write_bytes(b"?")
    assert load(root).images.shape == (0, SIDE, SIDE, 3)
    whole = Image.effect_noise((60, 60), 50)
    whole.save(root / "0.jpg")
    content = (root / "0.jpg").read_bytes()
    (root / "0.jpg").write_bytes(content[: len(content) // 2])
    for _ in range(2):
        assert load(root).images.shape == (0, SIDE, SIDE, 3)


def test_images_that_do_not_fit_in_memory_are_mapped(root, monkeypatch):
    monkeypatch.setattr(image_files, "fits_in_memory", lambda size: False)
    assert isinstance(load(root).images, np.memmap)
    monkeypatch.setattr(image_files, "fits_in_memory", lambda size: True)
    assert not isinstance(load(root).images, np.memmap)


def spoil_disk(monkeypatch, tmp_path, root) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "file"))


def fill_disk(monkeypatch, tmp_path, root) -> None:
    class Full:
        free = 10

    monkeypatch.setattr("shutil.disk_usage", lambda _: Full)


def put_into_the_folder(monkeypatch, tmp_path, root) -> None:
    monkeypatch.setenv("BENCH_DATA", str(root / "data"))


def lose_home(monkeypatch, tmp_path, root) -> None:
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(image_files, "default_root", no_home)


@pytest.mark.parametrize("fault", [spoil_disk, fill_disk, put_into_the_folder, lose_home])
def test_without_a_cache_images_are_decoded_into_memory_with_one_line(
    root, tmp_path, monkeypatch, capsys, fault
):
    (root / "bad.jpg").write_bytes(b"\xff\xd8 no image")
    expected = load(root)
    capsys.readouterr()
    fault(monkeypatch, tmp_path, root)
    shutil.rmtree(cache_folder(root) or tmp_path / "none", ignore_errors=True)
    before = sorted(root.rglob("*"))
    result = load(root)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "The cache of decoded images cannot be kept: " in err
    assert "Set BENCH_DATA to a folder with room" in err
    np.testing.assert_array_equal(result.images, expected.images)
    assert result.flaws == expected.flaws
    assert sorted(root.rglob("*")) == before


def test_neither_memory_nor_disk_is_one_line(root, tmp_path, monkeypatch):
    spoil_disk(monkeypatch, tmp_path, root)
    monkeypatch.setattr(image_files, "fits_in_memory", lambda size: False)
    with pytest.raises(DataProblem, match=r"9 images of 16 x 16 pixels .*cannot be kept.*BENCH_D"):
        load(root)


def test_a_file_that_changes_between_two_looks_is_not_kept(root, monkeypatch):
    def changed(files, record, progress):
        seen = survey.survey(files, record, progress)
        (root / "4.png").write_bytes((root / "5.png").read_bytes())
        return seen

    with monkeypatch.context() as patch:
        patch.setattr(image_files, "survey", changed)
        with pytest.raises(DataProblem, match=r"4\.png changed while it was read"):
            load(root)
    result = load(root)
    assert not any(result.flaws)
    np.testing.assert_array_equal(result.images[4], result.images[5])


def test_the_folder_may_move_without_another_digest(root, tmp_path):
    first = load(root)
    moved = root.rename(tmp_path / "moved")
    second = load(moved)
    assert content_digest(SIDE, ["a"], first) == content_digest(SIDE, ["a"], second)
    assert content_digest(SIDE, ["a"], first) != content_digest(SIDE, ["b"], first)
    assert content_digest(SIDE, ["a"], first) != content_digest(SIDE + 1, ["a"], first)


def test_statistics_of_a_large_cache_are_computed_once(root, monkeypatch):
    monkeypatch.setattr(image_files, "CHECKED_ALWAYS", 0)
    data = load(root)
    expected = channel_statistics(data.images[:5])
    assert training_statistics(root, data, range(5), data.images[:5]) == expected
    monkeypatch.setattr(image_files, "channel_statistics", None)
    assert training_statistics(root, data, range(5), data.images[:5]) == expected
    with pytest.raises(TypeError):
        training_statistics(root, data, range(6), data.images[:6])


def test_what_became_of_the_pixels_is_noted(root):
    assert content_notes(files_of(root), load(root).usable, {}) == ()
    Image.fromarray(np.full((9, 9), 4000, np.uint16)).save(root / "deep.tif")
    Image.fromarray(np.full((9, 9), 12, np.uint16)).save(root / "dim.tif")
    Image.new("RGBA", (9, 9)).save(root / "clear.png")
    red, blue = (Image.new("RGB", (9, 9), colour) for colour in ("red", "blue"))
    red.save(root / "film.gif", save_all=True, append_images=[blue])
    result = load(root)
    frames, clear, deep = content_notes(files_of(root), result.usable, result.levels)
    assert frames == "1 files have several frames, of which only the first is used: film.gif"
    assert clear == "1 images can have transparent pixels, shown on white: clear.png"
    assert deep == (
        "2 16-bit images: values 0 to 4095 became black to white in all of them (found: 12 to 4000)"
    )
