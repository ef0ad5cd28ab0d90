"""Alignment and uniformity (Wang & Isola, ICML 2020): a method in another package."""

import torch
from torch import Tensor

from methods import Batch, Method


def alignment_uniformity_loss(first: Tensor, second: Tensor, weight: float = 1.0) -> Tensor:
    """Mean squared distance of positives plus the log of the mean Gaussian potential.

    Args:
        first: (n, d) L2-normalised embeddings.
        second: (n, d), row i shows instance i again.
        weight: of the uniformity term.
    """
    alignment = (first - second).square().sum(dim=1).mean()
    uniformity = torch.stack(
        [torch.pdist(side).square().mul(-2).exp().mean().log() for side in (first, second)]
    ).mean()
    return alignment + weight * uniformity


class Alignment(Method):
    """Pull views of an image together, spread all images on the sphere."""

    name = "alignment"
    paper = "Wang & Isola, ICML 2020"

    def __init__(self, encoder: torch.nn.Module, instances: int, *, weight: float = 1.0) -> None:
        super().__init__(encoder, instances)
        self.weight = weight

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of the batch's two views."""
        first, second = self.embed_views(batch)
        return alignment_uniformity_loss(first, second, self.weight)
