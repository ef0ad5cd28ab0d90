import json
import tracemalloc
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from benchmarks.common.errors import UsageProblem
from benchmarks.data import datasets
from benchmarks.data.basics import channel_statistics, default_root
from benchmarks.data.datasets import base
from benchmarks.data.datasets.base import ImageData, Split

IMAGES = np.zeros((4, 8, 8, 3), np.uint8)
LABELS = np.array([0, 1, 1, 0])


def image_data(train: Split, test: Split | None, classes: tuple[str, ...] = ("a", "b"), **more):
    return ImageData("toy", train, test, classes, (0.5,) * 3, (0.2,) * 3, "ab12", **more)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (IMAGES.astype(np.float32), LABELS, "uint8"),
        (IMAGES[..., :1], LABELS, r"\(4, 8, 8, 1\)"),
        (IMAGES[0], LABELS, "n, h, w, 3"),
        (IMAGES[:0], None, "n of 1 or more"),
        (IMAGES.transpose(0, 2, 1, 3), LABELS, "C-contiguous"),
        (IMAGES, LABELS[:3], r"shape \(4,\)"),
        (IMAGES, LABELS.astype(np.int32), "int64"),
    ],
)
def test_a_split_refuses_wrong_arrays(images, labels, words):
    with pytest.raises(ValueError, match=words):
        Split(images, labels)


@pytest.mark.parametrize(
    ("train", "test", "classes", "words"),
    [
        (Split(IMAGES, LABELS), Split(np.zeros((1, 9, 9, 3), np.uint8), LABELS[:1]), "ab", "size"),
        (Split(IMAGES, None), Split(IMAGES, LABELS), "ab", "unlabelled"),
        (Split(IMAGES, LABELS), Split(IMAGES, None), "ab", "unlabelled"),
        (Split(IMAGES, LABELS), None, "a", r"0\.\.0"),
        (Split(IMAGES, LABELS), Split(IMAGES, LABELS + 1), "ab", r"1\.\.2"),
    ],
)
def test_image_data_refuses_parts_that_do_not_fit(train, test, classes, words):
    with pytest.raises(ValueError, match=words):
        image_data(train, test, tuple(classes))


def test_facts_are_ready_for_json():
    split = Split(IMAGES, LABELS)
    facts = image_data(split, Split(IMAGES[:1], LABELS[:1])).facts()
    assert json.loads(json.dumps(facts)) == {
        "name": "toy",
        "digest": "ab12",
        "train_images": 4,
        "test_images": 1,
        "classes": 2,
        "image_size": 8,
        "labelled": True,
    }


def test_a_separate_bank_is_what_is_labelled():
    labelled = Split(IMAGES, LABELS)
    data = image_data(labelled, labelled)
    assert data.labelled_bank is data.train
    bank = Split(IMAGES[:3], LABELS[:3])
    data = image_data(Split(IMAGES, None), labelled, bank=bank, split="all")
    assert data.labelled_bank is bank
    assert data.labelled
    facts = data.facts()
    assert (facts["labelled"], facts["split"], facts["bank_images"]) == (True, "all", 3)


@pytest.mark.parametrize(
    ("bank", "words"),
    [
        (Split(IMAGES, None), "bank: expected None or labelled"),
        (Split(IMAGES, LABELS + 1), r"1\.\.2"),
        (Split(np.zeros((1, 9, 9, 3), np.uint8), LABELS[:1]), "one size"),
    ],
)
def test_a_bank_that_does_not_fit_is_refused(bank, words):
    with pytest.raises(ValueError, match=words):
        image_data(Split(IMAGES, None), Split(IMAGES, LABELS), bank=bank)


def test_unseen_and_partial_are_facts_only_where_they_are_so():
    parts = Split(IMAGES[:2], LABELS[:1].repeat(2)), Split(IMAGES[:2], LABELS[1:3])
    plain = image_data(*parts).facts()
    assert not {"unseen", "partial"} & set(plain)
    assert image_data(*parts, unseen=True).facts() == plain | {"unseen": True}
    assert image_data(*parts, partial=True).facts() == plain | {"partial": True}


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        (Split(IMAGES, LABELS), Split(IMAGES, LABELS), "training and test images, got 2 such as a"),
        (Split(IMAGES, LABELS), None, "expected labelled training and test images"),
    ],
)
def test_unseen_classes_are_those_of_no_training_image(train, test, words):
    with pytest.raises(ValueError, match=words):
        image_data(train, test, unseen=True)


