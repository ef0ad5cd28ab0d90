"""The contract of a method, and how methods are found by name."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from methods.base.encoder import Encoder, check_encoder
    from methods.base.method import Batch, Method, embedding_size, normalise

__all__ = ["Batch", "Encoder", "Method", "check_encoder", "embedding_size", "normalise"]
_IN_ENCODER = {"Encoder", "check_encoder"}


def __getattr__(name: str) -> Any:
    """Import what is asked for: the registry is used where torch need not be imported."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "methods.base.encoder" if name in _IN_ENCODER else "methods.base.method"
    return getattr(import_module(module), name)
