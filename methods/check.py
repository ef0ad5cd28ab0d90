"""`from methods.check import check_method`: another name of `methods.testing`."""

from methods.testing import MethodCheckError, check_method

__all__ = ["MethodCheckError", "check_method"]
