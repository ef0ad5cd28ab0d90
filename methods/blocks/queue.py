"""A queue of past embeddings: MoCo's negatives, NNCLR's support set, SwAV's stored features."""

import torch
from torch import Tensor, nn

from evaluation.validation import check_count
from methods.base import normalise


class Queue(nn.Module):
    """The last `size` rows that were put in, as buffers: saved, resumed and moved with the method.

    It starts with random unit rows, as MoCo's does.

    Args:
        size: rows held; every batch must divide it, so that a batch is replaced as a whole.
        width: d of a row.
    """

    rows: Tensor
    position: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        shape = check_count(size, "queue"), check_count(width, "width")
        self.register_buffer("rows", normalise(torch.randn(shape)))  # (size, d)
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))  # of the oldest row

    @torch.no_grad()
    def enqueue(self, rows: Tensor) -> None:
        """Replace the oldest b rows by these (b, d), in place.

        Raises:
            ValueError: if b does not divide the queue's size or the width differs.
        """
        size, width = self.rows.shape
        if rows.ndim != 2 or rows.shape[1] != width:
            raise ValueError(f"rows: expected shape (b, {width}), got {tuple(rows.shape)}")
        if len(rows) == 0 or size % len(rows):
            raise ValueError(
                f"queue: expected a size that the batch of {len(rows)} divides, got {size}; "
                f"change the queue's size to a multiple of {max(1, len(rows))} or the batch size"
            )
        # the position stays on the device: reading it would wait for the step to finish
        places = (self.position + torch.arange(len(rows), device=rows.device)) % size
        self.rows.index_copy_(0, places, rows.to(self.rows.dtype))
        self.position.add_(len(rows)).remainder_(size)
