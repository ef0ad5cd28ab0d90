"""Triplet (hard): the closest negative of the batch (Hermans et al., 2017)."""

from torch import Tensor, nn

from methods.blocks.distance import Distance
from methods.blocks.logits import other_instances, similarity
from methods.triplet import Triplet


class TripletHard(Triplet):
    """The batch-hard triplet; with one positive an anchor, only the negative is chosen.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        margin: above 0, in units of the distance.
        distance: between embeddings; "euclidean" is not squared.
    """

    name = "triplet-hard"
    paper = "Hermans et al., arXiv:1703.07737"

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        margin: float = 0.5,
        distance: Distance = "euclidean",
    ) -> None:
        super().__init__(encoder, instances, margin=margin, distance=distance)

    def pick_negatives(self, embeddings: Tensor) -> Tensor:
        """Return the (2n, 1) row of the closest negative, the same one for every distance."""
        others = other_instances(len(embeddings) // 2, 2, embeddings.device)
        closest = similarity(embeddings, embeddings).gather(1, others).argmax(1, keepdim=True)
        return others.gather(1, closest)
