"""The memory bank of instance discrimination (Wu et al., CVPR 2018), shared by its methods."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from evaluation.validation import check_momentum
from methods.base import Batch, Method, embedding_size, normalise
from methods.blocks.logits import as_one_type


class MemoryMethod(Method):
    """A method that compares embeddings with a bank of one remembered row per instance.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        momentum: m in v <- normalise(m v + (1 - m) f), from 0 to below 1.
    """

    views = 1
    drop_last = False
    bank: Tensor

    def __init__(self, encoder: nn.Module, instances: int, *, momentum: float = 0.5) -> None:
        super().__init__(encoder, instances)
        self.momentum = check_momentum(momentum, "momentum")
        size = embedding_size(encoder)
        bound = (3 / size) ** 0.5  # an expected squared norm of 1; a row is normalised when seen
        self.register_buffer("bank", torch.empty(instances, size).uniform_(-bound, bound))
        self._seen: Tensor | None = None

    def embed_batch(self, batch: Batch) -> Tensor:
        """Return the batch's (b, d) embeddings, and keep them for the update after the step."""
        embeddings = self.embed(batch.views[0])
        self._seen = embeddings.detach()
        return embeddings

    def after_step(self, batch: Batch) -> None:
        """Move the bank's rows of the batch towards the embeddings that the loss has seen."""
        if self._seen is None:
            raise ValueError("after_step: expected a call of loss on the same batch before it")
        update_bank(self.bank, batch.index, self._seen, self.momentum)
        self._seen = None

    def memory(self) -> Tensor:
        """Return the (instances, d) bank."""
        return self.bank


def update_bank(bank: Tensor, index: Tensor, embeddings: Tensor, momentum: float) -> None:
    """Set v <- normalise(m v + (1 - m) f), in place, for the rows that a batch has seen.

    An instance that is in the batch several times gets the mean of its embeddings.

    Args:
        bank: (n, d) memory.
        index: (b,) int64 rows of the bank.
        embeddings: (b, d) f of these rows, without gradient.
        momentum: m, from 0 to below 1.
    """
    # rows of the same instance average each other, so that each of them writes the same
    same = (index.unsqueeze(1) == index).to(embeddings.dtype)  # (b, b)
    mean = same @ embeddings / same.sum(1, keepdim=True)  # (b, d)
    bank.index_copy_(0, index, normalise(momentum * bank[index] + (1 - momentum) * mean))


def remembered_similarities(
    embeddings: Tensor, bank: Tensor, rows: Tensor, temperature: float
) -> Tensor:
    """Return the (b, k) similarities of (b, d) embeddings to each one's (b, k) rows of the bank.

    One product with the whole (n, d) bank is cheaper than fetching b * k rows of it, until the
    bank is about 64 times longer than k. The bank gets no gradient.
    """
    embeddings, bank = as_one_type(embeddings, bank)
    with torch.autocast(embeddings.device.type, enabled=False):
        scores: Tensor = _Remembered.apply(embeddings / temperature, bank, rows)
    return scores


class _Remembered(torch.autograd.Function):
    """Inner products with rows of a bank; the gradient sums those rows without copying them."""

    @staticmethod
    def forward(ctx: Any, embeddings: Tensor, bank: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(bank, rows)
        if len(bank) <= 64 * rows.shape[1]:
            return (embeddings @ bank.T).gather(1, rows)  # (b, n), then (b, k)
        return torch.einsum("bd,bkd->bk", embeddings, bank[rows])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        bank, rows = ctx.saved_tensors
        weights = gradient.contiguous()  # (b, k)
        # (b, d): each row sums its k rows of the bank, weighted, without a copy of (b, k, d)
        return F.embedding_bag(rows, bank, mode="sum", per_sample_weights=weights), None, None
