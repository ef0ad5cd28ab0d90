"""Networks that map images to embeddings; every method of a comparison starts from the same one."""

from collections.abc import Callable

from benchmarks.backbones.resnet import ResNet, resnet10_16, resnet18, resnet18_topleft7

BACKBONES: dict[str, Callable[[int], ResNet]] = {
    "resnet18": resnet18,
    "resnet18-topleft7": resnet18_topleft7,
    "resnet10-16": resnet10_16,
}
"""Backbone by name; each takes the embedding size."""

__all__ = ["BACKBONES", "ResNet"]
