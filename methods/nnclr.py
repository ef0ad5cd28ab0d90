"""NNCLR: an image's positive is its nearest neighbour's embedding (Dwibedi et al., ICCV 2021)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluation.validation import Array, as_floats, check_positive
from methods.blocks.logits import similarity
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
