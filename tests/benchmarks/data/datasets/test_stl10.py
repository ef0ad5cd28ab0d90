import hashlib
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import STL10 as Torchvision

from benchmarks.common.errors import DataProblem, UsageProblem
from benchmarks.common.memory import FREE_MEMORY_SHARE
from benchmarks.data.datasets import stl10 as module
from benchmarks.data.datasets.cifar import CIFAR10
from benchmarks.data.datasets.stl10 import (
    IMAGE_BYTES,
    MEAN,
    STD,
    STL10,
    BinaryFile,
    Stl10,
    memory_budget,
)

CLASSES = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
COUNTS = {"train": 12, "test": 11, "unlabeled": 15}


def write_official(folder: Path) -> dict[str, BinaryFile]:
    """Write tiny files in the official format; return what identifies them."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    files = {}
    for part, count in COUNTS.items():
        content = {f"{part}_X.bin": random.integers(0, 256, count * IMAGE_BYTES, np.uint8)}
        if part != "unlabeled":
            content[f"{part}_y.bin"] = (np.arange(count) % 10 + 1).astype(np.uint8)
        for name, values in content.items():
            (folder / name).write_bytes(values.tobytes())
            md5 = hashlib.md5(values.tobytes()).hexdigest()
            files[name] = BinaryFile(count, values.size // count, md5)
    (folder / "class_names.txt").write_text("\n".join(CLASSES) + "\n")
    (folder / "fold_indices.txt").write_text(fold_text())
    return files


def fold_text() -> str:
    """Ten folds of five; every line ends in a space, as the official ones do."""
    random = np.random.default_rng(1)
    lines = [random.permutation(COUNTS["train"])[:5] for _ in range(10)]
    return "".join(" ".join(map(str, line)) + " \n" for line in lines)


@pytest.fixture
def source(tmp_path) -> Path:
    return tmp_path / "source"


@pytest.fixture
def tiny(source, offer) -> Stl10:
    """The data set with tiny files, which lie in `source` and in the mirror's archive."""
    files = write_official(source / STL10.folder)
    facts = offer(STL10, source / STL10.folder, "missing", "range")
    return type("Tiny", (Stl10,), {"facts": facts, "files": files, "fold_images": 5})()


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture(params=["much memory", "little memory"])
def cached(request, monkeypatch) -> bool:
    little = request.param == "little memory"
    monkeypatch.setattr(module, "fits_in_memory", lambda size: not little)
    return little


def damage(dataset: Stl10, folder: Path, name: str, content: bytes) -> None:
    """Change a file and tell the reader its new digest, so that only its content is wrong."""
    (folder / name).write_bytes(content)
    changed = dataset.files[name]._replace(md5=hashlib.md5(content).hexdigest())
    type(dataset).files = {**dataset.files, name: changed}


def by_hand(folder: Path, name: str) -> np.ndarray:
    """(n, row, column, colour), computed from the place of each byte in the file."""
    content = np.frombuffer((folder / name).read_bytes(), np.uint8).reshape(-1, IMAGE_BYTES)
    row, column, colour = np.mgrid[:96, :96, :3]
    return content[:, colour * 96 * 96 + column * 96 + row]


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_the_labelled_images(tiny, source):
    folder = source / STL10.folder
    data = tiny.load(source)
    np.testing.assert_array_equal(data.train.images, by_hand(folder, "train_X.bin"))
    np.testing.assert_array_equal(data.test.images, by_hand(folder, "test_X.bin"))
    assert data.train.labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert data.test.labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert data.classes == tuple(CLASSES)
    assert (data.split, data.bank, data.notes) == ("train", None, ())
    assert data.labelled_bank is data.train


def test_pixels_and_labels_are_torchvisions(tiny, source, monkeypatch):
    monkeypatch.setattr(Torchvision, "_check_integrity", lambda self: True)
    data = tiny.load(source)
    for split, name in ((data.train, "train"), (data.test, "test")):
        theirs = Torchvision(str(source), name)
        np.testing.assert_array_equal(split.images.transpose(0, 3, 1, 2), theirs.data)
        np.testing.assert_array_equal(split.labels, theirs.labels)
    everything = tiny.load(source, split="train+unlabeled")
    theirs = Torchvision(str(source), "train+unlabeled")
    np.testing.assert_array_equal(everything.train.images.transpose(0, 3, 1, 2), theirs.data)
    assert data.classes == tuple(theirs.classes)


