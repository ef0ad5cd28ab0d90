"""A method's hyper-parameters: read from its constructor, set from the command line."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, get_type_hints

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from benchmarks.errors import UsageProblem, unknown_name
from methods import Method

RECIPE = "recipe"
"""Prefix of `--set` that reaches the recipe instead of a method."""


def defaults(method: type[Method]) -> dict[str, Any]:
    """Return the keyword-only arguments of a method's constructor with their defaults.

    Raises:
        UsageProblem: if one of them has no default.
    """
    found = {}
    for name, parameter in inspect.signature(method).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if parameter.default is inspect.Parameter.empty:
            raise UsageProblem(
                f"method {method.name}: hyper-parameter {name!r} has no default; "
                "give it the paper's value in __init__"
            )
        found[name] = parameter.default
    return found


def resolve(method: type[Method], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return all hyper-parameters of a method with some changed, checked against their types.

    Raises:
        UsageProblem: if a name is unknown or a value is not of the annotated type.
    """
    values = defaults(method)
    hints = get_type_hints(method.__init__)
    for name, value in changes.items():
        if name not in values:
            raise unknown_name(f"hyper-parameter of {method.name}", name, values)
        values[name] = _checked(f"{method.name}.{name}", value, hints.get(name, Any))
    return values


def _checked(name: str, value: Any, kind: Any) -> Any:
    try:
        return TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(
            value
        )
    except ValidationError as error:
        raise UsageProblem(f"{name}: {error.errors()[0]['msg']}, found {value!r}") from error


def parse_settings(settings: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Parse `method.hyper_parameter=value` words into {method: {hyper_parameter: value}}.

    Raises:
        UsageProblem: if a word has another form.
    """
    parsed: dict[str, dict[str, Any]] = {}
    for word in settings:
        name, equals, text = word.partition("=")
        owner, dot, parameter = name.partition(".")
        if not (equals and dot and owner and parameter):
            raise UsageProblem(
                f"--set {word!r}: expected METHOD.HYPER_PARAMETER=VALUE or recipe.FIELD=VALUE, "
                "such as invaspread.temperature=0.05"
            )
        try:
            parsed.setdefault(owner.strip(), {})[parameter.strip()] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UsageProblem(f"--set {word!r}: the value cannot be read ({error})") from error
    return parsed
