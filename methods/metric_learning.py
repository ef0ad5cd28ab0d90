"""Any loss of the package pytorch-metric-learning as an upper bound with labels."""

from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from methods.base import Batch
from methods.blocks.labelled import LabelledMethod

PACKAGE = "pytorch_metric_learning"


def published_loss(name: str) -> nn.Module:
    """Return a loss of pytorch-metric-learning with its default settings.

    Args:
        name: its class, such as "MultiSimilarityLoss".

    Raises:
        ValueError: the package is not installed, has no such loss, or the loss has weights of its
            own or settings without a default.
    """
    try:
        losses = import_module(f"{PACKAGE}.losses")
    except ImportError:
        raise ValueError(
            f"function: expected the package pytorch-metric-learning for {name}, found none; "
            "pip install 'instbench[metric-learning]'"
        ) from None
    known = sorted(word for word in vars(losses) if word.endswith("Loss"))
    if name not in known:
        raise ValueError(f"function: expected one of {', '.join(known)}, got {name!r}")
    kind: Any = vars(losses)[name]
    try:
        loss: nn.Module = kind()
    except TypeError as error:
        raise ValueError(
            f"function: expected a loss that needs no settings, got {name} ({error}); "
            "write a method of your own for it"
        ) from error
    if list(loss.parameters()):
        raise ValueError(f"function: expected a loss without weights, got {name}")
    return loss


class MetricLearning(LabelledMethod):
    """A pair or triplet loss of pytorch-metric-learning on the batch's embeddings; uses labels.

    Args:
        encoder: see `Method`.
        instances: see `Method`.
        function: class of the loss, with that package's defaults.
        per_class: images of a class that come together, at least 2.
    """

    name = "metric-learning"
    paper = "Musgrave et al., 2020"

    def __init__(
        self,
        encoder: nn.Module,
        instances: int,
        *,
        function: str = "MultiSimilarityLoss",
        per_class: int = 4,
    ) -> None:
        super().__init__(encoder, instances, per_class=per_class)
        self.function = published_loss(function)

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with one view."""
        embeddings = self.embed(batch.views[0])
        with torch.autocast(embeddings.device.type, enabled=False):
            loss: Tensor = self.function(embeddings, self.labels[batch.index])
        return loss
