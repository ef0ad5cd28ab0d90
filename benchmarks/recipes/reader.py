"""Reading recipes: by name, from a YAML file, and with the command's changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from benchmarks.errors import UsageProblem, unknown_name
from benchmarks.recipes.model import Recipe

OPTIONS = frozenset(
    {"methods", "dataset", "table", "seeds", "set", "epochs", "data", "results", "device",
     "precision", "plugin", "split", "for", "partial", "weights"}
)  # fmt: skip
"""Command-line options that a recipe file may state too; the command line wins."""
_SHARED = {"methods", "epochs"}  # names that are both an option and a field of the recipe


@dataclass(frozen=True)
class RecipeFile:
    """A recipe with the command-line options that its file states."""

    recipe: Recipe
    options: Mapping[str, Any] = field(default_factory=dict)


def names() -> list[str]:
    """Return the names of the recipes that come with the suite."""
    folder = resources.files("benchmarks.recipes")
    return sorted(
        f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")
    )


def read(name_or_file: str) -> RecipeFile:
    """Read a recipe by its name or from a YAML file.

    A file may state `base` (a recipe's name, `paper` by default) and any field of a recipe, and
    any option of `bench run` under the option's name.

    Raises:
        UsageProblem: if there is no such recipe, or a field or value of it is wrong.
    """
    if name_or_file in names():
        text = resources.files("benchmarks.recipes").joinpath(f"{name_or_file}.yaml").read_text()
        return _parse(text, name_or_file, name_or_file)
    path = Path(name_or_file)
    if path.suffix not in (".yaml", ".yml"):
        raise unknown_name("recipe", name_or_file, names())
    try:
        return _parse(path.read_text(encoding="utf-8"), path.stem, str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(f"recipe {path}: cannot be read ({error})") from error


def _parse(text: str, name: str, source: str) -> RecipeFile:
    try:
        content = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise UsageProblem(f"recipe {source}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise UsageProblem(f"recipe {source}: expected `field: value` lines, found {content!r}")
    base = content.pop("base", None)
    start = asdict_recipe(read(base).recipe) if base else {}
    options = {k: content.pop(k) for k in OPTIONS - _SHARED if k in content}
    if not isinstance(content.get("methods", {}), dict):  # a list of names, not hyper-parameters
        options["methods"] = content.pop("methods")
    augmentation = {**start.get("augmentation", {}), **content.pop("augmentation", {})}
    fields = {**start, **content, "name": name}
    if augmentation:
        fields["augmentation"] = augmentation
    return RecipeFile(_build(fields, f"recipe {source}"), options)


def resolve(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return the recipe with fields changed; `augmentation.x` reaches one transform's field.

    Raises:
        UsageProblem: if a field is unknown or a value is out of its range.
    """
    fields = asdict_recipe(recipe)
    for name, value in changes.items():
        head, _, tail = name.partition(".")
        if tail:
            if not isinstance(fields.get(head), dict):
                raise unknown_name("field of a recipe", name, fields)
            fields[head] = {**fields[head], tail: value}
        else:
            fields[head] = value
    return _build(fields, f"recipe {recipe.name}")


def asdict_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as plain data (JSON types)."""
    return recipe.model_dump(mode="json")


def _build(fields: Mapping[str, Any], source: str) -> Recipe:
    try:
        return Recipe.model_validate(dict(fields))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "recipe"
        if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            known = Recipe.model_fields if len(first["loc"]) == 1 else fields["augmentation"]
            problem = unknown_name("field", str(first["loc"][-1]), sorted(known))
            raise UsageProblem(f"{source}: {problem}") from error
        message = first["msg"].removeprefix("Value error, ")
        raise UsageProblem(f"{source}: {place}: {message}, found {first['input']!r}") from error
