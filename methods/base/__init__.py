"""The contract of a method, and how methods are found by name."""

from methods.base.batch import Batch, Clock, TrainingSet, View, Views, views_of
from methods.base.encoder import Encoder, as_encoder, check_encoder
from methods.base.method import FAMILIES, Method, embedding_size, feature_size, normalise

__all__ = [
    "FAMILIES",
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
