"""The options of `bench run` that a recipe file states, read as click reads words."""

from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

from benchmarks.commands.option_types import FilePath, Words
from benchmarks.common.errors import UsageProblem, shown
from benchmarks.common.plain_yaml import inline


def read(stated: Mapping[str, Any], context: click.Context) -> dict[str, Any]:
    """Return the file's options that the command line leaves open, by the parameter's name.

    Raises:
        UsageProblem: if a value is not what the option takes.
    """
    parameters = {word: p for p in context.command.params for word in p.opts}
    found = {}
    for name, value in stated.items():
        parameter = parameters[f"--{name}"]
        destination = str(parameter.name)
        read_value = _value(parameter, name, value, context)
        if context.get_parameter_source(destination) == ParameterSource.DEFAULT:
            found[destination] = read_value
    return found


def _value(parameter: click.Parameter, name: str, value: Any, context: click.Context) -> Any:
    if value is None:
        raise _unfit(name, "a value, or no such line", value)
    if isinstance(parameter.type, click.types.BoolParamType):
        if not isinstance(value, bool):
            raise _unfit(name, "true or false", value)
        return value
    words = _words(parameter, name, value)
    try:
        return parameter.type_cast_value(context, words if parameter.multiple else ",".join(words))
    except click.BadParameter as error:
        raise UsageProblem(f"recipe file: {name}: {error.message}") from error


def _words(parameter: click.Parameter, name: str, value: Any) -> list[str]:
    """Return the words that the command line would have in the value's place."""
    if name == "set" and isinstance(value, dict):
        return [f"{key}={inline(setting)}" for key, setting in value.items()]
    several = parameter.multiple or isinstance(parameter.type, Words)
    if isinstance(value, list) and not several:
        raise _unfit(name, "one value", value)
    values = value if isinstance(value, list) else [value]
    kinds = str if isinstance(parameter.type, FilePath) else str | int | float
    for one in values:
        if isinstance(one, bool) or not isinstance(one, kinds):
            raise _unfit(name, "text" if kinds is str else "text or a number", one)
    return list(map(str, values))


def _unfit(name: str, expected: str, value: Any) -> UsageProblem:
    found = "null" if value is None else shown(value)
    return UsageProblem(f"recipe file: {name}: expected {expected}, found {found}")
