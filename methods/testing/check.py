"""The conformance suite that the author of a method calls from a test: `check_method(MyMethod)`."""

from collections.abc import Callable
from typing import Any

import torch

from methods.base import Method
from methods.testing.conformance import BEHAVIOUR
from methods.testing.contract import MethodCheckError, check_declaration, check_signature
from methods.testing.toy import Trial

__all__ = ["MethodCheckError", "check_method"]


def check_method(method_class: type[Method], **hyper_parameters: Any) -> None:
    """Check that the suite can run, save, resume and evaluate a method.

    Trains it on a toy set for about a second on the CPU, and leaves the random state as it was.

    Args:
        method_class: the class to check.
        hyper_parameters: options to check it with, above all those whose defaults do not suit
            1,024 images of 3 x 8 x 8 pixels in batches of 32.

    Raises:
        MethodCheckError: naming the class, the check that failed, what was found and what to do.
    """
    _check("declaration", check_declaration, method_class)
    _check("constructor", check_signature, method_class)
    with torch.random.fork_rng(devices=[]):
        for check in BEHAVIOUR:
            subject = f"{method_class.__name__}, {check.__name__}"
            torch.manual_seed(0)
            try:
                check(lambda: Trial(method_class, hyper_parameters))
            except MethodCheckError as error:
                raise MethodCheckError(f"{subject}: {error}") from None
            except Exception as error:
                raise MethodCheckError(f"{subject}: {type(error).__name__}: {error}") from error


def _check(subject: str, check: Callable[[type[Method]], None], method_class: type[Method]) -> None:
    try:
        check(method_class)
    except MethodCheckError as error:
        raise MethodCheckError(f"{method_class.__name__}, {subject}: {error}") from None
