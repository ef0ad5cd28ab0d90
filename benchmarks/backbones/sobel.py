"""Networks that see edges: Super-AND's two towers, and the single Sobel tower of IIC.

The Sobel filters are fixed and act on the images as they come, normalised and augmented
(`methods.blocks.sobel`).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmarks.backbones.resnet import ResNet
from methods.blocks.sobel import sobel

EDGES = 2
"""Channels of `sobel`: horizontal and vertical."""


class SobelNetwork(nn.Module):
    """A tower that sees the edges of an image, perhaps one that sees its colours, and a head.

    Args:
        edges: a network of `EDGES` channels, without a head of its own.
        embedding_size: d.
        colours: a network of three channels, without a head of its own; None for edges alone.

    Attributes:
        feature_size: width of the pooled features of all towers.
        embedding_size: d.
        head: the linear layer from features to embeddings.
    """

    def __init__(self, edges: "Tower", embedding_size: int, colours: "Tower | None" = None) -> None:
        super().__init__()
        self.colours, self.edges = colours, edges
        self.feature_size = edges.feature_size + (colours.feature_size if colours else 0)
        self.embedding_size = embedding_size
        self.head = nn.Linear(self.feature_size, embedding_size)

    def features(self, images: Tensor) -> Tensor:
        """Map (b, 3, h, w) images to (b, feature_size): pooled colours, if seen, then edges."""
        edges: Tensor = self.edges(sobel(images))
        if self.colours is None:
            return edges
        return torch.cat([self.colours(images), edges], 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map (b, 3, h, w) images to (b, d) embeddings, not normalised."""
        embeddings: Tensor = self.head(self.features(images))
        return embeddings


class Tower(ResNet):
    """A ResNet for small images without a head: it maps (b, channels, h, w) to pooled features.

    Args:
        blocks: number of basic blocks of each stage.
        width: channels of the first stage; every stage doubles them.
        channels: of the images.
        pooled: whether a max-pooling of 2 x 2 follows the stem, with a border of one pixel.
    """

    def __init__(
        self, blocks: Sequence[int], width: int, channels: int, pooled: bool = False
    ) -> None:
        super().__init__(blocks, width, embedding_size=1)
        self.feature_size = width * 2 ** (len(blocks) - 1)
        self.embedding_size = self.feature_size
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        # Not an attribute of its own, so that `features` is ResNet's as it stands.
        if pooled:
            self.stages.insert(0, nn.MaxPool2d(2, stride=2, padding=1))
        del self.head

    def forward(self, images: Tensor) -> Tensor:
        """Map (b, channels, h, w) images to (b, feature_size) pooled features."""
        return self.features(images)


def resnet18_sobel2(embedding_size: int = 128) -> SobelNetwork:
    """Super-AND's network: one ResNet-18 for colours and one for edges, 22.5 million parameters.

    What its table calls ResNet18 has twice the parameters and work of InvaSpread's (released code,
    models/resnet_cifar.py; docs/fidelity.md, "AND and Super-AND"): it stands in no column with
    single towers.
    """
    return _two_towers((2, 2, 2, 2), 64, embedding_size)


def resnet10_16_sobel2(embedding_size: int = 128) -> SobelNetwork:
    """Two narrow ResNet-10 towers: Super-AND's form of `resnet10-16`, for runs of minutes."""
    return _two_towers((1, 1, 1, 1), 16, embedding_size)


def resnet18_sobel(embedding_size: int = 128) -> SobelNetwork:
    """One ResNet-18 that sees edges alone, otherwise as `resnet18`."""
    return SobelNetwork(Tower((2, 2, 2, 2), 64, EDGES), embedding_size)


def resnet10_16_sobel(embedding_size: int = 128) -> SobelNetwork:
    """One narrow ResNet-10 that sees edges alone, for runs of minutes."""
    return SobelNetwork(Tower((1, 1, 1, 1), 16, EDGES), embedding_size)


def resnet34_sobel(embedding_size: int = 128) -> SobelNetwork:
    """IIC's network on CIFAR-10, CIFAR-100-20 and STL-10: one ResNet-34 that sees edges alone.

    Its stem is followed by a max-pooling (IIC's released code, archs/cluster/net5g.py), and its
    last maps, of 3 x 3 for 32 x 32 images and of 7 x 7 for 96 x 96, are pooled whole. IIC's grey is
    the luminance of images that are not normalised; here it is the mean of normalised channels.
    """
    return SobelNetwork(Tower((3, 4, 6, 3), 64, EDGES, pooled=True), embedding_size)


def _two_towers(blocks: Sequence[int], width: int, embedding_size: int) -> SobelNetwork:
    colours, edges = Tower(blocks, width, channels=3), Tower(blocks, width, EDGES)
    return SobelNetwork(edges, embedding_size, colours)
