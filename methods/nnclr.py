"""NNCLR: an image's positive is its nearest neighbour's embedding (Dwibedi et al., ICCV 2021)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, check_positive
from methods.base import Batch, feature_size, normalise
from methods.blocks.heads import mlp
from methods.blocks.logits import similarity
from methods.blocks.projected import ProjectedMethod
from methods.blocks.queue import Queue
from methods.blocks.views import as_two_views


@torch.no_grad()
def nearest_in_support(embeddings: Array, support: Array) -> Tensor:
    """Return (n, d) rows of the support set, each nearest to an embedding, Eq. 4.

    For unit rows the nearest in Euclidean distance is the one of the largest inner product.

    Args:
        embeddings: (n, d) L2-normalised projections z.
        support: (m, d) L2-normalised past projections Q, a queue.
    """
    embeddings = as_floats(embeddings, "embeddings", "n", "d")
    support = as_floats(support, "support", "m", embeddings.shape[1])
    return support[similarity(embeddings, support).argmax(1)]  # (n, m) to (n,) to (n, d)


def nearest_neighbour_loss(neighbours: Array, predicted: Array, temperature: float) -> Tensor:
    """Return the mean -log softmax_k(NN(z_i) . p_k / temperature) at k = i, Eq. 3.

    The negatives are the n - 1 other predictions of the batch. The method averages it over both
    directions: neighbours of view 1 with predictions of view 2, and the reverse. lightly's NNCLR,
    to which its published values belong, is `nt_xent_loss(neighbours, predicted)` instead.

    Args:
        neighbours: (n, d) `nearest_in_support` of one view's projections.
        predicted: (n, d) L2-normalised predictions p of the other view.
        temperature: divides the cosines, above 0; the paper's is 0.1.
    """
    check_positive(temperature, "temperature")
    neighbours, predicted = as_two_views(neighbours, predicted, least=2)
    logits = similarity(neighbours.detach(), predicted, temperature)  # (n, n)
    return F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))


class NNCLR(ProjectedMethod):
    """The positive of a view is the nearest past projection to its other view.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        temperature: divides the cosines, above 0.
        hidden: width of the projector's and the predictor's hidden layers.
        size: d of the projections.
        queue: past projections in the support set; a multiple of the batch size.
    """

    name = "nnclr"
    paper = "Dwibedi et al., ICCV 2021"
    family = "contrastive"

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        temperature: float = 0.1,
        hidden: int = 2048,
        size: int = 256,
        queue: int = 4096,
    ) -> None:
        width = feature_size(encoder)
        super().__init__(encoder, instances, mlp([width, hidden, hidden, size], ending="bn"))
        self.predictor = mlp([size, hidden, size])
        self.queue = Queue(queue, size)
        self.temperature = check_positive(temperature, "temperature")
        self._newest: Tensor | None = None

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with two views, both ways round."""
        first, second = self.project_views(batch)  # (b, d) each
        predicted = [normalise(self.predictor(rows)) for rows in (first, second)]
        keys = [normalise(rows).detach() for rows in (first, second)]
        near = [nearest_in_support(rows, self.queue.rows) for rows in keys]
        self._newest = keys[0]
        losses = [
            nearest_neighbour_loss(near[0], predicted[1], self.temperature),
            nearest_neighbour_loss(near[1], predicted[0], self.temperature),
        ]
        return (losses[0] + losses[1]) / 2

    def after_step(self, batch: Batch) -> None:
        """Put the projections of the first view into the support set."""
        if self._newest is not None:
            self.queue.enqueue(self._newest)
        self._newest = None
