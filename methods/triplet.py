"""Triplet loss on two views of each instance, with negatives of the same batch."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, check_choice, check_positive
from methods.base import Batch, Method
from methods.blocks.distance import Distance, pair_distance
from methods.blocks.logits import other_instances

Negatives = Literal["random", "all"]


def triplet_loss(
    anchors: Array,
    positives: Array,
    negatives: Array,
    margin: float,
    *,
    distance: Distance = "euclidean",
) -> Tensor:
    """Return the mean of max(0, margin + D(anchor, positive) - D(anchor, negative)).

    Source: Hermans et al., arXiv:1703.07737, Eq. 1, with a plain hinge.

    Args:
        anchors: (b, d) embeddings.
        positives: (b, d) embeddings of another view of the anchors' instances.
        negatives: (b, d) embeddings of other instances, or (b, k, d) for k negatives an anchor.
        margin: above 0, in units of the distance: on unit vectors "euclidean" reaches 2,
            "sqeuclidean" 4 and "cosine" 2.
        distance: D.

    Returns:
        A scalar of at least 0; the margin where all distances are equal.

    Raises:
        ValueError: if shapes or an option do not fit.
    """
    check_positive(margin, "margin")
    anchors = as_floats(anchors, "anchors", "b", "d")
    positives = as_floats(positives, "positives", *anchors.shape)
    rows, width = anchors.shape
    shape = (rows, width) if negatives.ndim == 2 else (rows, "k", width)
    negatives = as_floats(negatives, "negatives", *shape).reshape(rows, -1, width)  # (b, k, d)
    near = pair_distance(anchors, positives, distance).unsqueeze(1)  # (b, 1)
    far = pair_distance(anchors.unsqueeze(1), negatives, distance)  # (b, k)
    return F.relu(margin + near - far).mean()


class Triplet(Method):
    """Each of the 2n images of a batch is an anchor, with its other view as the positive.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        margin: above 0, in units of the distance.
        distance: between embeddings; "euclidean" is not squared.
        negatives: of an anchor's 2n - 2 negatives one at "random", or "all" of them.
    """

    name = "triplet"
    paper = "Schroff et al., CVPR 2015"
    family = "triplet"

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        margin: float = 0.5,
        distance: Distance = "euclidean",
        negatives: Negatives = "random",
    ) -> None:
        super().__init__(encoder, instances)
        self.margin = check_positive(margin, "margin")
        self.distance = check_choice(distance, "distance", Distance)
        self.negatives = check_choice(negatives, "negatives", Negatives)
        self._last: Tensor | None = None

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with two views of at least 2 images."""
        if len(batch.index) < 2:
            raise ValueError("batch: expected at least 2 images to find a negative, got 1")
        anchors = torch.cat(self.embed_views(batch))
        positives = anchors.roll(len(batch.index), 0)
        chosen = self.pick_negatives(anchors.detach())
        # Not anchors[chosen]: with several threads its gradient adds up in an undefined order.
        negatives = anchors.index_select(0, chosen.flatten()).view(*chosen.shape, -1)
        with torch.no_grad():
            near = pair_distance(anchors, positives, self.distance)
            far = pair_distance(anchors.unsqueeze(1), negatives, self.distance)
            self._last = torch.stack([near.mean(), far.mean()])
        return triplet_loss(anchors, positives, negatives, self.margin, distance=self.distance)

    def pick_negatives(self, embeddings: Tensor) -> Tensor:
        """Return the (2n, k) rows of the (2n, d) embeddings that are each one's negatives."""
        others = other_instances(len(embeddings) // 2, 2, embeddings.device)
        if self.negatives == "all":
            return others
        column = torch.randint(others.shape[1], (len(others), 1), device=others.device)
        return others.gather(1, column)

    def metrics(self) -> dict[str, float]:
        """Return the last step's mean distances: equal ones mean a collapse, loss = margin."""
        if self._last is None:
            return {}
        near, far = self._last.tolist()
        return {"positive_distance": near, "negative_distance": far}
