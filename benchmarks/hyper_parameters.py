"""A method's hyper-parameters: read from its constructor, set from the command line."""

import inspect
import math
from collections.abc import Iterable, Mapping
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from benchmarks.errors import UsageProblem, one_line, shown, unknown_name
from benchmarks.plain_yaml import parse
from benchmarks.recipes import Recipe
from methods import Method, get, names

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


def check_methods(recipe: Recipe) -> None:
    """Refuse a recipe whose section `methods` names what is not there; for all of it.

    A method that this command does not run counts too: its line would never come to bear, and
    nobody would know. Methods of plug-ins are known once their files are loaded.

    Raises:
        UsageProblem: if a method or hyper-parameter is unknown, or a value is not of its type.
    """
    known = names(labelled=True)
    for name, changes in recipe.methods.items():
        if name not in known:
            problem = unknown_name("method", name, known)
            raise UsageProblem(
                f"recipe {recipe.name}: methods: {problem} A plug-in's file is given with --plugin."
            )
        try:
            resolve(get(name), changes)
        except UsageProblem as error:
            raise UsageProblem(f"recipe {recipe.name}: methods: {error}") from error


def _checked(name: str, value: Any, kind: Any) -> Any:
    adapter = TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True))
    try:
        checked = adapter.validate_python(value)
    except ValidationError as error:
        message = one_line(error.errors()[0]["msg"])
        raise UsageProblem(f"{name}: {message}, found {shown(value)}") from error
    # JSON, in which records and keys are written, has no such numbers.
    if isinstance(checked, float) and not math.isfinite(checked):
        raise UsageProblem(f"{name}: expected a finite number, found {checked}")
    return checked


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
                f"--set {shown(word)}: expected METHOD.HYPER_PARAMETER=VALUE or "
                "recipe.FIELD=VALUE, such as invaspread.temperature=0.05"
            )
        value = parse(text, f"--set {shown(word)}")
        parsed.setdefault(owner.strip(), {})[parameter.strip()] = value
    return parsed
