"""A method's hyper-parameters: read from its constructor, set from the command line."""

import ast
import copy
import inspect
from collections.abc import Iterable, Mapping
from types import FunctionType
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from benchmarks.common.errors import MethodProblem, UsageProblem, one_line, shown, unknown_name
from benchmarks.common.json_values import NotJson, as_json
from benchmarks.common.plain_yaml import parse
from benchmarks.training.recipe import Recipe
from methods import Method, get, names
from methods.base.registry import in_one_line

RECIPE = "recipe"
"""Prefix of `--set` that reaches the recipe instead of a method."""


def defaults(method: type[Method]) -> dict[str, Any]:
    """Return the keyword-only arguments of a method's constructor with their defaults.

    Raises:
        MethodProblem: if one of them has no default, or one that a record cannot state.
    """
    found = {}
    for name, parameter in _signature(method).items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if parameter.default is inspect.Parameter.empty:
            raise MethodProblem(
                f"method {method.name}: hyper-parameter {name!r} has no default; "
                "give it the paper's value in __init__"
            )
        _checked_json(f"method {method.name}: the default of {name}", parameter.default, method)
        found[name] = copy.deepcopy(parameter.default)
    return found


def declared(method: type[Method], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyper-parameters as JSON values, as keys and records state them.

    Infinity is the text "inf", which `--set` reads back; a function is its name.
    """
    return {name: as_json(value, method.__module__) for name, value in values.items()}


def not_settable(method: type[Method]) -> list[str]:
    """Return constructor arguments with defaults that are not keyword-only, so never recorded."""
    arguments = list(_signature(method).values())[2:]
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [argument.name for argument in arguments if argument.kind in kinds]


def _signature(method: type[Method]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(method).parameters
    except (TypeError, ValueError) as error:
        raise MethodProblem(f"method {method.name}: its constructor has no signature") from error


def resolve(method: type[Method], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return all hyper-parameters of a method with some changed, checked against their types.

    Where there is no annotation, the type of the default says how a value is read.

    Raises:
        UsageProblem: if a name is unknown or a value is not of the type.
        MethodProblem: if a default is none that a record can state.
    """
    values = defaults(method)
    for name, value in changes.items():
        if name not in values:
            raise unknown_name(f"hyper-parameter of {method.name}", name, values)
        values[name] = _read(method, name, value, values[name])
    return values


def untyped(method: type[Method], changes: Mapping[str, Any]) -> list[str]:
    """Return the changed hyper-parameters whose type neither annotation nor default states."""
    usual = defaults(method)
    return [n for n in changes if usual.get(n) is None and _annotation(method, n) is Any]


def _read(method: type[Method], name: str, value: Any, default: Any) -> Any:
    where = f"{method.name}.{name}"
    _checked_json(where, value, method)  # before anything walks through a list in itself
    kind = _annotation(method, name)
    if kind is Any:
        value, kind = _literal(where, value, default)
    value = _checked(where, value, kind)
    _checked_json(where, value, method)
    return value


def _annotation(method: type[Method], name: str) -> Any:
    """Return the type that a hyper-parameter is annotated with; Any for none that can be read."""
    function = inspect.unwrap(method.__init__)
    annotation = getattr(function, "__annotations__", {}).get(name, Any)
    if annotation is Any or annotation is object:
        return Any
    # Others of the same function may name what is imported for type checkers alone.
    alone = FunctionType((lambda: None).__code__, getattr(function, "__globals__", {}))
    alone.__annotations__ = {name: annotation}
    try:
        return get_type_hints(alone)[name]
    except Exception:  # whatever evaluating a plug-in's text raises
        return Any


def _literal(where: str, value: Any, default: Any) -> tuple[Any, Any]:
    """Return a value as Python would read it, and the type that the default says it must have."""
    if callable(default):
        raise UsageProblem(
            f"{where}: expected to be left at its default, a function; found {value!r}. Annotate "
            "it as str in the plug-in and look the function up by its name"
        )
    if isinstance(default, str):
        return value, str
    value = _unquoted(value)
    if isinstance(default, int) and not isinstance(default, bool):
        return value, int | float
    return value, Any if default is None else type(default)


def _unquoted(value: Any) -> Any:
    """Return a value whose texts became what they are in Python: YAML takes 1e-3 for a text."""
    if isinstance(value, list):
        return [_unquoted(item) for item in value]
    if isinstance(value, dict):
        return {name: _unquoted(item) for name, item in value.items()}
    if not isinstance(value, str):
        return value
    for read in (float, ast.literal_eval):
        try:
            return read(value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return value


def check_methods(recipe: Recipe) -> None:
    """Refuse a recipe whose sections `methods` and `for_method` name what is not there.

    Methods that this command does not run count too: a misspelt name would change nothing, and
    nobody would know. Methods of plug-ins are known once their files are loaded.

    Raises:
        UsageProblem: if a method or hyper-parameter is unknown, or a value is not of its type.
    """
    known = names(labelled=True)
    sections = {"methods": recipe.methods, "for_method": recipe.for_method}
    for section, name in ((s, name) for s, methods in sections.items() for name in methods):
        if name not in known:
            problem = unknown_name("method", name, known)
            raise UsageProblem(
                f"recipe {recipe.name}: {section}: {problem} A plug-in's file is given with "
                "--plugin."
            )
    for name, changes in recipe.methods.items():
        try:
            resolve(get(name), changes)
        except UsageProblem as error:
            raise UsageProblem(f"recipe {recipe.name}: methods: {error}") from error


def _checked(name: str, value: Any, kind: Any) -> Any:
    try:
        adapter = TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True))
    except Exception as error:  # pydantic's own errors, and those of odd annotations
        raise MethodProblem(
            f"{name}: its annotation cannot be checked ({in_one_line(error)}); annotate it with "
            "bool, int, float, str, Literal[...], or a list or dict of these"
        ) from error
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        message = one_line(error.errors()[0]["msg"])
        raise UsageProblem(f"{name}: {message}, found {shown(value)}") from error


def _checked_json(where: str, value: Any, method: type[Method]) -> None:
    try:
        as_json(value, method.__module__)
    except NotJson as error:
        kind = MethodProblem if where.startswith("method ") else UsageProblem
        raise kind(f"{where}: {error}") from error


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
