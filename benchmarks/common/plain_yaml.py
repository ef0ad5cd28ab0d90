"""YAML as the suite reads it: JSON-like values, one line for whatever is wrong with the text."""

import re
from typing import Any

import yaml

from benchmarks.common.errors import UsageProblem, one_line, shown

MOST_VALUES = 10_000
"""Values in a text, those behind an alias counted each time; a recipe has less than a hundred."""
DEEPEST = 20
"""Levels of nesting; a text that contains itself has no end of them."""
LARGEST_BITS = 64
"""Of a whole number."""
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_FLOAT = "tag:yaml.org,2002:float"


class _Loader(yaml.SafeLoader):
    """Like SafeLoader, but a key stands once, a date is text and `1e-3` is a number.

    Dates have no use here, and those of no calendar would raise from the middle of the parser.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Refuse keys that stand twice: YAML asks for it, PyYAML keeps the last in silence."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # refused later: it cannot be a key
            if (key.tag, key.value) in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {shown(key.value)} stands twice", key.start_mark
                )
            seen.add((key.tag, key.value))
        return node


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# YAML 1.1 asks for a point in a number with an exponent; YAML 1.2 and everyone else do not.
_Loader.add_implicit_resolver(
    _FLOAT, re.compile(r"^[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parse(text: str, source: str) -> Any:
    """Return the value of a YAML text: None, truth values, numbers, text, lists and mappings.

    Args:
        text: the whole of it.
        source: what an error calls it.

    Raises:
        UsageProblem: if it is not valid YAML, nests too deep or contains itself, or holds numbers
            that no field could take.
    """
    try:
        value = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        words = " ".join(filter(None, (error.context, error.problem)))
        raise UsageProblem(f"{source}: not valid YAML{place}: {one_line(words)}") from error
    except RecursionError as error:
        raise UsageProblem(f"{source}: not valid YAML: it nests too deep") from error
    # A scalar that its own tag or form promises to be a number (`0b_`, `!!int x`, `!!bool 3`)
    # raises whatever the conversion happens to raise.
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise UsageProblem(
            f"{source}: not valid YAML: {one_line(error)}; put text into quotes"
        ) from error
    _check_extent(value, source)
    return value


def _check_extent(value: Any, source: str) -> None:
    """Refuse what would not end: few lines of aliases make billions of values, or a circle."""
    count, open_values = 0, [(value, 0)]
    while open_values:
        one, depth = open_values.pop()
        count += 1
        if depth > DEEPEST or count > MOST_VALUES:
            raise UsageProblem(
                f"{source}: expected at most {MOST_VALUES:,} values, {DEEPEST} levels deep, found "
                "more, or a value that contains itself"
            )
        if isinstance(one, dict):
            open_values += [(part, depth + 1) for pair in one.items() for part in pair]
        elif isinstance(one, list | tuple | set):
            open_values += [(part, depth + 1) for part in one]
        elif isinstance(one, int) and one.bit_length() > LARGEST_BITS:
            raise UsageProblem(f"{source}: a number of {one.bit_length()} bits is too large")
        elif not isinstance(one, str | int | float | None):
            raise UsageProblem(
                f"{source}: expected text, numbers, lists and mappings, found {shown(one)}"
            )


def inline(value: Any) -> str:
    """Return a value that `parse` gave as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
