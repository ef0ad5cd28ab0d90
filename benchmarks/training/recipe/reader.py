"""Reading recipes: by name, from a YAML file, and with the command's changes."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmarks.common.errors import UsageProblem, one_line, shown, unknown_name
from benchmarks.common.plain_yaml import parse
from benchmarks.data.transforms.settings import Augmentation
from benchmarks.training.recipe.schema import SHARED, Recipe, with_current_names

_NOT_PLACES = ("constrained-", "literal[", "[key]")
"""Parts of the place of an error that name no field but one of a field's types."""
LARGEST_FILE = 1 << 20
"""Bytes of a recipe file."""

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
    notes: tuple[str, ...] = ()
    """What the user should know, such as that the recipe has another name than its file."""


def names() -> list[str]:
    """Return the names of the recipes that come with the suite."""
    folder = resources.files("benchmarks.training.recipe")
    return sorted(
        f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")
    )


def read(name_or_file: str) -> RecipeFile:
    """Read a recipe by its name or from a YAML file.

    A file may state `base` (a recipe's name or file), `name` (the file's by default), any field of
    a recipe, and any option of `bench run` under the option's name. A file that calls itself as a
    recipe of the suite is called and differs from it has a digest of its text in its name.

    Raises:
        UsageProblem: if there is no such recipe, or a field or value of it is wrong.
    """
    return _read(name_or_file, ())


def _read(name_or_file: str, above: tuple[str, ...]) -> RecipeFile:
    """Read a recipe; `above` are the files whose `base` it is."""
    if name_or_file in names():
        text = (
            resources.files("benchmarks.training.recipe")
            .joinpath(f"{name_or_file}.yaml")
            .read_text()
        )
        recipe, options = _parse(text, name_or_file, name_or_file, above)
        return RecipeFile(recipe, options)
    path = Path(os.path.expanduser(name_or_file))
    if "\0" in name_or_file or path.suffix not in (".yaml", ".yml"):
        raise unknown_name("recipe", name_or_file, names())
    place = os.path.realpath(path)
    if place in above:
        circle = " -> ".join([*above[above.index(place) :], place])
        raise UsageProblem(f"recipe {path}: base: the file is a base of itself: {circle}")
    text = _text(path)
    recipe, options = _parse(text, path.stem, str(path), (*above, place))
    own = _under_a_name_of_its_own(recipe, text)
    notes: tuple[str, ...] = ()
    if own != recipe:
        notes = (
            f"recipe {path} differs from the suite's own {recipe.name} and is called {own.name}; "
            "rename the file, or state a `name` in it, for another",
        )
    return RecipeFile(own, options, notes)


def _text(path: Path) -> str:
    """Return the text of a recipe file; a pipe or a device is none."""
    source = f"recipe {path}"
    try:
        if not path.is_file():
            found = "a folder" if path.is_dir() else "no such file"
            raise UsageProblem(f"{source}: expected a YAML file, found {found}{_near(path)}")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UsageProblem(f"{source}: cannot be read: {error.strerror or error}") from error
    if len(content) > LARGEST_FILE:
        raise UsageProblem(f"{source}: expected at most {LARGEST_FILE:,} bytes, found more")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageProblem(
            f"{source}: expected text in UTF-8, found byte {content[error.start]:#04x} in line "
            f"{content[: error.start].count(10) + 1}; save it as UTF-8"
        ) from error


def _near(path: Path) -> str:
    return f"; the suite's own is --recipe {path.stem}" if path.stem in names() else ""


def _under_a_name_of_its_own(recipe: Recipe, text: str) -> Recipe:
    """Return the recipe, under a name of its own if only its name is that of the suite's."""
    if recipe.name not in names():
        return recipe
    unnamed = {"description": ""}
    if recipe.model_copy(update=unnamed) == read(recipe.name).recipe.model_copy(update=unnamed):
        return recipe
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return recipe.model_copy(update={"name": f"{recipe.name}-{digest}"})


def _parse(
    text: str, name: str, source: str, above: tuple[str, ...]
) -> tuple[Recipe, dict[str, Any]]:
    """Return the recipe that a text states, and its options."""
    content = parse(text, f"recipe {source}")
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise UsageProblem(
            f"recipe {source}: expected `field: value` lines, found {shown(content)}"
        )
    for key in content:
        if not isinstance(key, str):
            raise unknown_name(f"field of recipe {source}", key, [*Recipe.model_fields, *OPTIONS])
    start = _start(content, source, above)
    options = {k: content.pop(k) for k in OPTIONS - _SHARED if k in content}
    if not isinstance(content.get("methods", {}), dict):  # a list of names, not hyper-parameters
        options["methods"] = content.pop("methods")
    fields = _with_changes(start, {"name": name, **content}, f"recipe {source}")
    return _build(fields, f"recipe {source}"), options


