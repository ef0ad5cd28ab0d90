"""What is compared: one file per method, and the base class they share."""

from methods.base import Batch, Clock, Encoder, Method, TrainingSet, View, normalise
from methods.base.registry import get, names

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
