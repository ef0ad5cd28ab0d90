"""BYOL: predict a momentum network's view, without negatives (Grill et al., NeurIPS 2020)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.validation import Array, check_momentum
from methods.base import Batch, View, as_encoder, feature_size
from methods.blocks.heads import mlp
from methods.blocks.logits import as_one_type
from methods.blocks.momentum import ema_, frozen_copy
from methods.blocks.projected import ProjectedMethod
from methods.blocks.views import as_two_views


def regression_loss(predicted: Array, target: Array) -> Tensor:
    """Return the mean of |q - z|^2 = 2 - 2 cos(q, z) between unit rows, Eq. 2.

    Between 0 and 4. The target gets no gradient. The method adds both directions.

    Args:
        predicted: (n, d) predictions q of one view; any length, normalised here.
        target: (n, d) projections z of the other view by the momentum network; any length.
    """
    predicted, target = as_one_type(*as_two_views(predicted, target))
    return (2 - 2 * F.cosine_similarity(predicted, target.detach(), dim=1)).mean()


def annealed_momentum(base: float, fraction: float) -> float:
    """Return 1 - (1 - base) (cos(pi fraction) + 1) / 2, section 3.2: from the base up to 1.

    Args:
        base: momentum at the start, from 0 to 1; the paper's is 0.996.
        fraction: of training that has passed, from 0 to 1.
    """
    if not (0 <= base <= 1 and 0 <= fraction <= 1):
        raise ValueError(f"expected base and fraction from 0 to 1, got {base!r} and {fraction!r}")
    return 1 - (1 - base) * (math.cos(math.pi * fraction) + 1) / 2


class BYOL(ProjectedMethod):
    """Predict a momentum network's projection of the other view, both ways round.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        hidden: width of the projector's and the predictor's hidden layer.
        size: d of the projections.
        momentum: of the target network at the start, from 0 to below 1.
        anneal: whether the momentum rises to 1 along a cosine, as in the paper.
    """

    name = "byol"
    paper = "Grill et al., NeurIPS 2020"
    family = "siamese"
    views = (View(), View(changes={"solarize": 0.2}))

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        hidden: int = 1024,
        size: int = 256,
        momentum: float = 0.99,
        anneal: bool = True,
    ) -> None:
        super().__init__(encoder, instances, mlp([feature_size(encoder), hidden, size]))
        self.predictor = mlp([size, hidden, size])
        self.target_encoder = frozen_copy(encoder)
        self.target_projector = frozen_copy(self.projector)
        self.momentum = check_momentum(momentum, "momentum")
        self.anneal = anneal

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with two views."""
        first, second = (self.predictor(rows) for rows in self.project_views(batch))
        with torch.no_grad():
            targets = [
                self.target_projector(as_encoder(self.target_encoder).features(view))
                for view in batch.views
            ]
        return regression_loss(first, targets[1]) + regression_loss(second, targets[0])

    def after_step(self, batch: Batch) -> None:
        """Move the target network towards the trained one."""
        fraction = batch.clock.fraction if self.anneal else 0.0
        momentum = annealed_momentum(self.momentum, fraction)
        ema_(self.target_encoder, self.encoder, momentum)
        ema_(self.target_projector, self.projector, momentum)
