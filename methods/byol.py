"""BYOL: predict a momentum network's view, without negatives (Grill et al., NeurIPS 2020)."""

import math

import torch.nn.functional as F
from torch import Tensor

from evaluation.validation import Array
from methods.blocks.logits import as_one_type
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
