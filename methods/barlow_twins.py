"""Barlow Twins: the views' cross-correlation becomes the identity (Zbontar et al., ICML 2021)."""

import torch
from torch import Tensor, nn

from evaluation.validation import Array, check_count
from methods.base import Batch, View, feature_size
from methods.blocks.heads import mlp
from methods.blocks.logits import as_one_type, similarity
from methods.blocks.projected import ProjectedMethod
from methods.blocks.views import as_two_views


def cross_correlation(first: Array, second: Array, epsilon: float = 1e-5) -> Tensor:
    """Return the (d, d) correlations of one view's features with the other's, Eq. 2.

    Args:
        first: (n, d) projections of one view, n at least 2.
        second: (n, d) projections of another view.
        epsilon: added to the variances, as batch normalisation does in the authors' code: a
            feature that is constant over the batch correlates with nothing instead of giving NaN.
    """
    first, second = as_one_type(*as_two_views(first, second, least=2))
    first, second = _standardised(first, epsilon), _standardised(second, epsilon)
    return similarity(first.T, second.T) / len(first)  # (d, n) by (n, d)


def cross_correlation_loss(
    first: Array, second: Array, weight: float = 5e-3, epsilon: float = 1e-5
) -> Tensor:
    """Return sum_i (1 - C_ii)^2 + weight sum_{i != j} C_ij^2, Eq. 1.

    Args:
        first: (n, d) projections of one view, n at least 2; not normalised.
        second: (n, d) projections of another view.
        weight: lambda, of the redundancy reduction, at least 0.
        epsilon: see `cross_correlation`.
    """
    if not weight >= 0:
        raise ValueError(f"weight: expected a number of at least 0, got {weight!r}")
    correlation = cross_correlation(first, second, epsilon)  # (d, d)
    diagonal = correlation.diagonal()
    redundant = (correlation - diagonal.diag()).square().sum()
    return (1 - diagonal).square().sum() + weight * redundant


def _standardised(features: Tensor, epsilon: float) -> Tensor:
    """Return each column with mean 0 and (biased) variance 1 over the (n, d) batch."""
    variance, mean = torch.var_mean(features, 0, correction=0)
    return (features - mean) * (variance + epsilon).rsqrt()


class BarlowTwins(ProjectedMethod):
    """Each feature of one view correlates with itself in the other view, and with nothing else.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        weight: lambda, of the redundancy reduction, at least 0.
        size: d of the projections and width of the projector.
        layers: of the projector, 2 on CIFAR-10 or 3.
    """

    name = "barlow-twins"
    paper = "Zbontar et al., ICML 2021"
    family = "siamese"
    views = (View(), View(changes={"solarize": 0.2}))

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        weight: float = 5e-3,
        size: int = 2048,
        layers: int = 2,
    ) -> None:
        if not weight >= 0:
            raise ValueError(f"weight: expected a number of at least 0, got {weight!r}")
        widths = [feature_size(encoder), *[size] * check_count(layers, "layers")]
        super().__init__(encoder, instances, mlp(widths, ending="linear-no-bias"))
        self.weight = weight

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with two views."""
        first, second = self.project_views(batch)  # (b, d) each
        return cross_correlation_loss(first, second, self.weight)
