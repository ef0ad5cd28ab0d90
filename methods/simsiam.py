"""SimSiam: two views, a predictor and a stopped gradient (Chen and He, CVPR 2021)."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.validation import Array, check_count
from methods.base import Batch, feature_size
from methods.blocks.heads import mlp
from methods.blocks.logits import as_one_type
from methods.blocks.projected import ProjectedMethod
from methods.blocks.views import as_two_views


def negative_cosine(predicted: Array, target: Array) -> Tensor:
    """Return the mean of -cos(p, stopgrad(z)), Eq. 1 with the stopped gradient of Eq. 3.

    Between -1 and 1. The method averages both directions (Eq. 4). Without the stop every
    embedding becomes the same within an epoch (section 4.1).

    Args:
        predicted: (n, d) predictions p of one view; any length, normalised here.
        target: (n, d) projections z of the other view; gets no gradient.
    """
    predicted, target = as_one_type(*as_two_views(predicted, target))
    return -F.cosine_similarity(predicted, target.detach(), dim=1).mean()


class SimSiam(ProjectedMethod):
    """Predict the other view's projection, which takes no gradient; the predictor's rate is fixed.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        size: d of the projections and width of the projector.
        hidden: width of the predictor's hidden layer.
        layers: of the projector, 2 on CIFAR-10 or 3.
        fixed_rate: whether the predictor keeps the recipe's learning rate without its schedule.
    """

    name = "simsiam"
    paper = "Chen and He, CVPR 2021"
    family = "siamese"

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        size: int = 2048,
        hidden: int = 512,
        layers: int = 2,
        fixed_rate: bool = True,
    ) -> None:
        if check_count(layers, "layers") < 2:
            raise ValueError(f"layers: expected at least 2, got {layers}")
        widths = [feature_size(encoder), *[size] * layers]
        super().__init__(encoder, instances, mlp(widths, ending="bn-no-affine"))
        self.predictor = mlp([size, hidden, size])
        self.fixed_rate = fixed_rate

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with two views, Eq. 4."""
        first, second = self.project_views(batch)  # (b, d) each
        one, other = self.predictor(first), self.predictor(second)
        return (negative_cosine(one, second) + negative_cosine(other, first)) / 2

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the predictor apart from all else, so that its rate can stay."""
        predictor = set(self.predictor.parameters())
        rest = [p for p in self.parameters() if p.requires_grad and p not in predictor]
        fixed: dict[str, Any] = {"schedule": "constant"} if self.fixed_rate else {}
        return [{"params": rest}, {"params": list(self.predictor.parameters()), **fixed}]
