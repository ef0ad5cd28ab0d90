"""What a recipe is called, and in what it differs from the paper's."""

import json
import re
from collections.abc import Mapping
from typing import Any

from benchmarks import recipes
from benchmarks.recipes.reader import asdict_recipe

PAPER = "paper"
_NOT_TRAINING = ("name", "description", "evaluate_every")
_UNSET = {"train_images": "all", "image_size": "the data set's own"}


def plain(value: Any) -> Any:
    """Return the value as JSON would give it back: text keys, lists for tuples."""
    return json.loads(json.dumps(value, default=str))


def builtin(name: str) -> dict[str, Any] | None:
    """Return the suite's own recipe of that name as plain data, or None if it has none."""
    if name not in recipes.names():
        return None
    fields: dict[str, Any] = plain(asdict_recipe(recipes.read(name).recipe))
    return fields


def flat(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe with `augmentation` spread into `augmentation.x`."""
    fields = dict(plain(recipe))
    transforms = fields.pop("augmentation", {})
    return {**fields, **{f"augmentation.{k}": v for k, v in transforms.items()}}


def differences(recipe: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which a recipe trains otherwise than the paper's: (here, paper)."""
    here, paper = flat(recipe), flat(builtin(PAPER) or {})
    names = [k for k in {**paper, **here} if k not in _NOT_TRAINING]
    return {k: (here.get(k), paper.get(k)) for k in names if here.get(k) != paper.get(k)}


def label(recipe: Mapping[str, Any], changed: Mapping[str, Any]) -> str:
    """Return the recipe's name and what was changed, such as "paper, epochs = 2 of 200"."""
    usual = flat(builtin(str(recipe["name"])) or {})
    words = [str(recipe["name"])]
    for field, value in plain(changed).items():
        known = field in usual and usual[field] is not None
        link = "of" if field == "epochs" else "instead of"
        words.append(f"{field} = {value}" + (f" {link} {usual[field]}" if known else ""))
    return ", ".join(words)


def slug(text: str) -> str:
    """Return the text as a part of a file name: lower-case words joined by hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "unnamed"


def shown(value: Any, field: str = "") -> str:
    """Return the value of a recipe's field in words."""
    if value is None:
        return _UNSET.get(field, "not set")
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {shown(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list):
        return " to ".join(map(shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
