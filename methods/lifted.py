"""Lifted structured embedding, an upper bound with labels (Song et al., CVPR 2016)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, as_index, check_positive
from methods.base import Batch
from methods.blocks.distance import pair_distance
from methods.blocks.labelled import LabelledMethod


def lifted_structure_loss(embeddings: Array, labels: Array, margin: float = 1.0) -> Tensor:
    """Return the smooth upper bound of Eq. 4: the mean over positive pairs of max(0, J)^2 / 2.

    J of a pair is its distance plus the log of the sum of exp(margin - distance) over all negatives
    of both its images. Distances are Euclidean, not squared. Without a positive pair, or with one
    class only, the loss is 0.

    Args:
        embeddings: (b, d) embeddings; the method passes L2-normalised ones.
        labels: (b,) class of each.
        margin: above 0.

    Returns:
        A scalar of at least 0.

    Raises:
        ValueError: if shapes or the margin do not fit.
    """
    check_positive(margin, "margin")
    embeddings = as_floats(embeddings, "embeddings", "b", "d")
    labels = as_index(labels, "labels", len(embeddings))
    distances = pair_distance(embeddings.unsqueeze(1), embeddings, "euclidean")  # (b, b)
    alike = labels.unsqueeze(1) == labels  # (b, b)
    # Finite, and far below what distances reach: a row without negatives keeps a gradient, of 0.
    lowest = torch.finfo(distances.dtype).min / 4
    push = (margin - distances).masked_fill(alike, lowest).logsumexp(1)  # (b,) over negatives
    bound = torch.logaddexp(push.unsqueeze(1), push) + distances  # (b, b) J
    # every pair stands twice, as (i, j) and (j, i): hence the 2 below is that of max(0, J)^2 / 2
    pairs = alike.clone().fill_diagonal_(False)
    return (F.relu(bound).square() * pairs).sum() / (2 * pairs.sum().clamp(min=1))


class Lifted(LabelledMethod):
    """All positive pairs of a batch against all negatives of both images; uses labels.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        margin: above 0; distances of unit vectors reach 2.
        per_class: images of a class that come together, at least 2.
    """

    name = "lifted"
    paper = "Song et al., CVPR 2016"

    def __init__(
        self, encoder: nn.Module, instances: int, *, margin: float = 1.0, per_class: int = 4
    ) -> None:
        super().__init__(encoder, instances, per_class=per_class)
        self.margin = check_positive(margin, "margin")

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with one view."""
        embeddings = self.embed(batch.views[0])
        return lifted_structure_loss(embeddings, self.labels[batch.index], self.margin)