def test_facts_of_unlabelled_data():
    facts = image_data(Split(IMAGES, None), None, ()).facts()
    assert (facts["labelled"], facts["test_images"], facts["classes"]) == (False, 0, 0)


def test_channel_statistics_match_numpy():
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 6, 3), np.uint8)
    images[..., 1] //= 3
    mean, std = channel_statistics(images)
    unit = images.astype(np.float64) / 255
    np.testing.assert_allclose(mean, unit.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, unit.std((0, 1, 2)), rtol=1e-12)


def test_channel_statistics_read_a_memory_map_a_few_images_at_a_time(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (300, 32, 32, 3), np.uint8)
    expected = channel_statistics(images)
    np.save(tmp_path / "images.npy", images)
    monkeypatch.setattr("benchmarks.data.basics.COUNTED_AT_ONCE", 10_000)
    tracemalloc.start()
    found = channel_statistics(np.load(tmp_path / "images.npy", mmap_mode="r"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == expected
    assert peak < 200_000 < images.nbytes


def test_constant_images_can_be_normalised():
    assert channel_statistics(IMAGES) == ((0.0,) * 3, (1 / 255,) * 3)


HERE = Path()


class Toy(base.Dataset):
    splits = ("small", "large")
    refused_splits: ClassVar = {"none": "it has no labels."}

    image_size = 16

    def read(self, root, options):
        side = options.image_size
        images = np.zeros((2, side, side, 3), np.uint8)
        train, test = Split(images, LABELS[:1].repeat(2)), Split(images, LABELS[1:3])
        return image_data(
            train,
            test,
            split=options.split,
            partial=options.partial,
            unseen=self.unseen_classes,
        )

    def fetch(self, root, report=base.silent):
        raise NotImplementedError


Toy.name = "toy"  # after the class is made, so that it is not registered


class Stretching(Toy):
    image_size = 32
    resized = True


class Unseen(Toy):
    unseen_classes = True


def test_native_size_is_the_only_size():
    assert Toy().load(HERE).image_size == 16
    assert Toy().load(HERE, 16).image_size == 16
    with pytest.raises(UsageProblem, match="16 x 16 pixels only; got image size 32"):
        Toy().load(HERE, 32)


def test_images_are_resized_to_no_less_than_eight_pixels():
    assert [Stretching().load(HERE, side).image_size for side in (None, 8)] == [32, 8]
    with pytest.raises(UsageProblem, match="Image size: expected at least 8 pixels, got 7"):
        Stretching().load(HERE, 7)


@pytest.mark.parametrize(
    ("split", "found"), [(None, "small"), ("small", "small"), ("large", "large")]
)
def test_the_first_split_is_the_default(split, found):
    assert Toy().load(HERE, split=split).split == found


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("smal", r"Unknown split of toy 'smal'. Did you mean small\? Known: large, small"),
        ("train", "Unknown split of toy 'train'"),
        ("none", "'toy' cannot be trained on split 'none' and evaluated: it has no labels. Choose"),
    ],
)
def test_other_splits_are_refused(split, words):
    with pytest.raises(UsageProblem, match=words):
        Toy().load(HERE, split=split)


def test_a_data_set_has_no_partial_form_unless_it_says_so():
    assert not Toy().load(HERE).partial
    assert Unseen().load(HERE, partial=True).partial
    with pytest.raises(UsageProblem, match=r"'toy' has no partial form\. Leave --partial out"):
        Toy().load(HERE, partial=True)


@pytest.mark.parametrize("value", ["", "/data/images", "~/images"])
def test_default_root(monkeypatch, value):
    monkeypatch.setenv("BENCH_DATA", value)
    expected = Path(value).expanduser() if value else Path.home() / ".cache" / "instbench"
    assert default_root() == expected


def test_names_and_get():
    assert datasets.names() == [
        "cars196",
        "cifar10",
        "cifar100",
        "cifar100-20",
        "cub200",
        "digits",
        "folder",
        "products",
        "stl10",
        "svhn",
    ]
    assert all(datasets.get(name).name == name for name in datasets.names())
    with pytest.raises(UsageProblem, match=r"Unknown data set 'cifar'.*cifar10"):
        datasets.get("cifar")
