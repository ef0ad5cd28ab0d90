"""Two views of the same instances: their checks, and the similarities of all 2n images."""

import torch
from torch import Tensor

from evaluation.validation import Array, as_floats
from methods.blocks.logits import similarity


def as_two_views(first: Array, second: Array, least: int = 1) -> tuple[Tensor, Tensor]:
    """Return two (n, d) views as tensors of at least fp32, with their gradients.

    Args:
        first: (n, d) one row per instance.
        second: (n, d); row i shows instance i again.
        least: instances that the loss needs; 2 for one that has negatives or a variance.

    Raises:
        ValueError: if the shapes differ or there are too few instances.
    """
    first = as_floats(first, "first", "n", "d")
    second = as_floats(second, "second", *first.shape)
    if len(first) < least:
        raise ValueError(
            f"first: expected at least {least} instances in a batch, got {len(first)}; "
            "raise the batch size"
        )
    return first, second


def pairwise_logits(first: Tensor, second: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return the logits of each of 2n images against all, and where each one's other view is.

    Args:
        first: (n, d) L2-normalised rows.
        second: (n, d) L2-normalised rows of the same instances.
        temperature: divides the cosines, above 0.

    Returns:
        (2n, 2n) fp32 logits with -inf on the diagonal, since no image is compared with itself,
        and the (2n,) int64 column of each row's other view.
    """
    images = torch.cat([first, second])  # (2n, d), view by view
    logits = similarity(images, images, temperature).fill_diagonal_(-torch.inf)
    partner = torch.arange(len(images), device=images.device).roll(len(first))
    return logits, partner
