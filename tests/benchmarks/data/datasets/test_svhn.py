import hashlib
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from benchmarks.common.errors import DataProblem, UsageProblem
from benchmarks.data.datasets import svhn
from benchmarks.data.datasets.svhn import EXTRA, TEST, TRAIN, MatFile, Svhn

COUNTS = {TRAIN: 7, TEST: 4, EXTRA: 5}


def pixels_and_labels(name: str) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(len(name))
    count = COUNTS[name]
    pixels = random.integers(0, 256, (32, 32, 3, count), np.uint8)
    return pixels, (np.arange(count, dtype=np.uint8) * 3 % 10 + 1)[:, None]


def facts(content: bytes, images: int) -> MatFile:
    return MatFile(images, len(content), hashlib.md5(content).hexdigest())


@pytest.fixture
def source(tmp_path, monkeypatch, mirror) -> Path:
    """A root with tiny files in the official format, which the mirror serves too."""
    folder = tmp_path / "source" / "svhn"
    folder.mkdir(parents=True)
    files = {}
    for name, count in COUNTS.items():
        pixels, labels = pixels_and_labels(name)
        savemat(folder / name, {"X": pixels, "y": labels}, do_compression=True)
        content = mirror.files[name] = (folder / name).read_bytes()
        files[name] = facts(content, count)
    monkeypatch.setattr(Svhn, "files", files)
    monkeypatch.setattr(Svhn, "mirrors", (mirror.url("missing", ""), mirror.url("range", "")))
    return folder.parent


def replace(monkeypatch, path: Path, content: bytes) -> None:
    """Put another content where the reader expects it, with its digest."""
    path.write_bytes(content)
    files = {**Svhn.files, path.name: facts(content, COUNTS[path.name])}
    monkeypatch.setattr(Svhn, "files", files)


def assert_part(images, labels, *names) -> None:
    """Compare with the arrays that were written, image by image."""
    written = [pixels_and_labels(name) for name in names]
    expected = [pixels[..., i] for pixels, _ in written for i in range(pixels.shape[3])]
    assert len(images) == len(expected)
    for image, wanted in zip(images, expected, strict=True):
        np.testing.assert_array_equal(image, wanted)
    digits = [0 if label == 10 else int(label) for _, y in written for label in y[:, 0]]
    assert labels.tolist() == digits


@pytest.mark.parametrize("free", [None, 1 << 40], ids=["mapped", "in memory"])
@pytest.mark.parametrize("split", ["train", "train+extra"])
def test_the_files_are_read(source, monkeypatch, split, free):
    monkeypatch.setattr("benchmarks.common.memory.free_memory", lambda: free)
    for _ in range(2):  # the second time perhaps from the cache
        data = Svhn().load(source, split=split)
        names = (TRAIN,) if split == "train" else (TRAIN, EXTRA)
        assert_part(data.train.images, data.train.labels, *names)
        assert_part(data.labelled_bank.images, data.labelled_bank.labels, TRAIN)
        assert_part(data.test.images, data.test.labels, TEST)
        assert data.classes[int(data.train.labels[3])] == "zero"  # whose official label is 10
    assert (source / "svhn" / "train+extra-32.npy").exists() == (
        split == "train+extra" and free is None
    )


def test_the_root_may_be_the_folder_itself(source, tmp_path):
    expected = Svhn().load(source).digest
    folder = (source / "svhn").rename(tmp_path / "renamed")
    assert Svhn().load(folder).digest == expected


def test_extra_images_are_only_needed_where_they_are_used(source):
    (source / "svhn" / EXTRA).unlink()
    Svhn().load(source)
    with pytest.raises(DataProblem, match=f"split train.extra only: put .*{EXTRA}") as problem:
        Svhn().load(source, split="train+extra")
    assert "\n" not in str(problem.value)


def test_the_test_images_cannot_be_trained_on(source):
    with pytest.raises(UsageProblem, match=r"split 'test'.* Choose among train, train\+extra"):
        Svhn().load(source, split="test")


@pytest.mark.parametrize("name", [TRAIN, TEST])
@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "changed"])
def test_a_damaged_file_is_named_with_a_remedy(source, name, damage):
    path = source / "svhn" / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        damaged = {"truncated": content[:-9], "empty": b"", "changed": b"\0" + content[1:]}
        path.write_bytes(damaged[damage])
    words = {
        "missing": "looked for",
        "truncated": f"expected {len(content):,} bytes, found {len(content) - 9:,}",
        "empty": "found 0",
        "changed": "is damaged: expected MD5",
    }
    with pytest.raises(DataProblem, match=re.escape(str(path))) as problem:
        Svhn().load(source)
    assert words[damage] in str(problem.value)
    assert f"un `bench data svhn --data {source}`" in str(problem.value)


