"""NPSoftmax: the full non-parametric softmax over a memory bank (Wu et al., CVPR 2018)."""

import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, as_index, check_positive
from methods.base import Batch
from methods.blocks.logits import similarity
from methods.blocks.memory_bank import MemoryMethod


def nonparametric_softmax_loss(
    embeddings: Array, bank: Array, index: Array, temperature: float
) -> Tensor:
    """Return the mean -log P(i|x) of Eq. 2 of Ye et al. (2019): a softmax over all instances.

    Args:
        embeddings: (b, d) L2-normalised embeddings f.
        bank: (n, d) remembered embeddings v.
        index: (b,) row of the bank that remembers each instance.
        temperature: divides the similarities, above 0.

    Returns:
        A scalar of at least 0, in nats; log n where nothing is told apart.

    Raises:
        ValueError: if shapes or the temperature do not fit.
    """
    check_positive(temperature, "temperature")
    embeddings = as_floats(embeddings, "embeddings", "b", "d")
    bank = as_floats(bank, "bank", "n", embeddings.shape[1])
    index = as_index(index, "index", len(embeddings))
    logits = similarity(embeddings, bank, temperature)  # (b, n)
    return F.cross_entropy(logits, index)


class NPSoftmax(MemoryMethod):
    """One class per instance, with the remembered embeddings as the classifier's weights.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        temperature: divides the similarities, above 0.
        momentum: of the memory bank, from 0 to below 1.
    """

    name = "npsoftmax"
    paper = "Wu et al., CVPR 2018"

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        temperature: float = 0.1,
        momentum: float = 0.5,
    ) -> None:
        super().__init__(encoder, instances, momentum=momentum)
        self.temperature = check_positive(temperature, "temperature")

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with one view."""
        embeddings = self.embed_batch(batch)
        return nonparametric_softmax_loss(embeddings, self.bank, batch.index, self.temperature)
