"""A backbone of one's own: three convolutions. `--plugin own_backbone.py`."""

from torch import Tensor, nn

from benchmarks.backbones import Backbone


class ThreeLayers(nn.Module):
    """An encoder: pooled features, and a linear embedding of them."""

    def __init__(self, embedding_size: int, width: int = 16) -> None:
        super().__init__()
        self.feature_size, self.embedding_size = 4 * width, embedding_size
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, width), (width, 2 * width), (2 * width, 4 * width)):
            layers += [
                nn.Conv2d(inputs, outputs, 3, 2, padding=1),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(self.feature_size, embedding_size)

    def features(self, images: Tensor) -> Tensor:
        """Map (b, 3, h, w) images to (b, feature_size)."""
        return self.layers(images).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Map (b, 3, h, w) images to (b, embedding_size)."""
        embeddings: Tensor = self.head(self.features(images))
        return embeddings


class Small(Backbone):
    """Three convolutions of stride 2 with batch normalisation."""

    name = "three-layers"

    def build(self, embedding_size: int) -> nn.Module:
        """Return the network with random weights."""
        return ThreeLayers(embedding_size)
