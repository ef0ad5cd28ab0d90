"""A training set for the hooks of a method, and the plainest encoder."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Looked:
    """Stands for the trainer's `TrainingSet`.

    Attributes:
        rows: gives the (n, d) embeddings.
        pooled: gives the (n, feature_size) features; None gives the embeddings' own.
    """

    rows: Callable[[], Tensor]
    pooled: Callable[[], Tensor] | None = None

    def embeddings(self) -> Tensor:
        return self.rows()

    def features(self) -> Tensor:
        return (self.pooled or self.rows)()


class FlatEncoder(nn.Module):
    """The values of an image are its features, and a linear layer is its head."""

    def __init__(self, feature_size: int, embedding_size: int) -> None:
        super().__init__()
        self.feature_size, self.embedding_size = feature_size, embedding_size
        self.head = nn.Linear(feature_size, embedding_size)

    def features(self, images: Tensor) -> Tensor:
        return torch.flatten(images, 1)

    def forward(self, images: Tensor) -> Tensor:
        embeddings: Tensor = self.head(self.features(images))
        return embeddings
