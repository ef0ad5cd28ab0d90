"""What every data set promises, whichever it is."""

import dataclasses
import hashlib
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from benchmarks.common.errors import DataProblem, UsageProblem
from benchmarks.data import datasets
from benchmarks.data.datasets.cifar import Cifar
from benchmarks.data.datasets.class_disjoint import Extent, UnseenClasses
from benchmarks.data.datasets.products import HEADER
from benchmarks.data.datasets.stl10 import FOLDS, Stl10
from benchmarks.data.datasets.svhn import MatFile, Svhn
from benchmarks.data.testing import check_dataset
from benchmarks.training import recipe

RANDOM = np.random.default_rng(0)


def write_cifar(dataset: Cifar, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write tiny files under the official names and tell the reader their digests."""
    facts = dataset.facts
    folder = root / facts.folder
    folder.mkdir()
    for name in facts.md5:
        content = {
            "data": RANDOM.integers(0, 256, (5, 3072), np.uint8),
            facts.labels_key: [0, 1, 2, 1, 0],
            facts.names_key: ["ape", "bee", "cat"],
        }
        (folder / name).write_bytes(pickle.dumps(content))
    md5 = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in facts.md5}
    monkeypatch.setattr(type(dataset), "facts", dataclasses.replace(facts, md5=md5))


def write_stl10(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write tiny files under the official names and tell the reader their digests."""
    folder = root / Stl10.facts.folder
    folder.mkdir()
    files = {}
    for name, file in Stl10.files.items():
        high = 11 if file.unit == "labels" else 256
        content = RANDOM.integers(1, high, 5 * file.record_bytes, np.uint8).tobytes()
        (folder / name).write_bytes(content)
        files[name] = file._replace(records=5, md5=hashlib.md5(content).hexdigest())
    (folder / "class_names.txt").write_text("".join(f"class{number}\n" for number in range(10)))
    (folder / "fold_indices.txt").write_text("0 2\n" * FOLDS)
    monkeypatch.setattr(Stl10, "files", files)
    monkeypatch.setattr(Stl10, "fold_images", 2)


def write_svhn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write tiny files under the official names and tell the reader their sizes and digests."""
    folder = root / "svhn"
    folder.mkdir()
    files = {}
    for name in Svhn.files:
        labels = np.array([[10], [1], [9], [3], [10]], np.uint8)
        pixels = RANDOM.integers(0, 256, (32, 32, 3, 5), np.uint8)
        savemat(folder / name, {"X": pixels, "y": labels}, do_compression=True)
        content = (folder / name).read_bytes()
        files[name] = MatFile(5, len(content), hashlib.md5(content).hexdigest())
    monkeypatch.setattr(Svhn, "files", files)


def write_unseen(dataset: UnseenClasses, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write eight photos of classes 1 to 4 and the official lists, and tell the reader of them."""
    facts = dataset.facts
    folder = root / facts.folder
    above = "car_ims/" if dataset.name == "cars196" else ""
    photos = [(number, 1 + number // 2, f"{above}{number}.jpg") for number in range(8)]
    for _, _, path in photos:
        file = folder / facts.images / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RANDOM.integers(0, 256, (20, 24, 3), np.uint8)).save(file)
    if dataset.name == "cub200":
        (folder / "images.txt").write_text("".join(f"{n} {path}\n" for n, _, path in photos))
        (folder / "image_class_labels.txt").write_text("".join(f"{n} {c}\n" for n, c, _ in photos))
        (folder / "classes.txt").write_text("".join(f"{c} bird{c}\n" for c in range(1, 5)))
    elif dataset.name == "cars196":
        rows = [{"relative_im_path": path, "class": class_id} for _, class_id, path in photos]
        names = np.array([f"car{number}" for number in range(1, 5)], object)
        savemat(folder / "cars_annos.mat", {"annotations": rows, "class_names": names})
    else:
        lines = [f"{n} {class_id} 1 {path}\n" for n, class_id, path in photos]
        for name, part in zip(facts.lists, (lines[:4], lines[4:]), strict=True):
            (folder / name).write_text("".join([f"{HEADER}\n", *part]))
    md5 = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in facts.lists}
    tiny = dataclasses.replace(facts, lists=md5, train=Extent(2, 4), test=Extent(2, 4))
    monkeypatch.setattr(type(dataset), "facts", tiny)


def write_folder(root: Path) -> None:
    for name in ("ape", "bee"):
        (root / name).mkdir()
        for number in range(6):
            pixels = RANDOM.integers(0, 256, (20, 24, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")


@pytest.fixture(params=datasets.names())
def dataset(request) -> datasets.Dataset:
    return datasets.get(request.param)


@pytest.fixture
def root(dataset, tmp_path, monkeypatch) -> Path:
    if isinstance(dataset, Cifar):
        write_cifar(dataset, tmp_path, monkeypatch)
    elif isinstance(dataset, Stl10):
        write_stl10(tmp_path, monkeypatch)
    elif isinstance(dataset, Svhn):
        write_svhn(tmp_path, monkeypatch)
    elif isinstance(dataset, UnseenClasses):
        write_unseen(dataset, tmp_path, monkeypatch)
    elif dataset.name == "folder":
        write_folder(tmp_path)
    return tmp_path


def test_it_passes_the_check_for_authors(dataset, root):
    check_dataset(type(dataset), root)


def test_it_describes_itself(dataset):
    assert re.fullmatch("[a-z0-9]+(-[0-9]+)?", dataset.name)
    assert 10 < len(dataset.description) < 100
    own = {"digits", "stl10", "cub200"} & {dataset.name}
    usual = "unseen" if dataset.unseen_classes else "paper"
    assert dataset.default_recipe == (own.pop() if own else usual)
    assert dataset.default_recipe in recipe.names()
    assert dataset.splits


def test_the_data_is_as_promised(dataset, root):
    data = dataset.load(root)
    assert data.name == dataset.name
    for split in (data.train, data.test):
        assert split.images.dtype == np.uint8
        assert split.images.shape == (len(split), data.image_size, data.image_size, 3)
        assert split.images.flags.c_contiguous
        assert split.labels.dtype == np.int64
        assert 0 <= split.labels.min() <= split.labels.max() < len(data.classes)
        assert split.images.std() > 0
    assert all(0 < value < 1 for value in data.mean + data.std)
    assert re.fullmatch("[0-9a-f]{32,}", data.digest)


def test_every_split_is_as_promised(dataset, root):
    for split in dataset.splits:
        data = dataset.load(root, split=split)
        assert data.split == split
        bank = data.labelled_bank
        assert bank.labels.dtype == np.int64
        assert bank.images.shape == (len(bank), data.image_size, data.image_size, 3)
        assert bank.images.flags.c_contiguous
        assert len(data.train) >= len(bank)
        assert json.loads(json.dumps(data.facts())) == data.facts()
    digests = {dataset.load(root, split=split).digest for split in dataset.splits}
    assert len(digests) == len(dataset.splits)


def test_no_split_is_the_first(dataset, root):
    assert dataset.load(root).facts() == dataset.load(root, split=dataset.splits[0]).facts()


@pytest.mark.parametrize("split", ["unlabeled", "test", "trian"])
def test_an_unknown_split_is_an_error_that_lists_the_known(dataset, root, split):
    with pytest.raises(UsageProblem, match=re.escape(", ".join(dataset.splits))):
        dataset.load(root, split=split)


def test_loading_twice_gives_the_same(dataset, root):
    first, second = dataset.load(root), dataset.load(root)
    assert first.digest == second.digest
    assert first.facts() == second.facts()
    np.testing.assert_array_equal(first.train.images, second.train.images)
    np.testing.assert_array_equal(first.test.labels, second.test.labels)


def test_the_native_size_may_be_asked_for(dataset, root):
    data = dataset.load(root)
    assert dataset.load(root, data.image_size).digest == data.digest


def test_facts_survive_json(dataset, root):
    facts = dataset.load(root).facts()
    assert json.loads(json.dumps(facts)) == facts
    expected = {
        "name",
        "digest",
        "train_images",
        "test_images",
        "classes",
        "image_size",
        "labelled",
    }
    assert set(facts) == expected | ({"unseen"} if dataset.unseen_classes else set())


def test_test_classes_are_unseen_as_declared(dataset, root):
    data = dataset.load(root)
    assert data.unseen == dataset.unseen_classes
    shared = np.intersect1d(data.labelled_bank.labels, data.test.labels)
    assert bool(len(shared)) != dataset.unseen_classes


def test_only_data_sets_of_unseen_classes_have_a_partial_form(dataset, root):
    if dataset.unseen_classes:
        assert dataset.load(root, partial=True).facts() == dataset.load(root).facts()
        return
    with pytest.raises(UsageProblem, match=f"'{dataset.name}' has no partial form"):
        dataset.load(root, partial=True)


def test_fetch_verifies_what_is_there(dataset, root):
    lines = []
    before = sorted(root.rglob("*"))
    dataset.fetch(root, lines.append)
    assert lines
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize("name", sorted({*datasets.names()} - {"digits"}))
def test_a_missing_root_is_an_error_that_names_it(name, tmp_path):
    with pytest.raises(DataProblem, match="absent"):
        datasets.get(name).load(tmp_path / "absent")
    assert not list(tmp_path.iterdir())
