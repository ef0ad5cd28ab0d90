"""SimSiam: two views, a predictor and a stopped gradient (Chen and He, CVPR 2021)."""

import torch.nn.functional as F
from torch import Tensor

from evaluation.validation import Array
from methods.blocks.logits import as_one_type
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