def test_all_images_without_labels(tiny, source, cached, monkeypatch):
    monkeypatch.setattr("benchmarks.data.sources.decode_cache.BLOCK_BYTES", 5 * IMAGE_BYTES)
    folder = source / STL10.folder
    data = tiny.load(source, 96, "train+unlabeled")
    parts = [by_hand(folder, name) for name in ("train_X.bin", "unlabeled_X.bin")]
    np.testing.assert_array_equal(data.train.images, np.concatenate(parts))
    assert data.train.labels is None
    np.testing.assert_array_equal(data.bank.images, parts[0])
    assert data.bank.labels.tolist() == tiny.load(source).train.labels.tolist()
    assert np.shares_memory(data.bank.images, data.train.images)
    assert data.labelled_bank is data.bank
    assert isinstance(data.train.images, np.memmap) == cached
    assert data.facts() == {
        "name": "stl10",
        "digest": data.digest,
        "train_images": 27,
        "test_images": 11,
        "classes": 10,
        "image_size": 96,
        "labelled": True,
        "split": "train+unlabeled",
        "bank_images": 12,
    }


def test_the_cache_is_made_once_and_a_foreign_one_is_replaced(tiny, source, monkeypatch):
    monkeypatch.setattr(module, "fits_in_memory", lambda size: False)
    folder = source / STL10.folder
    before = visible(folder)
    first = tiny.load(source, split="train+unlabeled")
    made = ["train+unlabeled-96.npy", "train+unlabeled-96.npy.json"]
    assert visible(folder) == sorted([*before, *made])
    stamp = (folder / made[0]).stat().st_mtime_ns
    again = tiny.load(source, split="train+unlabeled")
    assert (folder / made[0]).stat().st_mtime_ns == stamp
    assert (again.digest, again.notes) == (first.digest, ())
    pixels = np.random.default_rng(5).integers(0, 256, 15 * IMAGE_BYTES, np.uint8).tobytes()
    damage(tiny, folder, "unlabeled_X.bin", pixels)
    changed = tiny.load(source, split="train+unlabeled")
    assert re.search(r"train\+unlabeled-96\.npy is built again: expected source", changed.notes[0])
    np.testing.assert_array_equal(changed.train.images[12:], by_hand(folder, "unlabeled_X.bin"))


def test_the_labelled_images_need_no_unlabelled_ones(tiny, source, cached):
    (source / STL10.folder / "unlabeled_X.bin").unlink()
    assert len(tiny.load(source).train) == 12
    with pytest.raises(DataProblem, match=r"unlabeled_X\.bin is missing.*bench data stl10"):
        tiny.load(source, split="train+unlabeled")
    assert not list(source.rglob("*.part"))


def test_the_memory_budget_of_the_real_sizes():
    counts = {name: file.records for name, file in Stl10.files.items()}
    train, test = counts["train_X.bin"], counts["test_X.bin"]
    everything = train + counts["unlabeled_X.bin"]
    assert memory_budget(train, test) == 359_424_000
    assert memory_budget(everything, test) == 3_124_224_000
    assert memory_budget(everything, test, cached=True) == 221_184_000
    assert memory_budget(everything, 0) == 2_903_040_000
    assert memory_budget(everything, test) / FREE_MEMORY_SHARE <= 6.25e9


def test_loading_keeps_to_the_memory_budget(tiny, source, cached, monkeypatch):
    block = 2 * IMAGE_BYTES
    monkeypatch.setattr("benchmarks.data.sources.decode_cache.BLOCK_BYTES", block)
    tracemalloc.start()
    data = tiny.load(source, split="train+unlabeled")
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    budget = memory_budget(len(data.train), len(data.test), cached)
    assert kept == pytest.approx(budget, abs=50_000)
    assert peak < budget + cached * block + 400_000  # a digest reads 256 KiB at a time


