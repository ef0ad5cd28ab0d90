"""Exemplar: a softmax classifier with one class per image (Dosovitskiy et al., PAMI 2016)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, as_index, check_positive
from methods.base import Batch, Method, embedding_size, normalise
from methods.blocks.logits import similarity


def exemplar_loss(
    embeddings: Array, weights: Array, index: Array, *, temperature: float = 1.0
) -> Tensor:
    """Return the mean -log P(i|x) of Eq. 1 of Ye et al. (2019): softmax over classifier weights.

    Args:
        embeddings: (b, d) L2-normalised embeddings f.
        weights: (n, d) classifier weights w, one row per instance, without bias.
        index: (b,) row of the weights that belongs to each instance.
        temperature: divides the logits, above 0; Eq. 1 has none.

    Returns:
        A scalar of at least 0, in nats; log n where nothing is told apart.

    Raises:
        ValueError: if shapes or the temperature do not fit.
    """
    check_positive(temperature, "temperature")
    embeddings = as_floats(embeddings, "embeddings", "b", "d")
    weights = as_floats(weights, "weights", "n", embeddings.shape[1])
    index = as_index(index, "index", len(embeddings))
    logits = similarity(embeddings, weights, temperature)  # (b, n)
    return F.cross_entropy(logits, index)


class Exemplar(Method):
    """Learn a classifier of all instances together with the embedding.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        normalise_weights: give each weight row unit length. The temperature should then be about
            0.1: at 1 no probability passes e / (e + n - 1), and nothing is learned.
        temperature: divides the logits, above 0.
    """

    name = "exemplar"
    paper = "Dosovitskiy et al., PAMI 2016"
    views = 1

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        normalise_weights: bool = False,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(encoder, instances)
        self.normalise_weights = normalise_weights
        self.temperature = check_positive(temperature, "temperature")
        size = embedding_size(encoder)
        bound = size**-0.5  # that of nn.Linear
        self.weights = nn.Parameter(torch.empty(instances, size).uniform_(-bound, bound))

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with one view."""
        weights = normalise(self.weights) if self.normalise_weights else self.weights
        embeddings = self.embed(batch.views[0])
        return exemplar_loss(embeddings, weights, batch.index, temperature=self.temperature)
