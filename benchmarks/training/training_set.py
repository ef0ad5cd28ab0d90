"""The training set as a method may look at it before a round or an epoch."""

from functools import cached_property

from torch import Tensor

from benchmarks.evaluator.embed import Embedder


class TrainingSetPass:
    """Embeds the training images when a method asks, and keeps the result until it is dropped.

    Args:
        embedder: of the run.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @cached_property
    def _features(self) -> Tensor:
        return self._embedder.training_features()

    @cached_property
    def _embeddings(self) -> Tensor:
        return self._embedder.training_embeddings()

    def features(self) -> Tensor:
        """Return the (n, feature_size) pooled features, fp32, on the device."""
        return self._features

    def embeddings(self) -> Tensor:
        """Return the (n, d) rows of the headline representation, fp32, on the device."""
        return self._embeddings
