"""SimCLR: two views attract, all other images of the batch repel (Chen et al., ICML 2020)."""

import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.validation import Array, check_positive
from methods.base import Batch, feature_size, normalise
from methods.blocks.heads import mlp
from methods.blocks.projected import ProjectedMethod
from methods.blocks.views import as_two_views, pairwise_logits


def nt_xent_loss(first: Array, second: Array, temperature: float) -> Tensor:
    """Return the mean over 2n anchors of -log softmax at the other view, Eq. 1 (NT-Xent).

    The softmax runs over the other view and the 2n - 2 views of other instances.

    Args:
        first: (n, d) L2-normalised embeddings of one view, n at least 2.
        second: (n, d) embeddings of another view; row i shows instance i again.
        temperature: divides the cosines, above 0; the paper's best is 0.5 on CIFAR-10.
    """
    check_positive(temperature, "temperature")
    first, second = as_two_views(first, second, least=2)
    logits, partner = pairwise_logits(first, second, temperature)  # (2n, 2n), (2n,)
    return F.cross_entropy(logits, partner)


class SimCLR(ProjectedMethod):
    """Each of the 2n views of a batch finds its partner among all others.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        temperature: divides the cosines, above 0.
        size: d of the projections.
    """

    name = "simclr"
    paper = "Chen et al., ICML 2020"
    family = "contrastive"

    def __init__(
        self, encoder: nn.Module, instances: int, *, temperature: float = 0.5, size: int = 128
    ) -> None:
        width = feature_size(encoder)
        super().__init__(encoder, instances, mlp([width, width, size]))
        self.temperature = check_positive(temperature, "temperature")

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with two views."""
        first, second = map(normalise, self.project_views(batch))  # (b, d) each
        return nt_xent_loss(first, second, self.temperature)
