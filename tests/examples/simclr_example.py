"""SimCLR (Chen et al., ICML 2020) on backbone features: a head that is thrown away."""

import torch
from torch import Tensor, nn

from methods import Batch, Method, normalise
from methods.blocks.heads import mlp
from methods.simclr import nt_xent_loss


class SimclrExample(Method):
    """Tell the two views of an image from those of all other images of the batch."""

    name = "example-simclr"
    paper = "Chen et al., ICML 2020"
    family = "contrastive"

    def __init__(
        self, encoder: nn.Module, instances: int, *, size: int = 32, temperature: float = 0.5
    ) -> None:
        super().__init__(encoder, instances)
        width = self.backbone.feature_size
        self.projector = mlp([width, width, size])
        self.temperature = temperature

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with two views, encoded in one pass."""
        features = self.backbone.features(torch.cat(batch.views))  # (2b, feature_size)
        first, second = normalise(self.projector(features)).chunk(2)  # (b, size) each
        return nt_xent_loss(first, second, self.temperature)

    def representations(self, images: Tensor) -> dict[str, Tensor]:
        """Return the features first, and what the head makes of them."""
        features = self.backbone.features(images)
        return {
            "features": normalise(features),
            "projection": normalise(self.projector(features)),
        }
