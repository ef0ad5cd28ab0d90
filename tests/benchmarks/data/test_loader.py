import numpy as np
import pytest
import torch

from benchmarks.data.datasets.base import Split
from benchmarks.data.loader import ImageStore, subset
from benchmarks.data.transforms.augment import prepare

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)


@pytest.fixture
def split():
    rng = np.random.default_rng(0)
    return Split(rng.integers(0, 256, (7, 6, 5, 3), dtype=np.uint8), np.arange(7))


def test_gather_returns_planar_images_in_the_order_of_the_index(split):
    images = ImageStore(split, torch.device("cpu"), MEAN, STD).gather(torch.tensor([3, 0]))
    assert images.dtype == torch.uint8
    assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), split.images[[3, 0]])


def test_batches_cover_every_image_once_in_order_through_the_test_transform(split):
    store = ImageStore(split, torch.device("cpu"), MEAN, STD)
    batches = list(store.batches(3))
    assert [len(images) for images in batches] == [3, 3, 1]
    everything = prepare(store.gather(torch.arange(7)), MEAN, STD)
    assert torch.equal(torch.cat(batches), everything)


def test_subset_is_fixed_sorted_and_keeps_labels_with_images(split):
    first, second = subset(split, 4), subset(split, 4)
    assert np.array_equal(first.labels, second.labels)
    assert first.labels.tolist() == sorted(set(first.labels.tolist()))
    assert np.array_equal(first.images, split.images[first.labels])
    assert subset(split, None) is split
    with pytest.raises(ValueError, match="at most 7"):
        subset(split, 8)


def test_subset_is_not_the_first_images():
    many = Split(np.zeros((1000, 8, 8, 3), np.uint8), np.arange(1000))
    assert subset(many, 100).labels.max() > 900


@pytest.fixture
def mapped(split, tmp_path):
    np.save(tmp_path / "images.npy", split.images)
    return Split(np.load(tmp_path / "images.npy", mmap_mode="r"), split.labels)


def test_images_on_disk_are_the_same_images(split, mapped):
    here, there = (ImageStore(s, torch.device("cpu"), MEAN, STD) for s in (split, mapped))
    assert there.on_disk
    assert not here.on_disk
    index = torch.tensor([5, 5, 0])
    assert torch.equal(there.gather(index), here.gather(index))
    for one, other in zip(there.batches(3), here.batches(3), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("batches", [0, 1, 2, 3, 9])
def test_stream_reads_ahead_in_order(split, mapped, batches):
    store = ImageStore(mapped, torch.device("cpu"), MEAN, STD)
    indices = [torch.tensor([number % 7, 0]) for number in range(batches)]
    streamed = list(store.stream(indices))
    assert len(streamed) == batches
    for index, images in zip(indices, streamed, strict=True):
        assert torch.equal(images, store.gather(index))


def test_a_failure_while_reading_ahead_is_raised(mapped):
    store = ImageStore(mapped, torch.device("cpu"), MEAN, STD)
    with pytest.raises(IndexError):
        list(store.stream([torch.tensor([0]), torch.tensor([7])]))
