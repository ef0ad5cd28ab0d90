"""The contract of a method, and how methods are found by name."""

from methods.base.batch import Batch, Clock, TrainingSet, View, Views, views_of
from methods.base.encoder import Encoder, check_encoder
from methods.base.method import FAMILIES, Method, embedding_size, normalise

__all__ = [
    "FAMILIES",
    "Batch",
    "Clock",
    "Encoder",
    "Method",
    "TrainingSet",
    "View",
    "Views",
    "check_encoder",
    "embedding_size",
    "normalise",
    "views_of",
]