def test_the_free_memory_decides_where_the_images_are_and_nothing_else(tiny, source, monkeypatch):
    """27 training and 11 test images fit from twice 38 images of free memory on."""
    mapped, digests = [], set()
    for free in (75 * IMAGE_BYTES, 76 * IMAGE_BYTES):
        monkeypatch.setattr("benchmarks.common.memory.free_memory", lambda free=free: free)
        data = tiny.load(source, split="train+unlabeled")
        mapped.append(isinstance(data.train.images, np.memmap))
        digests.add(data.digest)
    assert mapped == [True, False]
    assert len(digests) == 1
    assert tiny.load(source).digest not in digests


def test_folds(tiny, source):
    folds = tiny.folds(source)
    assert (folds.shape, folds.dtype) == ((10, 5), np.int64)
    expected = [line.split() for line in fold_text().splitlines()]
    assert folds.astype(str).tolist() == expected


FOLD_LINES = fold_text().splitlines()


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "expected 10 folds, found 0"),
        (FOLD_LINES[:9], "expected 10 folds, found 9"),
        ([*FOLD_LINES[:9], "1 2 3"], "fold 10: expected 5 indices, found 3"),
        (["0 1 2 3 12", *FOLD_LINES[1:]], r"fold 1: expected indices 0\.\.11, found 12"),
        (["0 1 2 3 3", *FOLD_LINES[1:]], "fold 1: expected different indices, found 1 of them"),
        (["0 1 -2 3 4", *FOLD_LINES[1:]], "fold 1: expected indices from 0 on, found '-2'"),
        (["0 1 x 3 4", *FOLD_LINES[1:]], "fold 1: expected indices from 0 on, found 'x'"),
        (["0 1 \xe9 3 4", *FOLD_LINES[1:]], "cannot be read"),
        (None, "is missing"),
    ],
)
def test_broken_folds_are_named(tiny, source, lines, reason):
    path = source / STL10.folder / "fold_indices.txt"
    path.unlink()
    if lines is not None:
        path.write_text("\n".join(lines), encoding="latin1")
    for reader in (tiny.load, tiny.folds):
        with pytest.raises(DataProblem, match=reason) as problem:
            reader(source)
        assert str(path) in str(problem.value)
        assert f"run `bench data stl10 --data {source}`" in str(problem.value)


@pytest.mark.parametrize("names", ["", "cat\n" * 10, "\n".join(CLASSES[:9]), None])
def test_broken_class_names_are_named(tiny, source, names):
    path = source / STL10.folder / "class_names.txt"
    path.unlink()
    if names is not None:
        path.write_text(names)
    expected = "missing" if names is None else "broken: expected 10 different names, found"
    with pytest.raises(DataProblem, match=rf"class_names\.txt is .*{expected}"):
        tiny.load(source)


@pytest.mark.parametrize("name", ["train_y.bin", "test_y.bin"])
@pytest.mark.parametrize(("label", "found"), [(0, r"0\.\.10"), (11, r"1\.\.11")])
def test_labels_out_of_range_are_named(tiny, source, name, label, found):
    folder = source / STL10.folder
    content = bytearray((folder / name).read_bytes())
    content[-1] = label
    damage(tiny, folder, name, bytes(content))
    words = rf"{name} is broken: expected labels 1\.\.10, found {found}"
    with pytest.raises(DataProblem, match=words):
        tiny.load(source)


@pytest.mark.parametrize("name", ["train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"])
def test_missing_and_changed_files_are_named(tiny, source, name):
    path = source / STL10.folder / name
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    md5 = tiny.files[name].md5
    with pytest.raises(DataProblem, match=rf"{name} is damaged: expected MD5 {md5}"):
        tiny.load(source)
    path.unlink()
    with pytest.raises(DataProblem, match=rf"{name} is missing.*bench data stl10"):
        tiny.load(source)


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("train_X.bin", 304_128, "12 images (331,776 bytes), found 11 (304,128 bytes)"),
        (
            "train_X.bin",
            331_775,
            "12 images (331,776 bytes), found no whole number of images (331,",
        ),
        ("train_X.bin", 0, "12 images (331,776 bytes), found 0 (0 bytes)"),
        ("test_y.bin", 13, "11 labels (11 bytes), found 13 (13 bytes)"),
    ],
)
def test_files_of_another_length_are_named(tiny, source, name, size, words):
    (source / STL10.folder / name).write_bytes(bytes(size))
    with pytest.raises(DataProblem, match=rf"{name} is not the official file") as problem:
        tiny.load(source)
    assert f"expected {words}" in str(problem.value)
    assert f"Delete it and run `bench data stl10 --data {source}`" in str(problem.value)


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("unlabeled", r"'unlabeled' and evaluated: its images have no labels.*train\+unlabeled"),
        ("test", "'test' and evaluated: its images are what the evaluation classifies"),
        ("trian", r"Unknown split of stl10 'trian'.*Known: train, train\+unlabeled"),
    ],
)
def test_other_splits_and_sizes_are_refused(tiny, source, split, words):
    with pytest.raises(UsageProblem, match=words):
        tiny.load(source, split=split)
    with pytest.raises(UsageProblem, match="96 x 96 pixels only; got image size 64"):
        tiny.load(source, 64)


