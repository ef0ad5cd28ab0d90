"""Damaged images and archives: a reason or a DataProblem, and nothing written elsewhere."""

import io
import random
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.common.errors import DataProblem
from benchmarks.data.datasets.image_folder.dataset import Folder
from benchmarks.data.sources.decode import (
    centre_square,
    decode,
    inspect,
    levels_of,
    quiet,
    stretched,
)
from benchmarks.data.sources.unpack import unpacked

SECONDS = 4.0
"""That a test may take at most; the cases come in the same order each time."""
CASES = 2_000


def encoded() -> list[bytes]:
    """Return small files of every format and mode."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 24, 4), np.uint8)
    images = [Image.fromarray(noise, "RGBA").convert(mode) for mode in ("RGB", "L", "P", "RGBA")]
    images.append(Image.fromarray(noise[..., 0].astype(np.uint16) * 200))
    images.append(Image.fromarray(noise[..., 0].astype(np.float32)))
    files = []
    for image in images:
        for suffix in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
            file = io.BytesIO()
            try:
                image.save(file, suffix, save_all=True, append_images=[image])
            except (OSError, ValueError, KeyError):  # a format that does not know the mode
                continue
            files.append(file.getvalue())
    assert len(files) > 20
    return files


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Change, cut, repeat or insert a few bytes."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 6)):
        where = chance.randrange(len(changed) + 1)
        kind = chance.randrange(5)
        if kind == 0 and where < len(changed):
            changed[where] = chance.randrange(256)
        elif kind == 1 and where < len(changed):
            changed[where] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del changed[where : where + chance.choice((1, 4, 64, 10_000))]
        elif kind == 3:
            changed[where:where] = chance.randbytes(chance.choice((1, 4, 64)))
        else:
            changed[where : where + 4] = chance.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"))
    return bytes(changed)


def cases():
    """Yield numbers of cases until the time is up."""
    end = time.monotonic() + SECONDS
    for number in range(CASES):
        if time.monotonic() > end:
            break
        yield number


def test_damaged_images_are_read_or_refused():
    chance, files = random.Random(0), encoded()
    out = np.empty((8, 8, 3), np.uint8)
    refused = 0
    with quiet():
        for number in cases():
            content = mutated(files[number % len(files)], chance)
            seen = inspect(content)
            levels = levels_of([seen])
            assert all(np.isfinite(ends).all() and ends[0] < ends[1] for ends in levels.values())
            if seen.flaw is None:
                fit = centre_square if min(seen.width, seen.height) >= 8 else stretched
                flaw = decode(content, out, levels, fit)
                assert flaw is None or flaw
            refused += seen.flaw is not None
    assert refused > 10


def test_a_folder_of_damaged_images_is_read_or_a_data_problem(tmp_path):
    chance, files = random.Random(1), encoded()
    root = tmp_path / "pictures"
    root.mkdir()
    problems = []
    for number in cases():
        for row in range(10):
            (root / f"{row}.png").write_bytes(mutated(files[(number + row) % len(files)], chance))
        names = sorted(tmp_path.rglob("*"))
        try:
            data = Folder().load(root, 8)
        except DataProblem as problem:
            problems.append(str(problem))
        else:
            assert 1 <= len(data.train) <= 10
        assert sorted(tmp_path.rglob("*")) == names
    assert not any("\n" in problem for problem in problems)


def hostile_archive(chance: random.Random) -> bytes:
    """Return a tar or zip with odd members."""
    file = io.BytesIO()
    names = ("a", "d/b", "../c", "/tmp/instbench-fuzz", "d", "d/../../e", "l/f", "", ".", "d//g")
    if chance.random() < 0.3:
        with zipfile.ZipFile(file, "w", chance.choice((0, 8, 12, 14))) as files:
            for _ in range(4):
                files.writestr(chance.choice(names) or "x", chance.randbytes(50))
        return file.getvalue()
    with tarfile.open(fileobj=file, mode=chance.choice(("w", "w:gz", "w:bz2", "w:xz"))) as tar:
        for _ in range(4):
            info = tarfile.TarInfo(chance.choice(names))
            info.type = chance.choice((b"0", b"0", b"0", b"1", b"2", b"3", b"5", b"6", b"S", b"L"))
            info.linkname = chance.choice(("..", "/tmp", "a", "../../x"))
            info.size = 50 if info.type == b"0" else 0
            tar.addfile(info, io.BytesIO(chance.randbytes(50)))
    return file.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_damaged_archives_are_unpacked_or_a_data_problem(tmp_path):
    chance = random.Random(2)
    inner = tmp_path / "inner"
    inner.mkdir()
    unfit = 0
    for _ in cases():
        content = hostile_archive(chance)
        if chance.random() < 0.7:
            content = mutated(content, chance)
        archive = inner / ("a.zip" if content[:2] == b"PK" else "a.tar")
        archive.write_bytes(content)
        try:
            with unpacked(archive) as folder:
                outside = {path for path in tmp_path.rglob("*") if not path.is_relative_to(folder)}
                assert outside == {inner, archive}
                assert not any(path.is_symlink() for path in folder.rglob("*"))
        except DataProblem:
            unfit += 1
        assert set(tmp_path.rglob("*")) == {inner, archive}
        archive.unlink()
    assert unfit > 10
    assert not Path("/tmp/instbench-fuzz").exists()
