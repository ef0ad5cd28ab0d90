"""What every backbone gives to a method."""

from typing import Protocol, cast, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class Encoder(Protocol):
    """A network of two parts: `encoder(images)` is `head(features(images))`.

    Attributes:
        feature_size: width of the pooled features.
        embedding_size: width of the head's output, d.
    """

    feature_size: int
    embedding_size: int

    def features(self, images: Tensor) -> Tensor:
        """Return the (b, feature_size) pooled output of the backbone."""
        ...

    def head(self, features: Tensor) -> Tensor:
        """Return (b, embedding_size), not yet normalised."""
        ...


def as_encoder(module: nn.Module) -> Encoder:
    """Return a module as what it promises to be, for type checkers."""
    return cast(Encoder, module)


def check_encoder(network: nn.Module) -> Encoder:
    """Return the network as an encoder.

    Raises:
        ValueError: naming what it lacks.
    """
    for name in ("feature_size", "embedding_size"):
        size = getattr(network, name, None)
        if not isinstance(size, int) or size < 1:
            raise ValueError(
                f"encoder {type(network).__name__}: expected a whole number `{name}` of at least "
                f"1, found {size!r}; see methods.base.Encoder"
            )
    for name in ("features", "head"):
        if not callable(getattr(network, name, None)):
            raise ValueError(
                f"encoder {type(network).__name__}: expected a method `{name}`, found none; "
                "encoder(images) is head(features(images)), see methods.base.Encoder"
            )
    return cast(Encoder, network)
