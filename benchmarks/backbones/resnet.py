"""ResNet for small images (He et al., CVPR 2016), as the instance-discrimination papers use it."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.common.errors import UsageProblem


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, images: Tensor) -> Tensor:
        """Map (b, inputs, h, w) to (b, outputs, h / stride, w / stride)."""
        hidden = F.relu(self.bn1(self.conv1(images)), inplace=True)
        hidden = self.bn2(self.conv2(hidden))
        return F.relu(hidden + self.shortcut(images), inplace=True)


class ResNet(nn.Module):
    """3 x 3 stem without max-pooling, four stages, average pooling, a linear embedding.

    Source: lemniscate.pytorch's and InvaSpread's CIFAR network (docs/fidelity.md, "Network"):
    stages of stride 1, 2, 2, 2; PyTorch's default initialisation; a bias on the embedding layer.

    Args:
        blocks: number of basic blocks of each stage.
        width: channels of the first stage; every stage doubles them.
        embedding_size: d.
        window: side of the top-left square of the last maps that is pooled; None pools all of them.
    """

    def __init__(
        self, blocks: Sequence[int], width: int, embedding_size: int, window: int | None = None
    ) -> None:
        super().__init__()
        self.embedding_size, self.window = embedding_size, window
        self.conv = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        stages: list[nn.Module] = []
        inputs = width
        for stage, count in enumerate(blocks):
            outputs = width * 2**stage
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                stages.append(BasicBlock(inputs, outputs, stride))
                inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.feature_size = inputs
        self.head = nn.Linear(inputs, embedding_size)

    def features(self, images: Tensor) -> Tensor:
        """Map (b, 3, h, w) images to (b, 8 * width) pooled features, before the embedding layer.

        Raises:
            UsageProblem: the images are too small for the pooling window.
        """
        maps = self.stages(F.relu(self.bn(self.conv(images)), inplace=True))
        if self.window is not None:
            maps = self._top_left(maps, self.window, images)
        return torch.flatten(F.adaptive_avg_pool2d(maps, 1), 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map (b, 3, h, w) images to (b, d) embeddings, not normalised."""
        embeddings: Tensor = self.head(self.features(images))
        return embeddings

    @staticmethod
    def _top_left(maps: Tensor, window: int, images: Tensor) -> Tensor:
        height, width = maps.shape[2:]
        if min(height, width) < window:
            raise UsageProblem(
                f"backbone: expected last maps of {window} x {window} or more to pool, found "
                f"{height} x {width} from images of {images.shape[2]} x {images.shape[3]} pixels; "
                "use larger images or a backbone with global pooling, such as resnet18"
            )
        return maps[:, :, :window, :window]


def resnet18(embedding_size: int = 128) -> ResNet:
    """ResNet-18 of the paper: 11.2 million parameters, 0.56 GMAC on a 32 x 32 image."""
    return ResNet((2, 2, 2, 2), 64, embedding_size)


def resnet18_topleft7(embedding_size: int = 128) -> ResNet:
    """ResNet-18 with the pooling of the authors' STL-10 code.

    Of the 12 x 12 maps of a 96 x 96 image it pools the 7 x 7 positions at the top left
    (docs/fidelity.md, "Network"); the other 95 positions are never used.
    """
    return ResNet((2, 2, 2, 2), 64, embedding_size, window=7)


def resnet10_16(embedding_size: int = 128) -> ResNet:
    """ResNet-10, 16 channels wide: the `quick` recipe's network, 50 times cheaper."""
    return ResNet((1, 1, 1, 1), 16, embedding_size)
