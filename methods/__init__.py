"""What is compared: one file per method, and the base class they share."""

from methods.base import Batch, Method
from methods.base.registry import get, names

__all__ = ["Batch", "Method", "get", "names"]
