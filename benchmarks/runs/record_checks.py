"""What no run leaves in its files: values edited by hand or turned by a fault of the disk.

A schema says which types there are; these checks say which values. They are made when a file is
read, never when it is written: a finished run is always recorded.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.evaluator import metric_names

if TYPE_CHECKING:
    import pandas as pd

PERCENTAGES = frozenset(
    {metric.name for metric in (metric_names.KNN, metric_names.LINEAR, metric_names.NMI)}
    | {metric.name for metric in metric_names.recall_at(2, 4, 8, 10, 100, 1000)}
    | {"memory_knn", "pooled_knn"}  # columns of epochs.parquet beside knn
)
"""Names of metrics from 0 to 100; others, such as a loss, may be any finite number."""
_COLUMNS = PERCENTAGES | {
    *("epoch", "loss", "lr", "images_seen", "images_per_second"),
    *("train_seconds", "evaluate_seconds"),
}
"""Columns of epochs.parquet that the suite itself fills; a method may add some of any kind."""
ROUNDING = 1e-6
MOST = 2**53
"""Whole numbers up to here are exact as float64 too."""
DEEPEST = 20
"""Levels of nesting; a record has five."""
_SETTINGS = frozenset({"recipe", "recipe_changed", "recipe_own", "hyper_parameters", "changed"})
"""Fields with values of a method's or a recipe's own, which may be anything."""
_POSITIVE = ("epochs", "batch_size", "knn_k", "embedding_size", "evaluate_every")


def flaw_of_record(content: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the values of a finished or failed run's record; None if nothing.

    Args:
        content: the record as plain data, of the types that its schema states.
    """
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "expected Unicode text, found half a character"
    if _depth(content) > DEEPEST:
        return "nested too deeply"
    for place, value in _numbers(content):
        if flaw := _flaw_of_number(place, value):
            return f"{'.'.join(place)}: {flaw}"
    return _flaw_of_recipe(content["recipe"])


def _depth(value: Any) -> int:
    """Return how many levels a value from a JSON file has, without recursion."""
    depth, level = 0, [value]
    while level:
        depth += 1
        inner = [v.values() if isinstance(v, dict) else v for v in level if _holds(v)]
        level = [part for parts in inner for part in parts]
    return depth


def _holds(value: Any) -> bool:
    return isinstance(value, dict | list)


def _numbers(value: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield the numbers outside settings with their places."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name not in _SETTINGS:
                yield from _numbers(part, (*place, name))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield place, value


def _flaw_of_number(place: tuple[str, ...], value: float) -> str | None:
    if isinstance(value, int) and not 0 <= value <= MOST:
        return "expected a whole number from 0 to 2^53"
    if not math.isfinite(value):
        return f"expected a finite number, found {value}"
    if place[0] == "seconds" and value < 0:
        return f"expected seconds, found {value:g}"
    best = place[0] == "best" and place[-1] == "value"  # of the headline, always a percentage
    measured = place[-2] if place[-1] == "value" else place[-1]
    if (best or _percentage(measured)) and not -ROUNDING <= value <= 100 + ROUNDING:
        return f"expected a percentage from 0 to 100, found {value:g}"
    return None


def _percentage(name: str) -> bool:
    """Return whether a metric, of whichever representation, is from 0 to 100."""
    return metric_names.split(name)[0] in PERCENTAGES


def _flaw_of_recipe(recipe: Mapping[str, Any]) -> str | None:
    """Check the fields of a recipe that readers rely on; the others are only shown."""
    if not isinstance(recipe.get("name"), str) or not recipe["name"]:
        return "recipe: expected a field name, in words"
    for part in ("augmentation", "methods", "lr_factors"):
        if not isinstance(recipe.get(part, {}), dict):
            return f"recipe.{part}: expected fields with values"
    if not all(isinstance(value, dict) for value in recipe.get("methods", {}).values()):
        return "recipe.methods: expected hyper-parameters by method"
    for name in _POSITIVE:
        value = recipe.get(name, 1)
        if type(value) is not int or not 0 < value <= MOST:
            return f"recipe.{name}: expected a whole number from 1 on"
    return None


def flaw_of_epochs(frame: "pd.DataFrame") -> str | None:
    """Return in what a table is not one of epochs; None if it is one.

    Its epochs are 1, 2, 3 and so on, or a single 0; its values are numbers, NaN if not measured.
    """
    if "epoch" not in frame or frame.empty:
        return "expected a column epoch and a row per epoch, found none"
    names = sorted(map(str, frame))
    for name in names:
        if name not in _COLUMNS and not _percentage(name):
            continue
        column = frame[name]
        if column.dtype.kind not in "iuf":
            return f"{name}: expected numbers, found {column.dtype}"
        if np.isinf(column.to_numpy(float)).any():
            return f"{name}: expected finite numbers, found an infinite one"
    epochs = frame["epoch"].to_numpy(float)
    first = 0 if len(epochs) == 1 and epochs[0] == 0 else 1
    if not np.array_equal(epochs, np.arange(len(epochs)) + first):
        return "epoch: expected 1, 2, 3 and so on, or a single 0"
    for name in filter(_percentage, names):
        values = frame[name].dropna()
        if not values.between(-ROUNDING, 100 + ROUNDING).all():
            return f"{name}: expected percentages from 0 to 100"
    return None