X, Y = np.zeros((32, 32, 3, 4), np.uint8), np.ones((4, 1), np.uint8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "expected an array at X, found nothing"),
        ({"X": X}, "expected an array at y, found nothing"),
        ({"X": X[..., :3], "y": Y}, r"expected bytes of shape \(32, 32, 3, 4\) at X, found uint8"),
        ({"X": X.astype(float), "y": Y}, "at X, found float64 of shape"),
        ({"X": "text", "y": Y}, "at X, found <U4 of shape"),
        ({"X": {"a": 1}, "y": Y}, "at X, found "),
        ({"X": X, "y": Y[:3]}, "expected 4 labels, whole and from 1 to 10, at y, found uint8"),
        ({"X": X, "y": Y - 1}, "at y, found .*, 0 to 0"),
        ({"X": X, "y": Y * 11}, "at y, found .*, 11 to 11"),
        ({"X": X, "y": Y * 1.5}, "at y, found float64 .*1.5"),
        ({"X": X, "y": Y * np.nan}, "at y, found .*nan"),
        ({"X": X, "y": "four"}, "at y, found <U4"),
        ({"X": X, "y": Y[:0]}, "at y, found uint8 of shape"),
    ],
)
def test_a_file_of_another_content_is_worded(source, monkeypatch, tmp_path, content, words):
    savemat(tmp_path / "other.mat", content)
    path = source / "svhn" / TEST
    replace(monkeypatch, path, (tmp_path / "other.mat").read_bytes())
    with pytest.raises(DataProblem, match=words) as problem:
        Svhn().load(source)
    assert str(problem.value).startswith(f"{path} is not in the official format: ")
    assert f"Delete it and run `bench data svhn --data {source}`" in str(problem.value)


def outcome(root: Path) -> str:
    """Load the data; return the problem's words, or "" if the images are the right ones."""
    try:
        data = Svhn().load(root)
    except DataProblem as problem:
        return str(problem)
    assert_part(data.train.images, data.train.labels, TRAIN)
    return ""


def test_whatever_the_decoder_raises_is_worded(source, monkeypatch):
    path = source / "svhn" / TRAIN
    whole, random = path.read_bytes(), np.random.default_rng(0)
    words = set()
    for number in range(60):
        content = bytearray(whole)
        if number % 2:
            content = content[: random.integers(0, len(content))]
        else:
            for position in random.integers(120, 250, 6):
                content[position] = random.integers(0, 256)
        replace(monkeypatch, path, bytes(content))
        words.add(outcome(source))
    # what is left is damage of the header's words, which say nothing of the images
    worded = words - {""}
    assert len(worded) > 5
    start = f"{path} is not in the official format: "
    assert all(line.startswith(start) and "\n" not in line for line in worded)


@pytest.mark.parametrize("content", [b"", b"no matrix", b"\x89HDF\r\n\x1a\n" + bytes(600)])
def test_what_is_no_matlab_file_is_worded(source, monkeypatch, content):
    replace(monkeypatch, source / "svhn" / TEST, content)
    with pytest.raises(DataProblem, match="is not in the official format: "):
        Svhn().load(source)


def test_fetch_brings_training_and_test_images(source, tmp_path, mirror):
    root, lines = tmp_path / "root", []
    Svhn().fetch(root, lines.append)
    folder = root / "svhn"
    assert {path.name for path in folder.glob("*.mat")} == {TRAIN, TEST}
    assert Svhn().load(root).digest == Svhn().load(source).digest
    assert any("HTTP 404" in line for line in lines)
    assert lines[-1] == f"svhn: all 2 files are whole in {folder}"
    mirror.log.clear()
    Svhn().fetch(root)
    Svhn().fetch(folder)
    assert mirror.log == []


def test_fetch_brings_the_extra_images_where_they_are_asked_for(source, tmp_path):
    root = tmp_path / "root"
    Svhn().fetch(root, split="train+extra")
    assert len(Svhn().load(root, split="train+extra").train) == 12


def test_fetch_resumes_an_extra_file_that_was_begun(source, tmp_path, mirror):
    folder = tmp_path / "root" / "svhn"
    folder.mkdir(parents=True)
    (folder / f"{EXTRA}.part").write_bytes(mirror.files[EXTRA][:50])
    Svhn().fetch(tmp_path / "root")
    assert (folder / EXTRA).read_bytes() == mirror.files[EXTRA]
    assert ("range", "bytes=50-") in mirror.log


def test_fetch_repairs_a_damaged_file_and_keeps_others(source, mirror):
    folder = source / "svhn"
    (folder / TRAIN).write_bytes(b"half")
    (folder / "mine.txt").write_text("keep me")
    lines = []
    Svhn().fetch(source, lines.append)
    assert "expected" in lines[0]
    assert TRAIN in lines[0]
    assert (folder / TRAIN).read_bytes() == mirror.files[TRAIN]
    assert (folder / "mine.txt").read_text() == "keep me"


def test_two_at_once_download_once(source, tmp_path, mirror):
    root = tmp_path / "root"
    threads = [threading.Thread(target=Svhn().fetch, args=(root,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mirror.log) == 4  # two files, each from the missing mirror and the next


def test_without_a_mirror_nothing_is_half_done(source, tmp_path, mirror):
    mirror.files.clear()
    with pytest.raises(DataProblem, match=f"No mirror gave {TRAIN}"):
        Svhn().fetch(tmp_path / "root")
    assert not list((tmp_path / "root").rglob("*.mat*"))


def test_facts_are_consistent():
    assert set(Svhn.training_files) == set(Svhn.splits)
    assert {*sum(Svhn.training_files.values(), ()), TEST} == set(Svhn.files)
    assert all(re.fullmatch("[0-9a-f]{32}", file.md5) for file in Svhn.files.values())
    assert all(file.size < file.images * svhn.IMAGE_BYTES * 1.1 for file in Svhn.files.values())
    assert all(url.endswith("/") for url in Svhn.mirrors)
