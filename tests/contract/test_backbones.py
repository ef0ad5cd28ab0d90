"""Every backbone of the suite keeps the contract of an encoder."""

import pytest
import torch

from benchmarks import backbones
from benchmarks.backbones.testing import check_backbone, check_outputs

SIZES = {"resnet18-topleft7": 56, "googlenet": 224, "resnet18-imagenet": 64}
"""Sides of images that a network can take, in pixels, where 32 will not do."""


@pytest.mark.parametrize("name", backbones.names())
def test_it_keeps_the_contract(name):
    check_backbone(type(backbones.get(name)), SIZES.get(name, 32))


@pytest.mark.parametrize("name", sorted({*backbones.names()} - {"googlenet"}))
def test_the_head_of_the_features_is_the_embedding_of_odd_images_too(name):
    torch.manual_seed(0)
    side = SIZES.get(name, 32) + 5
    check_outputs(backbones.get(name).build(7), torch.randn(3, 3, side, side))
