"""RandomCNN: the embedding of an untrained network, the floor of every table."""

from typing import Literal

import torch
from torch import Tensor, nn

from evaluation.validation import check_choice
from methods.base import Batch, Method

Statistics = Literal["initial", "data"]


class RandomCNN(Method):
    """Train nothing.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        statistics: what batch normalisation uses when evaluated: its "initial" mean 0 and variance
            1, or those of the "data", averaged over one pass. The figures differ by points.
    """

    name = "random-cnn"
    paper = "Ye et al., CVPR 2019"
    family = "baseline"
    views = 1

    def __init__(
        self, encoder: nn.Module, instances: int, *, statistics: Statistics = "initial"
    ) -> None:
        super().__init__(encoder, instances)
        self.statistics = check_choice(statistics, "statistics", Statistics)
        if statistics == "data":
            for layer in encoder.modules():
                if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.SyncBatchNorm):
                    layer.momentum = None  # an average of all batches, not of the last ones

    def epochs(self, planned: int) -> int:
        """Return 0, or the one pass that collects the statistics."""
        return int(self.statistics == "data")

    @torch.no_grad()
    def loss(self, batch: Batch) -> Tensor:
        """Return 0 without gradient; in training mode the pass updates the batch statistics."""
        self.encoder(batch.views[0])
        return torch.zeros((), device=batch.index.device)
