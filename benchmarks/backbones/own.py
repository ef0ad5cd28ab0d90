"""The suite's own backbones: their names and what they start from; torch is imported to build."""

from typing import TYPE_CHECKING

from benchmarks.backbones.base import Backbone, Normalisation
from benchmarks.backbones.weights import GOOGLENET_CAFFE, GOOGLENET_TORCHVISION

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


class ResNet18(Backbone):
    """ResNet-18 for small images, the paper's network on CIFAR-10 and STL-10."""

    name = "resnet18"

    def build(self, embedding_size: int) -> "nn.Module":
        """Return the network with random weights."""
        from benchmarks.backbones.resnet import resnet18

        return resnet18(embedding_size)


class ResNet18TopLeft7(Backbone):
    """ResNet-18 that pools a part of its last maps, as the authors' STL-10 code does."""

    name = "resnet18-topleft7"

    def build(self, embedding_size: int) -> "nn.Module":
        """Return the network with random weights."""
        from benchmarks.backbones.resnet import resnet18_topleft7

        return resnet18_topleft7(embedding_size)


class ResNet10Narrow(Backbone):
    """ResNet-10 of 16 channels, the `quick` recipe's network."""

    name = "resnet10-16"

    def build(self, embedding_size: int) -> "nn.Module":
        """Return the network with random weights."""
        from benchmarks.backbones.resnet import resnet10_16

        return resnet10_16(embedding_size)


class ResNet18ImageNet(Backbone):
    """ResNet-18 in its ImageNet form, from scratch."""

    name = "resnet18-imagenet"

    def build(self, embedding_size: int) -> "nn.Module":
        """Return the network with random weights."""
        from benchmarks.backbones.resnet_imagenet import resnet18_imagenet

        return resnet18_imagenet(embedding_size)


class ResNet18TwoTowers(Backbone):
    """Super-AND's network: one ResNet-18 for colours and one for edges, twice the size."""

    name = "resnet18-sobel2"

    def build(self, embedding_size: int) -> "nn.Module":
        """Return the network with random weights."""
        from benchmarks.backbones.sobel import resnet18_sobel2

        return resnet18_sobel2(embedding_size)


class ResNet10NarrowTwoTowers(Backbone):
    """Two narrow ResNet-10, one for colours and one for edges, for runs of minutes."""

    name = "resnet10-16-sobel2"

    def build(self, embedding_size: int) -> "nn.Module":
        """Return the network with random weights."""
        from benchmarks.backbones.sobel import resnet10_16_sobel2

        return resnet10_16_sobel2(embedding_size)


class ResNet18Sobel(Backbone):
    """ResNet-18 that sees edges alone."""

    name = "resnet18-sobel"

    def build(self, embedding_size: int) -> "nn.Module":
        """Return the network with random weights."""
        from benchmarks.backbones.sobel import resnet18_sobel

        return resnet18_sobel(embedding_size)


class ResNet10NarrowSobel(Backbone):
    """Narrow ResNet-10 that sees edges alone, for runs of minutes."""

    name = "resnet10-16-sobel"

    def build(self, embedding_size: int) -> "nn.Module":
        """Return the network with random weights."""
        from benchmarks.backbones.sobel import resnet10_16_sobel

        return resnet10_16_sobel(embedding_size)


class ResNet34Sobel(Backbone):
    """IIC's network: ResNet-34 that sees edges alone, with a pooled stem."""

    name = "resnet34-sobel"

    def build(self, embedding_size: int) -> "nn.Module":
        """Return the network with random weights."""
        from benchmarks.backbones.sobel import resnet34_sobel

        return resnet34_sobel(embedding_size)


class _GoogLeNet(Backbone):
    """A GoogLeNet, whose weights expect pixels on a scale of their own."""

    needs_weights = True

    def pretrain(
        self, network: "nn.Module", weights: "Path", normalisation: Normalisation | None
    ) -> None:
        """Fill the trunk, and state what the images are normalised with."""
        from benchmarks.backbones.googlenet import GoogLeNet

        assert isinstance(network, GoogLeNet), "as build returns it"
        if normalisation is not None:
            network.pixels.set_normalisation(*normalisation)
        super().pretrain(network, weights, normalisation)


class GoogLeNetCaffe(_GoogLeNet):
    """Caffe's GoogLeNet, the network of the published Tables 3 to 5."""

    name = "googlenet"
    weights = GOOGLENET_CAFFE

    def build(self, embedding_size: int) -> "nn.Module":
        """Return the network with random weights."""
        from benchmarks.backbones.googlenet import googlenet_caffe

        return googlenet_caffe(embedding_size)


class GoogLeNetTorchvision(_GoogLeNet):
    """torchvision's GoogLeNet."""

    name = "googlenet-torchvision"
    weights = GOOGLENET_TORCHVISION
    caveat = "another network with another start than the Caffe GoogLeNet of published figures"

    def build(self, embedding_size: int) -> "nn.Module":
        """Return the network with random weights."""
        from benchmarks.backbones.googlenet import googlenet_torchvision

        return googlenet_torchvision(embedding_size)
