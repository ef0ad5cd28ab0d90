"""Triplet (semi-hard), an upper bound with labels (Schroff et al., CVPR 2015)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, as_index, check_positive
from methods.base import Batch
from methods.blocks.distance import pair_distance
from methods.blocks.labelled import LabelledMethod


def semihard_triplet_loss(embeddings: Array, labels: Array, margin: float = 0.2) -> Tensor:
    """Return the mean of max(0, margin + D(a, p) - D(a, n)) over all pairs (a, p) of a class.

    D is the squared Euclidean distance. The negative n is the batch's closest one that is farther
    away than the positive (section 3.2); where none is, the farthest. Without a positive pair, or
    with one class only, the loss is 0.

    Args:
        embeddings: (b, d) embeddings; the method passes L2-normalised ones.
        labels: (b,) class of each.
        margin: above 0, in units of the squared distance.

    Returns:
        A scalar of at least 0.

    Raises:
        ValueError: if shapes or the margin do not fit.
    """
    check_positive(margin, "margin")
    embeddings = as_floats(embeddings, "embeddings", "b", "d")
    labels = as_index(labels, "labels", len(embeddings))
    distances = pair_distance(embeddings.unsqueeze(1), embeddings, "sqeuclidean")  # (b, b)
    alike = labels.unsqueeze(1) == labels  # (b, b)
    with torch.no_grad():
        # each row's negatives by rising distance, and behind them those of its class, at infinity
        ranked, order = distances.masked_fill(alike, torch.inf).sort(1)
        negatives = (~alike).sum(1, keepdim=True)  # (b, 1) how many
        # for every pair (a, p), the place of the first negative farther away than p
        farther = torch.searchsorted(ranked, distances.contiguous(), right=True)  # (b, b)
        # beyond the last place no negative is farther: then it is the farthest, in the last place
        chosen = order.gather(1, torch.minimum(farther, (negatives - 1).clamp(min=0)))
    pairs = alike.fill_diagonal_(False) & (negatives > 0)
    hinge = F.relu(margin + distances - distances.gather(1, chosen))
    return (hinge * pairs).sum() / pairs.sum().clamp(min=1)


class TripletSemihard(LabelledMethod):
    """All positive pairs of a batch, each against one semi-hard negative; uses labels.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        margin: above 0, in units of the squared distance.
        per_class: images of a class that come together, at least 2.
    """

    name = "triplet-semihard"
    paper = "Schroff et al., CVPR 2015"

    def __init__(
        self, encoder: nn.Module, instances: int, *, margin: float = 0.2, per_class: int = 4
    ) -> None:
        super().__init__(encoder, instances, per_class=per_class)
        self.margin = check_positive(margin, "margin")

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with one view."""
        embeddings = self.embed(batch.views[0])
        return semihard_triplet_loss(embeddings, self.labels[batch.index], self.margin)
