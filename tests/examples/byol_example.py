"""BYOL (Grill et al., NeurIPS 2020) as a plug-in: two kinds of views and a momentum network."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import Batch, Method, View, normalise
from methods.blocks.heads import mlp
from methods.blocks.momentum import ema_, frozen_copy


class ByolExample(Method):
    """Predict a momentum network's projection of the other view."""

    name = "example-byol"
    paper = "Grill et al., NeurIPS 2020"
    family = "siamese"
    views = (View(changes={"blur": 1.0}), View(changes={"blur": 0.1, "solarize": 0.2}))

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        hidden: int = 64,
        size: int = 32,
        momentum: float = 0.99,
    ) -> None:
        super().__init__(encoder, instances)
        self.projector = mlp([self.backbone.feature_size, hidden, size])
        self.predictor = mlp([size, hidden, size])
        self.target_encoder = frozen_copy(encoder)
        self.target_projector = frozen_copy(self.projector)
        self.momentum = momentum

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of Eq. 2, both ways round."""
        first, second = (self._predicted(view) for view in batch.views)  # (b, size)
        with torch.no_grad():
            other, one = (self._target(view) for view in batch.views)
        cosines = F.cosine_similarity(first, one) + F.cosine_similarity(second, other)  # (b,)
        return (4 - 2 * cosines).mean()

    def after_step(self, batch: Batch) -> None:
        """Move the target; the momentum rises to 1 along a cosine."""
        left = (1 - self.momentum) * (1 + math.cos(math.pi * batch.clock.fraction)) / 2
        ema_(self.target_encoder, self.encoder, 1 - left)
        ema_(self.target_projector, self.projector, 1 - left)

    def representations(self, images: Tensor) -> dict[str, Tensor]:
        """Return the backbone's features: BYOL has no use for the head."""
        return {"features": normalise(self.backbone.features(images))}

    def _predicted(self, view: Tensor) -> Tensor:
        projected = self.projector(self.backbone.features(view))
        return self.predictor(projected).float()

    def _target(self, view: Tensor) -> Tensor:
        return self.target_projector(self.target_encoder.features(view)).float()
