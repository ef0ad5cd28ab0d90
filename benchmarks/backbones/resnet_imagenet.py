"""ResNet in its ImageNet form, for images of about 224 pixels."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.backbones.resnet import ResNet


class ImageNetResNet(ResNet):
    """7 x 7 stem of stride 2, max-pooling, four stages, average pooling, a linear embedding.

    Source: He et al. (CVPR 2016), Table 1. InvaSpread's Table 6 trains the 18-layer form from
    random weights (docs/fidelity.md, "Classes not seen in training"). The whole last maps are
    pooled, 7 x 7 of a 224 x 224 image and 8 x 8 of a 227 x 227 one, so that any image will do.

    Args:
        blocks: number of basic blocks of each stage.
        width: channels of the first stage; every stage doubles them.
        embedding_size: d.
    """

    def __init__(self, blocks: Sequence[int], width: int, embedding_size: int) -> None:
        super().__init__(blocks, width, embedding_size)
        self.conv = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)

    def features(self, images: Tensor) -> Tensor:
        """Map (b, 3, h, w) images to (b, 8 * width) pooled features, before the embedding layer."""
        maps = F.relu(self.bn(self.conv(images)), inplace=True)
        maps = self.stages(F.max_pool2d(maps, 3, stride=2, padding=1))
        return torch.flatten(F.adaptive_avg_pool2d(maps, 1), 1)


def resnet18_imagenet(embedding_size: int = 128) -> ImageNetResNet:
    """ResNet-18 of ImageNet: 11.2 million parameters, 1.8 GMAC on a 224 x 224 image."""
    return ImageNetResNet((2, 2, 2, 2), 64, embedding_size)
