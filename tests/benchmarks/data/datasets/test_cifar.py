import dataclasses
import hashlib
import io
import os
import pickle
import re
import struct
import threading
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from benchmarks.common.errors import DataProblem, UsageProblem
from benchmarks.data.datasets.cifar import (
    CIFAR10,
    CIFAR100,
    CIFAR100_20,
    Cifar,
    Cifar10,
    Cifar100,
    Cifar100SuperClasses,
    CifarFacts,
    content_digest,
)

SIZES = {"batch_1": 6, "batch_2": 5, "test": 4}
CLASSES = ["ape", "bee", "cat"]


class Python2Pickler(pickle._Pickler):
    """Writes as Python 2 with NumPy 1 did: byte strings, and arrays made by numpy.core."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_string(self, text):
        content = text if isinstance(text, bytes) else text.encode("latin1")
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(text)

    dispatch[str] = dispatch[bytes] = save_string

    def save_global(self, obj, name=None):
        if getattr(obj, "__name__", "") == "_reconstruct":
            self.write(b"cnumpy.core.multiarray\n_reconstruct\n")
        else:
            super().save_global(obj, name)


def python2_pickle(content) -> bytes:
    sink = io.BytesIO()
    Python2Pickler(sink, protocol=2).dump(content)
    return sink.getvalue()


def write_official(folder: Path, labels_key: str, names_key: str) -> dict[str, str]:
    """Write tiny files in the official format; return their digests."""
    random = np.random.default_rng(0)
    content = {
        name: {
            "data": random.integers(0, 256, (count, 3072), np.uint8),
            labels_key: random.integers(0, len(CLASSES), count).tolist(),
            "filenames": [f"{name}_{number}.png" for number in range(count)],
        }
        for name, count in SIZES.items()
    }
    content["meta"] = {names_key: CLASSES, "num_vis": 3072}
    folder.mkdir(parents=True)
    for name, values in content.items():
        (folder / name).write_bytes(python2_pickle(values))
    return {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in content}


@pytest.fixture(params=[CIFAR10, CIFAR100, CIFAR100_20], ids=["cifar10", "cifar100", "cifar100-20"])
def tiny(request, tmp_path, mirror, offer) -> tuple[Cifar, bytes, Path]:
    """A data set with tiny files, its archive (which the mirror serves too), and an empty root."""
    real: CifarFacts = request.param
    source = tmp_path / "source"
    md5 = write_official(source / real.folder, real.labels_key, real.names_key)
    facts = dataclasses.replace(
        offer(real, source / real.folder, "missing", "range"),
        md5=md5,
        train=("batch_1", "batch_2"),
        test="test",
        meta="meta",
    )
    dataset = type("Tiny", (Cifar,), {"name": "tiny", "description": "", "facts": facts})()
    root = tmp_path / "root"
    root.mkdir()
    return dataset, mirror.files["archive"], root


def visible(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.name != ".tiny.lock")


def assert_content(data, source: Path, facts: CifarFacts) -> None:
    """Compare with a reading by plain pickle, pixel by pixel in (row, column, colour)."""
    for split, names in ((data.train, facts.train), (data.test, (facts.test,))):
        batches = [
            pickle.loads((source / facts.folder / name).read_bytes(), encoding="bytes")
            for name in names
        ]
        rows = [row for batch in batches for row in batch[b"data"]]
        labels = [label for batch in batches for label in batch[facts.labels_key.encode()]]
        assert split.labels.tolist() == labels
        assert len(split) == len(rows)
        for image, row in zip(split.images, rows, strict=True):
            for y, x, colour in [(0, 0, 0), (3, 30, 1), (31, 2, 2), (17, 17, 0)]:
                assert image[y, x, colour] == row[colour * 1024 + y * 32 + x]


def test_the_folder_is_read(tiny, tmp_path):
    dataset, _, _ = tiny
    data = dataset.load(tmp_path / "source")
    assert_content(data, tmp_path / "source", dataset.facts)
    assert data.classes == tuple(CLASSES)
    assert (data.mean, data.std) == (dataset.facts.mean, dataset.facts.std)
    assert re.fullmatch("[0-9a-f]{64}", data.digest)
    assert data.facts()["train_images"] == 11


@pytest.mark.parametrize("name", [None, "renamed"])
def test_the_root_may_be_the_official_folder(tiny, tmp_path, name):
    dataset, _, root = tiny
    folder = tmp_path / "source" / dataset.facts.folder
    expected = dataset.load(tmp_path / "source")
    if name:
        folder = folder.rename(root / name)
    data = dataset.load(folder)
    np.testing.assert_array_equal(data.train.images, expected.train.images)
    assert data.digest == expected.digest


def test_an_archive_is_unpacked_once(tiny, tmp_path):
    dataset, archive, root = tiny
    (root / dataset.facts.archive).write_bytes(archive)
    assert_content(dataset.load(root), tmp_path / "source", dataset.facts)
    assert visible(root) == sorted([dataset.facts.archive, dataset.facts.folder])
    (root / dataset.facts.archive).unlink()
    assert_content(dataset.load(root), tmp_path / "source", dataset.facts)


def test_a_truncated_archive_is_named_and_not_unpacked(tiny):
    dataset, archive, root = tiny
    (root / dataset.facts.archive).write_bytes(archive[:-20])
    with pytest.raises(DataProblem) as problem:
        dataset.load(root)
    found = hashlib.md5(archive[:-20]).hexdigest()
    assert f"expected MD5 {dataset.facts.archive_md5}, found {found}" in str(problem.value)
    assert "Delete it and run `bench data tiny --data" in str(problem.value)
    assert visible(root) == [dataset.facts.archive]


def test_a_missing_folder_says_where_it_looked_and_what_to_do(tiny):
    dataset, _, root = tiny
    for place in (root, root / "absent"):
        with pytest.raises(DataProblem) as problem:
            dataset.load(place)
        text = str(problem.value)
        assert str(place / dataset.facts.folder) in text
        assert str(place / dataset.facts.archive) in text
        assert f"`bench data tiny --data {place}`" in text
        assert "put the official files there" in text


@pytest.mark.parametrize("name", ["batch_2", "test", "meta"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "changed"])
def test_a_damaged_file_is_named_with_both_digests(tiny, tmp_path, name, damage):
    dataset, _, _ = tiny
    path = tmp_path / "source" / dataset.facts.folder / name
    content = path.read_bytes()
    damaged = {"truncated": content[:-7], "empty": b"", "changed": b"\x81" + content[1:]}
    if damage == "missing":
        path.unlink()
        expected = "is missing"
    else:
        path.write_bytes(damaged[damage])
        expected = f"found {hashlib.md5(damaged[damage]).hexdigest()}"
    with pytest.raises(DataProblem) as problem:
        dataset.load(tmp_path / "source")
    text = str(problem.value)
    assert str(path) in text
    assert dataset.facts.md5[name] in text
    assert expected in text
    assert "bench data tiny" in text


def test_a_pickle_cannot_call_anything_else(tiny, tmp_path):
    dataset, _, _ = tiny
    path = tmp_path / "source" / dataset.facts.folder / "meta"
    canary = tmp_path / "canary"

    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(canary),)

    path.write_bytes(pickle.dumps({dataset.facts.names_key: Hostile()}))
    md5 = {**dataset.facts.md5, "meta": hashlib.md5(path.read_bytes()).hexdigest()}
    type(dataset).facts = dataclasses.replace(dataset.facts, md5=md5)
    with pytest.raises(DataProblem, match=r"meta is not in the official format: .*mkdir"):
        dataset.load(tmp_path / "source")
    assert not canary.exists()


def replace_file(dataset: Cifar, source: Path, name: str, content: bytes) -> Path:
    """Put another content where the reader expects it, with its digest."""
    path = source / dataset.facts.folder / name
    path.write_bytes(content)
    md5 = {**dataset.facts.md5, name: hashlib.md5(content).hexdigest()}
    type(dataset).facts = dataclasses.replace(dataset.facts, md5=md5)
    return path


DATA = np.zeros((3, 3072), np.uint8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "expected a dictionary, found a list of 2"),
        (7, "expected a dictionary, found a value of type int"),
        ({}, r"expected bytes of shape \(n, 3,072\) at data, found nothing"),
        ({"data": [1]}, "at data, found a list of 1"),
        ({"data": DATA[:, :9]}, r"found uint8 of shape \(3, 9\)"),
        ({"data": DATA[0]}, r"found uint8 of shape \(3072,\)"),
        ({"data": DATA.astype(float)}, "found float64"),
        ({"data": DATA}, "expected 3 numbers at .*labels, found nothing"),
        ({"data": DATA, "labels": [0, 1]}, "expected 3 numbers .* found a list of 2"),
        ({"data": DATA, "labels": [0, 1, "2"]}, "expected 3 numbers"),
        ({"data": DATA, "labels": [0, 1, 3]}, r"expected labels 0\.\.2, found 0\.\.3"),
        ({"data": DATA, "labels": [0, 1, -1]}, r"expected labels 0\.\.2, found -1\.\.1"),
        ({"data": DATA[:0], "labels": []}, "expected 0 numbers"),
    ],
)
def test_an_image_file_of_another_content_is_worded(tiny, tmp_path, content, words):
    dataset, _, _ = tiny
    if isinstance(content, dict) and "labels" in content:
        content = {"data": content["data"], dataset.facts.labels_key: content["labels"]}
    path = replace_file(dataset, tmp_path / "source", "batch_2", pickle.dumps(content))
    with pytest.raises(DataProblem, match=words) as problem:
        dataset.load(tmp_path / "source")
    assert str(problem.value).startswith(f"{path} is not in the official format: ")
    assert "Delete it and run `bench data tiny" in str(problem.value)


@pytest.mark.parametrize("names", [None, 3, ["ape", 2], "ape", {"ape": 0}])
def test_names_of_another_kind_are_worded(tiny, tmp_path, names):
    dataset, _, _ = tiny
    content = pickle.dumps({dataset.facts.names_key: names})
    replace_file(dataset, tmp_path / "source", "meta", content)
    with pytest.raises(DataProblem, match=r"meta is not in the official format: expected a "):
        dataset.load(tmp_path / "source")


@pytest.mark.parametrize(
    "content", [b"", b"no pickle", b"\x80\x05", b"I9\n.", b"(dp0\nS'a'\n.", b"]."]
)
def test_what_is_no_pickle_is_worded(tiny, tmp_path, content):
    dataset, _, _ = tiny
    replace_file(dataset, tmp_path / "source", "test", content)
    with pytest.raises(DataProblem, match=r"test is not in the official format: "):
        dataset.load(tmp_path / "source")


def test_fetch_downloads_unpacks_and_verifies(tiny, tmp_path, mirror):
    dataset, _, root = tiny
    lines = []
    dataset.fetch(root / "new", lines.append)
    assert_content(dataset.load(root / "new"), tmp_path / "source", dataset.facts)
    assert [behaviour for behaviour, _ in mirror.log] == ["missing", "range"]
    assert any("HTTP 404" in line for line in lines)
    assert lines[-1] == f"tiny: all 4 files are whole in {root / 'new' / dataset.facts.folder}"
    mirror.log.clear()
    dataset.fetch(root / "new")
    dataset.fetch(root / "new" / dataset.facts.folder)
    assert mirror.log == []


def test_fetch_repairs_a_damaged_file_and_keeps_other_files(tiny, tmp_path):
    dataset, _, root = tiny
    folder = root / dataset.facts.folder
    folder.mkdir()
    (folder / "batch_1").write_bytes(b"half")
    (folder / "mine.txt").write_text("keep me")
    lines = []
    dataset.fetch(root, lines.append)
    assert_content(dataset.load(root), tmp_path / "source", dataset.facts)
    assert (folder / "mine.txt").read_text() == "keep me"
    assert "batch_1 is damaged" in lines[0]


def test_fetch_uses_an_archive_that_is_already_there(tiny, mirror):
    dataset, archive, root = tiny
    (root / dataset.facts.archive).write_bytes(archive)
    dataset.fetch(root)
    assert mirror.log == []
    assert dataset.load(root).facts()["test_images"] == 4


def test_fetch_without_a_working_mirror_leaves_nothing_half_done(tiny, mirror):
    dataset, _, root = tiny
    mirror.files.clear()
    with pytest.raises(DataProblem, match="No mirror gave cifar"):
        dataset.fetch(root)
    assert visible(root) == []


def test_two_at_once_download_once(tiny, tmp_path, mirror):
    dataset, _, root = tiny
    threads = [threading.Thread(target=dataset.fetch, args=(root,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [behaviour for behaviour, _ in mirror.log] == ["missing", "range"]
    assert_content(dataset.load(root), tmp_path / "source", dataset.facts)


def test_only_the_native_size(tiny, tmp_path):
    dataset, _, _ = tiny
    assert dataset.load(tmp_path / "source", 32).image_size == 32
    with pytest.raises(UsageProblem, match="32 x 32 pixels only; got image size 64"):
        dataset.load(tmp_path / "source", 64)


@pytest.mark.parametrize("dataset", [Cifar10(), Cifar100(), Cifar100SuperClasses()])
def test_facts_are_consistent(dataset):
    facts = dataset.facts
    assert {*facts.train, facts.test, facts.meta} == set(facts.md5)
    assert len(set(facts.md5.values())) == len(facts.md5)
    assert all(re.fullmatch("[0-9a-f]{32}", md5) for md5 in facts.md5.values())
    assert all(url.startswith("https://") for url in facts.mirrors)
    assert all(url.endswith("/" + facts.archive) for url in facts.mirrors)
    assert facts.mirrors[-1] == f"https://www.cs.toronto.edu/~kriz/{facts.archive}"


def write_both_labels(folder: Path) -> dict[str, str]:
    """Write CIFAR-100's three files with fine and coarse labels; return their digests."""
    random = np.random.default_rng(1)
    folder.mkdir(parents=True)
    contents = {
        name: {
            "data": random.integers(0, 256, (count, 3072), np.uint8),
            "fine_labels": list(range(count)),
            "coarse_labels": [number // 2 for number in range(count)],
        }
        for name, count in (("train", 6), ("test", 4))
    }
    contents["meta"] = {"fine_label_names": list("abcdef"), "coarse_label_names": list("xyz")}
    for name, content in contents.items():
        (folder / name).write_bytes(python2_pickle(content))
    return {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in contents}


def test_super_classes_are_other_labels_of_the_same_files(tmp_path, mirror, offer, monkeypatch):
    md5 = write_both_labels(tmp_path / "source" / CIFAR100.folder)
    served = offer(CIFAR100, tmp_path / "source" / CIFAR100.folder, "range")
    for kind in (Cifar100, Cifar100SuperClasses):
        facts = dataclasses.replace(
            kind.facts,
            md5=md5,
            archive_md5=served.archive_md5,
            archive_size=served.archive_size,
            mirrors=served.mirrors,
        )
        monkeypatch.setattr(kind, "facts", facts)
    root = tmp_path / "root"
    both = (Cifar100(), Cifar100SuperClasses())
    # one lock for both names, so that they do not write one archive at the same time
    threads = [threading.Thread(target=dataset.fetch, args=(root,)) for dataset in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mirror.log) == 1
    fine, coarse = (dataset.load(root) for dataset in both)
    np.testing.assert_array_equal(fine.train.images, coarse.train.images)
    assert fine.train.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert coarse.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert coarse.test.labels.tolist() == [0, 0, 1, 1]
    assert (fine.classes, coarse.classes) == (tuple("abcdef"), tuple("xyz"))
    assert fine.digest != coarse.digest


def test_the_digests_of_before_stand():
    contents = {kind: "".join(kind.facts.md5.values()).encode() for kind in (Cifar10, Cifar100)}
    for kind, content in contents.items():
        assert not kind.facts.digest_salt
        assert content_digest(kind.facts) == hashlib.sha256(content).hexdigest()


def test_a_real_batch(real_data):
    folder = real_data(CIFAR10.folder, "test_batch", "batches.meta")
    only = {name: CIFAR10.md5[name] for name in ("test_batch", "batches.meta")}
    facts = dataclasses.replace(CIFAR10, md5=only, train=("test_batch",))
    data = type("Real", (Cifar,), {"name": "real", "facts": facts})().load(folder)
    assert data.test.images.shape == (10_000, 32, 32, 3)
    assert np.bincount(data.test.labels).tolist() == [1000] * 10
    assert [data.classes[label] for label in data.test.labels[:4]] == [
        "cat",
        "ship",
        "ship",
        "airplane",
    ]
    # Photographs are smooth: a wrong order of rows, columns or colours would not be.
    pixels = data.test.images[:500].astype(np.int64)
    steps = [np.abs(np.diff(pixels, axis=axis)).mean() for axis in (1, 2, 3)]
    assert max(steps) < 20
