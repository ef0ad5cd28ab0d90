"""What is compared: one file per method, and the base class they share."""

from typing import TYPE_CHECKING, Any

from methods.base.registry import get, names

if TYPE_CHECKING:
    from methods.base import Batch, Clock, Encoder, Method, TrainingSet, View, normalise

__all__ = [
    "Batch",
    "Clock",
    "Encoder",
    "Method",
    "TrainingSet",
    "View",
    "get",
    "names",
    "normalise",
]


def __getattr__(name: str) -> Any:
    """Import the contract when it is asked for: names of methods' kin need no torch."""
    if name in __all__:
        import methods.base

        return getattr(methods.base, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
