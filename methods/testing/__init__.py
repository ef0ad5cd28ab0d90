"""The conformance suite that the author of a method calls from a test."""

from methods.testing.check import MethodCheckError, check_method

__all__ = ["MethodCheckError", "check_method"]