@pytest.mark.parametrize("name", [None, "renamed"])
def test_the_root_may_be_the_official_folder(tiny, source, root, name):
    folder = source / STL10.folder
    if name:
        folder = folder.rename(root / name)
    assert len(tiny.load(folder).train) == 12
    assert tiny.folds(folder).shape == (10, 5)


def test_an_archive_is_unpacked_once(tiny, root, mirror):
    (root / STL10.archive).write_bytes(mirror.files["archive"])
    digest = tiny.load(root).digest
    assert visible(root) == [STL10.folder, STL10.archive]
    (root / STL10.archive).unlink()
    assert tiny.load(root).digest == digest


def test_nothing_there_says_what_to_do(tiny, root):
    with pytest.raises(DataProblem) as problem:
        tiny.load(root)
    for words in (STL10.folder, STL10.archive, f"`bench data stl10 --data {root}`"):
        assert words in str(problem.value)
    assert visible(root) == []


def test_fetch_downloads_unpacks_and_verifies(tiny, root, mirror):
    lines = []
    tiny.fetch(root / "new", lines.append)
    assert [behaviour for behaviour, _ in mirror.log] == ["missing", "range"]
    assert lines[-1] == f"stl10: all 7 files are whole in {root / 'new' / STL10.folder}"
    assert len(tiny.load(root / "new", split="train+unlabeled").train) == 27
    mirror.log.clear()
    tiny.fetch(root / "new")
    assert mirror.log == []


def test_fetch_resumes(tiny, root, mirror):
    part = root / (STL10.archive + ".part")
    part.write_bytes(mirror.files["archive"][:100])
    tiny.fetch(root)
    assert mirror.log == [("missing", "bytes=100-"), ("range", "bytes=100-")]


@pytest.mark.parametrize("name", ["train_X.bin", "fold_indices.txt", "class_names.txt"])
def test_fetch_repairs_a_damaged_file_and_keeps_other_files(tiny, root, mirror, name):
    tiny.fetch(root)
    folder = root / STL10.folder
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(b"half")
    (folder / "mine.txt").write_text("keep me")
    (root / STL10.archive).unlink()
    lines = []
    tiny.fetch(root, lines.append)
    assert name in lines[0]
    assert (folder / name).read_bytes() == whole
    assert (folder / "mine.txt").read_text() == "keep me"


def test_an_archive_of_other_files_is_refused(tiny, root):
    changed = tiny.files["train_y.bin"]._replace(md5="0" * 32)
    type(tiny).files = {**tiny.files, "train_y.bin": changed}
    with pytest.raises(DataProblem, match=r"train_y\.bin is damaged"):
        tiny.fetch(root)
    assert visible(root) == [STL10.archive]


def test_facts_are_consistent():
    assert Stl10.fold_images == 1_000
    assert set(Stl10.training_files) == set(Stl10.splits)
    assert not set(Stl10.refused_splits) & set(Stl10.splits)
    assert (CIFAR10.mean, CIFAR10.std) == (MEAN, STD)
    official = dict([*Torchvision.train_list, *Torchvision.test_list])
    assert {name: file.md5 for name, file in Stl10.files.items()} == official
    assert STL10.archive_md5 == Torchvision.tgz_md5
    assert all(url.startswith("https://") for url in STL10.mirrors)
    assert Torchvision.url.replace("http:", "https:") in STL10.mirrors
