"""Values as JSON states them, the same in every process: what keys and records are made of."""

import math
import sys
from typing import Any

DEEPEST = 20
"""Lists in lists; more is a value that refers to itself."""
LARGEST_BITS = 1024
"""Of whole numbers, as of the largest float; Python writes no text of very long ones."""


class NotJson(ValueError):
    """A value that JSON cannot state faithfully; the message says which and what to do."""


def as_json(value: Any, module: str = "") -> Any:
    """Return a value as JSON types: text, numbers, booleans, None, lists and dicts of these.

    JSON has no infinity: it becomes the text "inf" or "-inf". A function or class that can be
    imported becomes its name, such as "torch.nn.functional.relu", the same in every process.

    Args:
        value: any; tuples count as lists.
        module: the names of functions of this one are stated without it.

    Raises:
        NotJson: if it is or holds anything else: an object, NaN, a text that cannot be written.
    """
    return _as_json(value, module, 0)


def _as_json(value: Any, module: str, depth: int) -> Any:
    if depth > DEEPEST:
        raise NotJson(f"expected at most {DEEPEST} lists in lists, found more; flatten it")
    if value is None or isinstance(value, bool):
        return value
    if type(value) is int and value.bit_length() <= LARGEST_BITS:
        return value
    if isinstance(value, float):
        return _number(float(value))
    if isinstance(value, str):
        return _text(str.__str__(value))
    if isinstance(value, list | tuple):
        return [_as_json(item, module, depth + 1) for item in value]
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {_text(name): _as_json(item, module, depth + 1) for name, item in value.items()}
    return _name(value, module)


def _number(value: float) -> float | str:
    if math.isnan(value):
        raise NotJson("expected a number, found NaN, which equals nothing, not even itself")
    return value if math.isfinite(value) else str(value)


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise NotJson(f"expected text of valid characters, found {value!a}") from error
    return value


def _name(value: Any, module: str) -> str:
    """Return the name of a function or class by which it is found again."""
    home, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    found: Any = sys.modules.get(home) if isinstance(home, str) else None
    for part in name.split(".") if isinstance(name, str) else ():
        found = getattr(found, part, None)
    if callable(value) and found is value and isinstance(name, str):
        return name if home == module else f"{home}.{name}"
    raise NotJson(
        "expected text, a number, true, false, null, or a list or mapping of these, found "
        f"{_shown(value)}; state it by a name or a number and build the object in __init__"
    )


def _shown(value: Any) -> str:
    try:
        shown = " ".join(repr(value).split())
    except Exception:  # an object's own mistake, or a number of thousands of digits
        return f"a value of type {type(value).__name__}"
    return shown if len(shown) <= 100 else f"{shown[:100]}…"
