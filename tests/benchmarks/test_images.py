import numpy as np
import pytest
import torch

from benchmarks.augment import prepare
from benchmarks.datasets.base import Split
from benchmarks.images import ImageStore, subset

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)


@pytest.fixture
def split():
    rng = np.random.default_rng(0)
    return Split(rng.integers(0, 256, (7, 6, 5, 3), dtype=np.uint8), np.arange(7))


def test_gather_returns_planar_images_in_the_order_of_the_index(split):
    images = ImageStore(split, torch.device("cpu"), MEAN, STD).gather(torch.tensor([3, 0]))
    assert images.dtype == torch.uint8
    assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), split.images[[3, 0]])


def test_embed_covers_every_image_once_in_order(split):
    store = ImageStore(split, torch.device("cpu"), MEAN, STD)
    embeddings = store.embed(lambda images: images.flatten(1), batch_size=3)
    everything = prepare(store.gather(torch.arange(7)), MEAN, STD).flatten(1)
    assert torch.equal(embeddings, everything)


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
