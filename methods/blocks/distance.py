"""Distances between embeddings that the triplet and pair losses share."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from evaluation.validation import check_choice

Distance = Literal["euclidean", "sqeuclidean", "cosine"]
"""On unit vectors they reach 2, 4 and 2."""


def pair_distance(first: Tensor, second: Tensor, distance: Distance) -> Tensor:
    """Return the (...) distances between (..., d) embeddings, which broadcast.

    From differences, not from inner products, so that near pairs keep their digits.

    Args:
        first: (..., d) floating.
        second: (..., d) floating.
        distance: "euclidean", "sqeuclidean" (its square) or "cosine" (1 - cosine, whatever the
            norms). "euclidean" adds 1e-12 under the root: its gradient is finite for equal rows,
            and their distance 1e-6.

    Raises:
        ValueError: if there is no such distance.
    """
    if check_choice(distance, "distance", Distance) == "cosine":
        return 1 - F.cosine_similarity(first, second, dim=-1)  # (...)
    squared = (first - second).square().sum(-1)  # (...)
    return squared if distance == "sqeuclidean" else (squared + 1e-12).sqrt()
