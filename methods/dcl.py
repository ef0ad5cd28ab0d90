"""DCL: NT-Xent without the positive in the denominator (Yeh et al., ECCV 2022)."""

import torch
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, check_positive
from methods.base import Batch, feature_size, normalise
from methods.blocks.heads import mlp
from methods.blocks.logits import as_one_type
from methods.blocks.projected import ProjectedMethod
from methods.blocks.views import as_two_views, pairwise_logits


def decoupled_loss(
    first: Array, second: Array, temperature: float, weights: Array | None = None
) -> Tensor:
    """Return the mean over 2n anchors of -w s(own) + log sum exp s(others), L_DC and L_DCW.

    s is the cosine divided by the temperature; "others" are the 2n - 2 views of other instances.
    The loss can be negative: nothing ties the positive to the sum.

    Args:
        first: (n, d) L2-normalised embeddings of one view, n at least 2.
        second: (n, d) embeddings of another view; row i shows instance i again.
        temperature: divides the cosines, above 0.
        weights: (n,) w of each instance's positive term, such as `von_mises_fisher_weights`
            (L_DCW); None for 1 (L_DC).
    """
    check_positive(temperature, "temperature")
    first, second = as_two_views(first, second, least=2)
    logits, partner = pairwise_logits(first, second, temperature)  # (2n, 2n), (2n,)
    column = partner.unsqueeze(1)
    own = logits.gather(1, column).squeeze(1)  # (2n,)
    others = logits.scatter(1, column, -torch.inf).logsumexp(1)  # (2n,)
    if weights is not None:
        own = own * as_floats(weights, "weights", len(first)).repeat(2)  # both views of each
    return (others - own).mean()


@torch.no_grad()
def von_mises_fisher_weights(first: Array, second: Array, sigma: float = 0.5) -> Tensor:
    """Return (n,) w = 2 - exp(cos / sigma) / mean exp(cos / sigma), the weight of L_DCW.

    Positives that are far apart weigh more; the mean weight is 1. Without gradient.

    Args:
        first: (n, d) L2-normalised embeddings of one view.
        second: (n, d) embeddings of another view.
        sigma: above 0.
    """
    check_positive(sigma, "sigma")
    first, second = as_one_type(*as_two_views(first, second))
    cosine = (first * second).sum(1)  # (n,)
    return 2 - len(cosine) * (cosine / sigma).softmax(0)


class DCL(ProjectedMethod):
    """SimCLR without the positive in the denominator, which makes small batches do.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        temperature: divides the cosines, above 0.
        size: d of the projections.
        weighted: weigh the positives by the von Mises-Fisher weights (DCLW).
        sigma: of these weights, above 0.
    """

    name = "dcl"
    paper = "Yeh et al., ECCV 2022"
    family = "contrastive"

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        temperature: float = 0.1,
        size: int = 128,
        weighted: bool = False,
        sigma: float = 0.5,
    ) -> None:
        width = feature_size(encoder)
        super().__init__(encoder, instances, mlp([width, width, size]))
        self.temperature = check_positive(temperature, "temperature")
        self.weighted = weighted
        self.sigma = check_positive(sigma, "sigma")

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with two views."""
        first, second = map(normalise, self.project_views(batch))  # (b, d) each
        weights = von_mises_fisher_weights(first, second, self.sigma) if self.weighted else None
        return decoupled_loss(first, second, self.temperature, weights)
