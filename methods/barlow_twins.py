"""Barlow Twins: the views' cross-correlation becomes the identity (Zbontar et al., ICML 2021)."""

import torch
from torch import Tensor

from evaluation.validation import Array
from methods.blocks.logits import as_one_type, similarity
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