def _start(content: dict[str, Any], source: str, above: tuple[str, ...]) -> dict[str, Any]:
    """Take `base` out of the content and return its fields; none if there is no base."""
    if "base" not in content:
        return {}
    base = content.pop("base")
    if not isinstance(base, str):
        raise UsageProblem(
            f"recipe {source}: base: expected the name or the file of one recipe, found "
            f"{shown(base)}; known names: {', '.join(names())}"
        )
    return asdict_recipe(_read(base, above).recipe)


def _with_changes(
    fields: Mapping[str, Any], changes: Mapping[str, Any], source: str
) -> dict[str, Any]:
    """Return a recipe's fields with some changed.

    An `augmentation` changes the transforms' fields that it states and leaves the others. Another
    `schedule` leaves the factors of the old one behind.
    """
    try:
        changes = with_current_names(changes)
    except ValueError as error:
        raise UsageProblem(f"{source}: {error}") from error
    changed = {**fields, **changes}
    own, usual = changes.get("augmentation"), fields.get("augmentation", {})
    if isinstance(own, dict) and isinstance(usual, dict):
        changed["augmentation"] = {**usual, **own}
    if fields and changes.get("schedule", _schedule(fields)) != _schedule(fields):
        changed.pop("lr_factors", None)
        changed |= {k: v for k, v in changes.items() if k == "lr_factors"}
    return changed


def _schedule(fields: Mapping[str, Any]) -> Any:
    return fields.get("schedule", Recipe.model_fields["schedule"].default)


def resolve(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return the recipe with fields changed; `augmentation.x` reaches one transform's field.

    Raises:
        UsageProblem: if a field is unknown or a value is out of its range, or the new name is that
            of a recipe of the suite.
    """
    source = f"recipe {recipe.name}"
    whole = {name: value for name, value in changes.items() if "." not in name}
    fields = _with_changes(asdict_recipe(recipe), whole, source)
    for name in (n for n in changes if n not in whole):
        head, _, tail = name.partition(".")
        if not isinstance(fields.get(head), dict):
            raise unknown_name("field of a recipe", name, fields)
        fields[head] = {**fields[head], tail: changes[name]}
    changed = _build(fields, source)
    if changed.name != recipe.name and changed.name in names():
        raise UsageProblem(
            f"recipe {recipe.name}: name: {changed.name} is a recipe of the suite; choose another "
            f"name, or --recipe {changed.name}"
        )
    return changed


def for_method(recipe: Recipe, method: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Return the recipe that one method is trained by.

    The section `for_method` overrides the recipe, and the command's changes override both.

    Args:
        recipe: of the comparison.
        method: its name.
        changes: of the command, as `resolve` takes them.

    Returns:
        A recipe without a section `for_method`.

    Raises:
        UsageProblem: if a field is unknown, shared by all methods, or out of its range.
    """
    source = f"recipe {recipe.name}: for_method.{method}"
    own = recipe.for_method.get(method, {})
    allowed = [name for name in Recipe.model_fields if name not in SHARED]
    for name in own:
        if name in SHARED:
            raise UsageProblem(
                f"{source}: {name}: expected a field that methods may have of their own, found one "
                f"that all methods of a comparison share; set {name} for the whole recipe"
            )
        if name not in [*allowed, "partners"]:
            raise unknown_name(f"field of {source}", name, allowed)
    fields = _with_changes({**asdict_recipe(recipe), "for_method": {}}, own, source)
    return resolve(_build(fields, source), changes or {})


def shared_values(
    recipe: Recipe, own: Recipe, changes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what the fields that a method has of its own are for the others, as plain data.

    Args:
        recipe: of the comparison.
        own: the method's recipe, as `for_method` returns it.
        changes: of the command, which both have in common.

    Returns:
        The shared value by field; None for a field that is left at its default and not stated.
    """
    common = recipe.model_copy(update={"for_method": {}})
    shared, used = asdict_recipe(resolve(common, changes or {})), asdict_recipe(own)
    return {
        name: shared.get(name) for name in {**shared, **used} if shared.get(name) != used.get(name)
    }


def asdict_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as plain data (JSON types)."""
    return recipe.model_dump(mode="json")


def _build(fields: Mapping[str, Any], source: str) -> Recipe:
    try:
        recipe = Recipe.model_validate(dict(fields))
    except ValidationError as error:
        first = error.errors()[0]
        parts = [str(part) for part in first["loc"]]
        place = ".".join(p for p in parts if not p.startswith(_NOT_PLACES)) or "recipe"
        if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            known = [*Recipe.model_fields, *OPTIONS, "base"]
            if len(first["loc"]) > 1:
                known = [f.name for f in dataclass_fields(Augmentation)]
            problem = unknown_name("field", str(first["loc"][-1]), known)
            raise UsageProblem(f"{source}: {problem}") from error
        message = one_line(first["msg"].removeprefix("Value error, "))
        if not first["loc"]:  # of several fields together: the message names them and their values
            raise UsageProblem(f"{source}: {message}") from error
        raise UsageProblem(
            f"{source}: {place}: {message}, found {shown(first['input'])}"
        ) from error
    for method in recipe.for_method:
        for_method(recipe, method)  # what is wrong in it is said when the recipe is read
    return recipe
