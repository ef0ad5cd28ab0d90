"""The plain pipeline must be an honest one: the same images, the same views, in distribution."""

import numpy as np
import torch

from benchmarks.commands.speed.plain_pipeline import (
    Views,
    evaluation_transform,
    loader,
    training_transform,
)
from benchmarks.data.transforms.augment import Augmentation, prepare

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def pictures(count):
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)


def test_the_test_transform_is_the_suites():
    images = pictures(5)
    number, view = Views(images, evaluation_transform(MEAN, STD), 1)[3]
    expected = prepare(torch.from_numpy(images[3:4]).permute(0, 3, 1, 2), MEAN, STD)
    assert number == 3
    torch.testing.assert_close(view.unsqueeze(0), expected, check_stride=False)


def test_views_of_an_image_differ():
    transform = training_transform(8, Augmentation(), MEAN, STD)
    _, first, second = Views(pictures(1), transform, 2)[0]
    assert first.shape == second.shape == (3, 8, 8)
    assert not torch.equal(first, second)


def test_a_loader_visits_every_image_once_and_drops_the_last_batch_of_training():
    views = Views(pictures(10), evaluation_transform(MEAN, STD), 1)
    device = torch.device("cpu")
    visited = [batch[0] for batch in loader(views, 4, device, training=True)]
    assert [len(index) for index in visited] == [4, 4]
    assert len(torch.cat(visited).unique()) == 8
    assert torch.cat([batch[0] for batch in loader(views, 4, device, training=False)]).tolist() == [
        *range(10)
    ]
