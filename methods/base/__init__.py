"""The contract of a method, and how methods are found by name."""

from methods.base.method import Batch, Method, embedding_size, normalise

__all__ = ["Batch", "Method", "embedding_size", "normalise"]
