from dataclasses import replace

import numpy as np
import pytest

from benchmarks.common.errors import DataProblem, UsageProblem
from benchmarks.data import datasets
from benchmarks.data.datasets.base import ImageData, Split
from benchmarks.runs.images import (
    SETS_KEPT,
    ImageRequest,
    NamedDataset,
    forget_images,
    images_of,
    read_images,
)


@pytest.fixture(autouse=True)
def _nothing_in_memory():
    forget_images()
    yield
    forget_images()


def images(count=20, name="made-up", classes=("a", "b")):
    pixels = np.random.default_rng(0).integers(0, 256, (count + 4, 4, 4, 3), dtype=np.uint8)
    labels = np.arange(count + 4) % len(classes)
    train, test = (Split(pixels[part], labels[part]) for part in (slice(4, None), slice(4)))
    return ImageData(name, train, test, classes, (0.5,) * 3, (0.2,) * 3, "0" * 16)


class Counting:
    """A load that counts how often it reads."""

    def __init__(self, data):
        self.data, self.read = data, []

    def __call__(self, image_size, split):
        self.read.append((image_size, split))
        return self.data


def test_equal_requests_share_one_copy():
    load = Counting(images())
    assert read_images(ImageRequest(load)) is read_images(ImageRequest(load))
    read_images(ImageRequest(load, train_images=5))  # a subset of the same images
    assert load.read == [(None, None)]
    read_images(ImageRequest(load, image_size=8, split="half"))
    assert load.read[1:] == [(8, "half")]


def test_no_more_sets_stay_in_memory_than_stated():
    loads = [Counting(images()) for _ in range(SETS_KEPT + 1)]
    for load in [*loads, loads[0]]:
        read_images(ImageRequest(load))
    assert [len(load.read) for load in loads] == [2, *[1] * SETS_KEPT]


def test_forgotten_images_are_read_again():
    load = Counting(images())
    read_images(ImageRequest(load))
    forget_images()
    read_images(ImageRequest(load))
    assert len(load.read) == 2


def test_a_subset_has_so_many_of_the_training_images_and_all_test_images():
    data = images()
    found = read_images(ImageRequest(Counting(data), train_images=5))
    whole = [image.tobytes() for image in data.train.images]
    chosen = [whole.index(image.tobytes()) for image in found.train.images]
    assert len(set(chosen)) == 5
    assert found.train.labels.tolist() == data.train.labels[chosen].tolist()
    assert found.test is data.test


def test_too_large_a_subset_says_how_many_there_are_and_what_to_set():
    with pytest.raises(UsageProblem, match=r"at most 20, found 21; set --set recipe.train_images"):
        read_images(ImageRequest(Counting(images()), train_images=21))


def test_copies_among_training_and_test_images_are_noted():
    data = images()
    assert read_images(ImageRequest(Counting(data))).notes == ()
    train = Split(np.concatenate([data.train.images[:-1], data.test.images[:1]]), data.train.labels)
    assert read_images(ImageRequest(Counting(replace(data, train=train)))).notes


def test_classes_without_attributes_are_an_error_before_training():
    with pytest.raises(DataProblem, match="'submarine'"):
        read_images(ImageRequest(Counting(images(name="cifar10", classes=("cat", "submarine")))))


def test_a_run_gets_the_images_that_it_was_planned_with_or_an_error():
    request = ImageRequest(Counting(images()))
    assert images_of(request, "0" * 16).digest == "0" * 16
    with pytest.raises(DataProblem, match=r"expected digest ffff, found 0000.* to plan anew"):
        images_of(request, "ffff")


def test_a_named_data_set_is_that_of_the_registry(tmp_path):
    load = NamedDataset("digits", tmp_path)
    assert load == NamedDataset("digits", tmp_path)
    assert load(None, None).digest == datasets.get("digits").load(tmp_path).digest
    with pytest.raises(UsageProblem, match="digit"):
        NamedDataset("digit", tmp_path)(None, None)
