"""DIET: the image's index is its class, with label smoothing (Ibrahim et al., arXiv:2302.10260)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.validation import Array, as_floats, as_index
from methods.base import Batch, Method, feature_size, normalise
from methods.blocks.logits import similarity


def datum_index_loss(
    features: Array, weights: Array, index: Array, smoothing: float = 0.8
) -> Tensor:
    """Return the mean cross-entropy over the indices of all n images, labels smoothed.

    The target is 1 - smoothing for the image's own index, and smoothing / n for every index
    besides: an image seen once an epoch is not pushed from its likes with full force.

    Args:
        features: (b, d) features of the backbone, not normalised.
        weights: (n, d) classifier without bias, one row per image.
        index: (b,) row of the weights that belongs to each image.
        smoothing: from 0 (plain cross-entropy, Eq. 1 of Ye et al.) to below 1.
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing: expected a number from 0 to below 1, got {smoothing!r}")
    features = as_floats(features, "features", "b", "d")
    weights = as_floats(weights, "weights", "n", features.shape[1])
    index = as_index(index, "index", len(features))
    logits = similarity(features, weights)  # (b, n)
    return F.cross_entropy(logits, index, label_smoothing=smoothing)


class DIET(Method):
    """A classifier of all images on the features, with strongly smoothed labels.

    Args:
        encoder: see `Method`; its head takes no part.
        instances: see `Method`.
        smoothing: of the labels, from 0 to below 1.
    """

    name = "diet"
    paper = "Ibrahim et al., arXiv:2302.10260"
    family = "instance"
    views = 1

    def __init__(self, encoder: nn.Module, instances: int, *, smoothing: float = 0.8) -> None:
        super().__init__(encoder, instances)
        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing: expected a number from 0 to below 1, got {smoothing!r}")
        self.smoothing = smoothing
        width = feature_size(encoder)
        bound = width**-0.5  # that of nn.Linear
        self.weights = nn.Parameter(torch.empty(instances, width).uniform_(-bound, bound))

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch with one view."""
        features = self.backbone.features(batch.views[0])
        return datum_index_loss(features, self.weights, batch.index, self.smoothing)

    def representations(self, images: Tensor) -> dict[str, Tensor]:
        """Return "features", the pooled output of the backbone."""
        return {"features": normalise(self.backbone.features(images))}
