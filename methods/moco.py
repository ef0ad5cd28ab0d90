"""MoCo: a queue of a momentum network's keys as negatives (He et al., CVPR 2020)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluation.validation import Array, as_floats, check_count, check_positive
from methods.blocks.logits import as_one_type, similarity
from methods.blocks.views import as_two_views


def queue_loss(queries: Array, keys: Array, queue: Array, temperature: float) -> Tensor:
    """Return the mean -log softmax of a query's own key among the queue's, Eq. 1 (InfoNCE).

    Neither the keys nor the queue gets a gradient.

    Args:
        queries: (n, d) L2-normalised embeddings q of one view, by the trained network.
        keys: (n, d) embeddings k+ of another view, by the momentum network.
        queue: (m, d) keys of past batches; this batch's keys are not among them yet.
        temperature: divides the cosines, above 0.
    """
    check_positive(temperature, "temperature")
    queries, keys = as_one_type(*as_two_views(queries, keys))
    queue = as_floats(queue, "queue", "m", queries.shape[1])
    own = (queries * keys.detach()).sum(1, keepdim=True) / temperature  # (n, 1)
    others = similarity(queries, queue.detach(), temperature)  # (n, m)
    logits = torch.cat([own, others], 1)  # (n, 1 + m)
    return F.cross_entropy(logits, torch.zeros_like(own[:, 0], dtype=torch.int64))


def encode_in_groups(
    encode: Callable[[Tensor], Tensor],
    images: Tensor,
    groups: int,
    order: Tensor | None = None,
) -> Tensor:
    """Return the embeddings of a batch that is encoded in groups of their own statistics.

    On one device this is what several GPUs do to batch normalisation (section 3.3). A query and
    its key that share a group share its statistics, and the loss can be lowered by recognising
    those; keys that are encoded in a random order do not give this away.

    Args:
        encode: maps (b, c, h, w) images to (b, d).
        images: (n, c, h, w).
        groups: passes; must divide n, as a smaller group has noisier statistics.
        order: (n,) int64 permutation by which the images are put into groups; None for as given.

    Returns:
        (n, d) embeddings in the order of the images.

    Raises:
        ValueError: if the groups do not divide the batch.
    """
    if len(images) % check_count(groups, "groups"):
        raise ValueError(
            f"groups: expected a number that divides the batch of {len(images)}, got {groups}; "
            "change the groups or the batch size"
        )
    shuffled = images if order is None else images[order]
    encoded = torch.cat([encode(group) for group in shuffled.chunk(groups)])  # (n, d)
    return encoded if order is None else encoded[order.argsort()]
