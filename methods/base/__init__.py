"""The contract of a method, and how methods are found by name."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from methods.base.batch import Batch, Clock, TrainingSet, View, Views, views_of
    from methods.base.encoder import Encoder, as_encoder, check_encoder
    from methods.base.method import Method, embedding_size, feature_size, normalise
    from methods.base.registry import FAMILIES, FAMILY_WORDS

__all__ = [
    "FAMILIES",
    "FAMILY_WORDS",
    "Batch",
    "Clock",
    "Encoder",
    "Method",
    "TrainingSet",
    "View",
    "Views",
    "as_encoder",
    "check_encoder",
    "embedding_size",
    "feature_size",
    "normalise",
    "views_of",
]
_MODULES = {
    "batch": ("Batch", "Clock", "TrainingSet", "View", "Views", "views_of"),
    "encoder": ("Encoder", "as_encoder", "check_encoder"),
    "method": ("Method", "embedding_size", "feature_size", "normalise"),
    "registry": ("FAMILIES", "FAMILY_WORDS"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: the registry is used where torch need not be imported."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"methods.base.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
