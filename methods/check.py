"""The conformance suite that the author of a method calls from a test: `check_method(MyMethod)`."""

import inspect
from typing import Any

import torch

from methods.base import Method
from methods.shared.conformance import BEHAVIOUR, MethodCheckError, require
from methods.shared.toy import Trial

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
    _check_declaration(method_class)
    _check_signature(method_class)
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


def _check_declaration(method_class: type[Method]) -> None:
    subject = f"{method_class.__name__}, declaration"
    for fact, example in (("name", "my-method"), ("paper", "Author et al., CVPR 2019")):
        value = getattr(method_class, fact, None)
        require(
            isinstance(value, str) and bool(value),
            f'{subject}: expected a class attribute like {fact} = "{example}", got {value!r}',
        )
    views = method_class.views
    require(
        isinstance(views, int) and views >= 1,
        f"{subject}: expected views to be a whole number of at least 1, got {views!r}",
    )
    takes_labels = method_class.set_labels is not Method.set_labels
    require(
        method_class.uses_labels is takes_labels,
        f"{subject}: expected uses_labels = True with set_labels, and neither without the other; "
        f"got uses_labels = {method_class.uses_labels!r}, set_labels "
        f"{'defined' if takes_labels else 'not defined'}",
    )


def _check_signature(method_class: type[Method]) -> None:
    subject = f"{method_class.__name__}, constructor"
    parameters = list(inspect.signature(method_class).parameters.values())
    require(
        [parameter.name for parameter in parameters[:2]] == ["encoder", "instances"],
        f"{subject}: expected __init__(self, encoder, instances, *, ...), got "
        f"{inspect.signature(method_class)}",
    )
    for parameter in parameters[2:]:
        require(
            parameter.kind is parameter.KEYWORD_ONLY and parameter.default is not parameter.empty,
            f"{subject}: expected the hyper-parameter {parameter.name} to be keyword-only with a "
            f"default, got `{parameter}`; write it after `*`, with the paper's value",
        )
